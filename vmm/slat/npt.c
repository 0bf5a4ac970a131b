/* SPDX-License-Identifier: MIT */
#include "slat/npt.h"

#define NPT_P    (1ull << 0)
#define NPT_W    (1ull << 1)
#define NPT_U    (1ull << 2) /* nested walks count as user accesses (APM vol. 2 15.25.5) */
#define NPT_A    (1ull << 5)
#define NPT_D    (1ull << 6)
#define NPT_PS   (1ull << 7)
#define NPT_ADDR 0x000ffffffffff000ull

static const struct slat_format format = {
	.name = "NPT",
	.present = NPT_P,
	.leaf = NPT_P | NPT_W | NPT_U,
	.writable = NPT_W,
	.accessed = NPT_A,
	.dirty = NPT_D,
	.address = NPT_ADDR,
};

const struct slat_tables npt_tables = {
	.format = &format,
	.table = NPT_P | NPT_W | NPT_U,
	.large = NPT_PS,
};
