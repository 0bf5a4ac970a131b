/* SPDX-License-Identifier: MIT */
/* The firmware's memory map, copied out of what the loader gave before anything else is written. */
#ifndef ANNEX_MEMMAP_H
#define ANNEX_MEMMAP_H

#include <stdint.h>

#define MEMMAP_ROWS 128u

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

/* Boot only: one row of the loader's, in any order. Stops the boot if it wraps or there are too many. */
void memmap_add(struct memmap *map, uint64_t start, uint64_t bytes, uint32_t type);

/*
 * Boot only, once all rows are there: neighbours of one type become one row. Stops the boot if the
 * map contradicts itself.
 */
void memmap_finish(struct memmap *map);

#endif
