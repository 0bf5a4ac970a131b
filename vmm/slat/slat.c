/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "lib/panic.h"
#include "machine/memory.h"
#include "slat/slat.h"

#define ENTRIES 512u

static unsigned slot(uint64_t gpa, unsigned level)
{
	return gpa >> (12 + 9 * level) & (ENTRIES - 1);
}

static uint64_t span(unsigned level)
{
	return 1ull << (12 + 9 * level);
}

static void *table_take(void)
{
	return memory_take(SLAT_PAGE, SLAT_PAGE, "SLAT");
}

static uint64_t *table_of(const struct slat *s, uint64_t entry)
{
	return (uint64_t *)(uintptr_t)slat_address(s->tables->format, entry);
}

static bool large(const struct slat *s, uint64_t entry)
{
	return entry & s->tables->large;
}

void slat_init(struct slat *s, const struct slat_tables *tables, bool giant)
{
	s->tables = tables;
	s->giant = giant;
	s->root = table_take();
}

/* The entry for gpa at `level` (0 = 4 KiB), making tables on the way down. */
static uint64_t *reach(struct slat *s, uint64_t gpa, unsigned level)
{
	uint64_t *table = s->root;

	check(gpa < SLAT_LIMIT);
	for (unsigned l = 3; l > level; l--) {
		uint64_t *entry = &table[slot(gpa, l)];

		if (!slat_present(s->tables->format, *entry))
			*entry = (uintptr_t)table_take() | s->tables->table;
		check(!large(s, *entry));
		table = table_of(s, *entry);
	}
	return &table[slot(gpa, level)];
}

/* The leaf's bits for hpa, as its memory type is; false: it has several. */
static bool leaf_bits(const struct slat *s, uint64_t hpa, unsigned level, uint64_t *bits)
{
	uint64_t type = 0;

	*bits = s->tables->format->leaf | s->tables->format->accessed;
	if (!s->tables->type)
		return true;
	if (!s->tables->type(hpa, span(level), &type))
		return false;
	*bits = (*bits & ~s->tables->type_mask) | type;
	return true;
}

static unsigned level_for(const struct slat *s, uint64_t start, uint64_t end, uint64_t *bits)
{
	for (unsigned level = s->giant ? 2 : 1; level > 0; level--) {
		if (!(start & (span(level) - 1)) && end - start >= span(level) &&
			start >= SLAT_2M && leaf_bits(s, start, level, bits))
			return level;
	}
	check(leaf_bits(s, start, 0, bits));
	return 0;
}

void slat_map(struct slat *s, uint64_t start, uint64_t end)
{
	check(!((start | end) & (SLAT_PAGE - 1)));
	while (start < end) {
		uint64_t bits;
		unsigned level = level_for(s, start, end, &bits);

		bits |= s->tables->format->dirty | (level ? s->tables->large : 0);
		*reach(s, start, level) = start | bits;
		start += span(level);
	}
}

void slat_map_same(struct slat *s, uint64_t start, uint64_t end, uint64_t hpa)
{
	uint64_t bits;

	check(leaf_bits(s, hpa, 0, &bits));
	bits &= ~s->tables->format->writable;
	for (; start < end; start += SLAT_PAGE)
		*reach(s, start, 0) = hpa | bits;
}

void slat_map_window(struct slat *s, uint64_t base, uint32_t pages, struct slat_window *window)
{
	uint64_t bytes = (uint64_t)pages * SLAT_PAGE, leaves = (uint64_t)pages * 8;
	uint64_t giants = (bytes + SLAT_1G - 1) / SLAT_1G;
	uint64_t *leaf, *upper;

	check(!(base & (SLAT_1G - 1)) && pages && pages % ENTRIES == 0);
	check(base + bytes <= SLAT_LIMIT);
	leaf = memory_take(leaves, SLAT_PAGE, "far window leaves");
	upper = memory_take(giants * SLAT_PAGE, SLAT_PAGE, "far window tables");
	for (uint32_t i = 0; i < pages / ENTRIES; i++)
		upper[i] = (uintptr_t)&leaf[(uint64_t)i * ENTRIES] | s->tables->table;
	for (uint64_t i = 0; i < giants; i++) {
		uint64_t *entry = reach(s, base + i * SLAT_1G, 2);

		check(!slat_present(s->tables->format, *entry));
		*entry = (uintptr_t)&upper[i * ENTRIES] | s->tables->table;
	}
	*window = (struct slat_window){
		.format = s->tables->format,
		.leaf = (_Atomic uint64_t *)leaf,
		.upper = (_Atomic uint64_t *)upper,
		.base = base,
		.pages = pages,
	};
}

uint64_t slat_entry(const struct slat *s, uint64_t gpa, unsigned *level)
{
	const uint64_t *table = s->root;

	for (*level = 3;; --*level) {
		uint64_t entry = __atomic_load_n(&table[slot(gpa, *level)], __ATOMIC_RELAXED);

		if (!slat_present(s->tables->format, entry) || *level == 0 || large(s, entry))
			return entry;
		table = table_of(s, entry);
	}
}

uint64_t slat_translate(const struct slat *s, uint64_t gpa)
{
	uint64_t entry, offset;
	unsigned level;

	if (gpa >= SLAT_LIMIT)
		return SLAT_NONE;
	entry = slat_entry(s, gpa, &level);
	if (!slat_present(s->tables->format, entry))
		return SLAT_NONE;
	offset = span(level) - 1;
	return (slat_address(s->tables->format, entry) & ~offset) | (gpa & offset);
}

void slat_detour_init(struct slat_detour *d)
{
	for (unsigned l = 0; l < 4; l++)
		d->level[l] = table_take();
	d->region = SLAT_NONE;
}

/* Fills a detour's table at `level` with what the shared entry above it stands for. */
static void detour_copy(const struct slat *s, uint64_t *table, uint64_t above, unsigned level)
{
	const struct slat_format *f = s->tables->format;

	if (!slat_present(f, above)) {
		memset(table, 0, SLAT_PAGE);
		return;
	}
	if (!large(s, above)) {
		memcpy(table, table_of(s, above), SLAT_PAGE);
		return;
	}
	if (!level)
		above &= ~s->tables->large;
	for (unsigned i = 0; i < ENTRIES; i++)
		table[i] = above + i * span(level);
}

static void detour_page(const struct slat *s, struct slat_detour *d, uint64_t gpa, uint64_t hpa)
{
	const struct slat_format *f = s->tables->format;

	d->level[0][slot(gpa, 0)] = hpa | f->leaf | f->accessed | f->dirty;
}

void slat_detour_set(const struct slat *s, struct slat_detour *d, uint64_t gpa, uint64_t hpa)
{
	uint64_t above;

	check(gpa < SLAT_LIMIT);
	memcpy(d->level[3], s->root, SLAT_PAGE);
	for (unsigned l = 3; l > 0; l--) {
		above = d->level[l][slot(gpa, l)];
		detour_copy(s, d->level[l - 1], above, l - 1);
		d->level[l][slot(gpa, l)] = (uintptr_t)d->level[l - 1] | s->tables->table;
	}
	d->region = gpa / SLAT_2M;
	detour_page(s, d, gpa, hpa);
}

bool slat_detour_add(const struct slat *s, struct slat_detour *d, uint64_t gpa, uint64_t hpa)
{
	if (gpa / SLAT_2M != d->region)
		return false;
	detour_page(s, d, gpa, hpa);
	return true;
}
