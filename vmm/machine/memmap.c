/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdint.h>
#include <xen/arch-x86/hvm/start_info.h>
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

void memmap_read(struct memmap *map, const struct hvm_start_info *info)
{
	const struct hvm_memmap_table_entry *entry = (const void *)info->memmap_paddr;

	if (info->version < 1 || !info->memmap_entries)
		panic_boot(
			"the loader gave no memory map (hvm_start_info version %u)", info->version);
	if (info->memmap_entries > MEMMAP_ROWS)
		panic_boot("the firmware's memory map has %u rows, more than %u",
			info->memmap_entries, MEMMAP_ROWS);
	map->rows = 0;
	for (unsigned i = 0; i < info->memmap_entries; i++) {
		uint64_t end = entry[i].addr + entry[i].size;

		if (!entry[i].size)
			continue;
		if (end < entry[i].addr)
			panic_boot("the firmware's memory map wraps at row %u", i);
		insert(map, (struct memmap_row){entry[i].addr, end, entry[i].type});
	}
	for (unsigned i = 0; i < map->rows; i++) {
		const struct memmap_row *r = &map->row[i];

		log_info("memory: %016lx-%016lx %s", (unsigned long)r->start,
			(unsigned long)r->end - 1, type_name(r->type));
		if (i && r->start < r[-1].end)
			panic_boot("the firmware's memory map overlaps at %lx",
				(unsigned long)r->start);
	}
}
