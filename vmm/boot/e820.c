/* SPDX-License-Identifier: MIT */
#include "boot/e820.h"
#include "lib/panic.h"
#include "machine/hidden.h"
#include "machine/layout.h"

#define LOW (1ull << 20)

static void add(struct e820 *e820, uint64_t start, uint64_t end, uint32_t type)
{
	if (start >= end)
		return;
	if (e820->rows == E820_ROWS)
		panic_boot("the guest's memory map would have more than %u rows", E820_ROWS);
	e820->row[e820->rows++] = (struct e820_row){start, end - start, type};
}

static void add_pinned(struct e820 *e820, uint64_t start, uint64_t end, uint64_t low_end)
{
	if (start == layout.hand_off.start) {
		start += layout.hand_off.bytes;
		add(e820, layout.hand_off.start, start, MEMMAP_RESERVED);
	}
	if (start < LOW && end > low_end) {
		add(e820, start, low_end, MEMMAP_RAM);
		add(e820, low_end, end, MEMMAP_RESERVED);
		return;
	}
	add(e820, start, end, MEMMAP_RAM);
}

void e820_build(struct e820 *e820, const struct memmap *map, uint64_t low_end)
{
	e820->rows = 0;
	for (unsigned i = 0; i < map->rows; i++) {
		if (map->row[i].type != MEMMAP_RAM)
			add(e820, map->row[i].start, map->row[i].end, map->row[i].type);
	}
	for (unsigned i = 0; i < layout.pinned_count; i++)
		add_pinned(e820, layout.pinned[i].start,
			layout.pinned[i].start + layout.pinned[i].bytes, low_end);
	for (unsigned i = 0; i < layout.own_count; i++)
		add(e820, layout.own[i].start, layout.own[i].start + layout.own[i].bytes,
			MEMMAP_RESERVED);
	for (unsigned i = 0; i < hidden_count(); i++) {
		const struct hidden *h = hidden_row(i);

		if (h->kind == HIDDEN_MEMORY)
			add(e820, h->first, h->last + 1, MEMMAP_RESERVED);
	}
	add(e820, layout.far_base, layout.far_base + layout.far_bytes, MEMMAP_RAM);
}
