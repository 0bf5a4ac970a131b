/* SPDX-License-Identifier: MIT */
/* What the guest may touch (architecture section 3), from the layout and the hidden table. */
#include "lib/panic.h"
#include "machine/hidden.h"
#include "machine/layout.h"
#include "slat/slat.h"

enum hole_kind {
	HOLE_OWN,
	HOLE_HIDDEN,
	HOLE_APIC,
};

struct hole {
	uint64_t start;
	uint64_t end;
	enum hole_kind kind;
};

/* Keeps the one that begins first among those that end above `from`. */
static void consider(
	struct hole *best, uint64_t from, uint64_t start, uint64_t end, enum hole_kind k)
{
	if (start < from)
		start = from;
	if (start < end && start < best->start)
		*best = (struct hole){start, end, k};
}

static struct hole next_hole(uint64_t from, uint64_t apic, uint64_t limit)
{
	struct hole best = {limit, limit, HOLE_OWN};

	for (unsigned i = 0; i < layout.own_count; i++)
		consider(&best, from, layout.own[i].start & ~(SLAT_PAGE - 1),
			(layout.own[i].start + layout.own[i].bytes + SLAT_PAGE - 1) &
				~(SLAT_PAGE - 1),
			HOLE_OWN);
	for (unsigned i = 0; i < hidden_count(); i++) {
		const struct hidden *h = hidden_row(i);

		if (h->kind == HIDDEN_MEMORY)
			consider(&best, from, h->first & ~(SLAT_PAGE - 1),
				(h->last | (SLAT_PAGE - 1)) + 1, HOLE_HIDDEN);
	}
	if (apic)
		consider(&best, from, apic, apic + SLAT_PAGE, HOLE_APIC);
	if (best.end > limit)
		best.end = limit;
	return best;
}

static void map_around(struct slat *s, uint64_t at, uint64_t end, uint64_t ones, uint64_t apic)
{
	while (at < end) {
		struct hole hole = next_hole(at, apic, end);

		slat_map(s, at, hole.start);
		if (hole.kind == HOLE_HIDDEN)
			slat_map_same(s, hole.start, hole.end, ones);
		else if (hole.kind == HOLE_APIC)
			slat_map_same(s, apic, apic + SLAT_PAGE, apic);
		at = hole.end;
	}
}

void slat_build(struct slat *s, uint64_t ones, uint64_t apic, struct slat_window *window)
{
	uint64_t limit = layout.far_base, above = limit + layout.far_bytes;

	/* A far page's leaf may never be reached by another road. */
	check(limit >= layout.ram_end && above <= layout.address_limit);
	map_around(s, 0, limit, ones, apic);
	for (unsigned i = 0; i < layout.high_count; i++) {
		const struct layout_range *r = &layout.high[i];

		check(r->start >= above);
		map_around(s, r->start, r->start + r->bytes, ones, apic);
	}
	slat_map_window(s, layout.far_base, layout.far_bytes / SLAT_PAGE, window);
}
