/* SPDX-License-Identifier: MIT */
/* The memory map that the guest is given: as e820 rows (ACPI 6.4, 15.1). Boot only. */
#ifndef ANNEX_E820_H
#define ANNEX_E820_H

#include <stdint.h>
#include "machine/memmap.h"

#define E820_ROWS 128u

struct e820_row {
	uint64_t start;
	uint64_t bytes;
	uint32_t type; /* enum memmap_type */
} __attribute__((packed));

struct e820 {
	struct e820_row row[E820_ROWS];
	unsigned rows;
};

/*
 * From the firmware's map, `layout` and the hidden table. What lies at low_end and above in
 * conventional memory is reserved.
 */
void e820_build(struct e820 *e820, const struct memmap *map, uint64_t low_end);

#endif
