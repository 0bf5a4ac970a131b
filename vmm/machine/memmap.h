/* SPDX-License-Identifier: MIT */
/* The firmware's memory map, copied out of hvm_start_info before anything else is written. */
#ifndef ANNEX_MEMMAP_H
#define ANNEX_MEMMAP_H

#include <stdint.h>

#define MEMMAP_ROWS 64u

/* The numbers of e820 and of Xen's XEN_HVM_MEMMAP_TYPE_*. */
enum memmap_type {
	MEMMAP_RAM = 1,
	MEMMAP_RESERVED = 2,
	MEMMAP_ACPI = 3,
	MEMMAP_NVS = 4,
	MEMMAP_UNUSABLE = 5,
};

struct memmap_row {
	uint64_t start;
	uint64_t end;
	uint32_t type;
};

struct memmap {
	struct memmap_row row[MEMMAP_ROWS]; /* ascending, no overlaps */
	unsigned rows;
};

struct hvm_start_info;

/* Boot only: stops the boot if the map is missing, too long or contradicts itself. */
void memmap_read(struct memmap *map, const struct hvm_start_info *info);

#endif
