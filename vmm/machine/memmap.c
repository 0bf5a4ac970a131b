/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdint.h>
#include "lib/log.h"
#include "lib/panic.h"
#include "machine/memmap.h"

static const char *type_name(uint32_t type)
{
	static const char *const names[] = {"?", "RAM", "reserved", "ACPI", "NVS", "unusable"};

	return type < sizeof(names) / sizeof(names[0]) ? names[type] : names[0];
}

static void insert(struct memmap *map, struct memmap_row row)
{
	unsigned at = map->rows;

	while (at && map->row[at - 1].start > row.start) {
		map->row[at] = map->row[at - 1];
		at--;
	}
	map->row[at] = row;
	map->rows++;
}

void memmap_add(struct memmap *map, uint64_t start, uint64_t bytes, uint32_t type)
{
	if (!bytes)
		return;
	if (start + bytes < start)
		panic_boot("the firmware's memory map wraps at %lx", (unsigned long)start);
	if (map->rows == MEMMAP_ROWS)
		panic_boot("the firmware's memory map has more than %u rows", MEMMAP_ROWS);
	insert(map, (struct memmap_row){start, start + bytes, type});
}

static void join(struct memmap *map)
{
	unsigned kept = 0;

	for (unsigned i = 1; i < map->rows; i++) {
		struct memmap_row *last = &map->row[kept];

		if (map->row[i].start == last->end && map->row[i].type == last->type)
			last->end = map->row[i].end;
		else
			map->row[++kept] = map->row[i];
	}
	map->rows = map->rows ? kept + 1 : 0;
}

void memmap_finish(struct memmap *map)
{
	join(map);
	for (unsigned i = 0; i < map->rows; i++) {
		const struct memmap_row *r = &map->row[i];

		log_info("memory: %016lx-%016lx %s", (unsigned long)r->start,
			(unsigned long)r->end - 1, type_name(r->type));
		if (i && r->start < r[-1].end)
			panic_boot("the firmware's memory map overlaps at %lx",
				(unsigned long)r->start);
	}
}
