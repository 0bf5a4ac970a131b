/* SPDX-License-Identifier: MIT */
/* Walks all that the engine holds and panics at the first contradiction. */
#include "far/engine.h"
#include "far/extent.h"
#include "far/pcache.h"

static bool list_fits(const struct far *far, const struct frame *f)
{
	bool written = f->list >= LIST_WRITE && f->list < LIST_REFILL;

	switch (f->state) {
	case FRAME_FREE:
		return f->list == LIST_FREE && !f->writing && !f->dirty;
	case PAGE_FILLING:
		return f->list == LIST_NONE || f->list >= LIST_REFILL;
	case PAGE_RESIDENT:
		return f->list == LIST_NONE || f->list == LIST_PASSED;
	case PAGE_UNSETTLED:
		return f->list == LIST_UNSETTLED;
	case PAGE_VICTIM_CLEAN:
		return f->list == LIST_CLEAN && !f->dirty && !f->writing;
	case PAGE_VICTIM_DIRTY:
		return f->dirty &&
		       (f->writing ? f->list == LIST_NONE : written || f->list == LIST_BLOCKED);
	case PAGE_CLEANING:
		return f->dirty && (f->writing ? f->list == LIST_NONE
					       : written || f->list == LIST_BLOCKED ||
							   f->list == LIST_CLEANING);
	default:
		return false;
	}
}

static void verify_lists(const struct far *far)
{
	uint32_t listed = 0, off = 0;

	for (unsigned i = LIST_FREE; i < LIST_COUNT; i++) {
		const struct list *l = &far->list[i];
		uint32_t count = 0, last = ENGINE_NONE;

		for (uint32_t f = l->head; f != ENGINE_NONE; f = far->frame[f].next) {
			check(f < far->frames && far->frame[f].list == i);
			check(far->frame[f].prev == last && count < l->count);
			last = f;
			count++;
		}
		check(last == l->tail && count == l->count);
		listed += count;
	}
	for (uint32_t f = 0; f < far->frames; f++) {
		check(list_fits(far, &far->frame[f]));
		off += far->frame[f].list == LIST_NONE;
	}
	check(listed + off == far->frames);
}

/* R3, from the page's side: the entry and the frame name each other. */
static enum page_state verify_page(const struct far *far, uint32_t page)
{
	uint64_t entry = slat_read(&far->leaf[page]);
	enum page_state state;
	uint32_t frame;

	if (slat_present(&far->format, entry)) {
		frame = pcache_mapped(far, entry);
		state = far->frame[frame].state;
		check(state == PAGE_RESIDENT || state == PAGE_CLEANING);
		check(state == PAGE_RESIDENT || !(entry & far->format.writable));
		check(!far->format.accessed ||
			(slat_read(&far->upper[page / 512]) & far->format.accessed));
	} else {
		check(page_entry_valid(entry));
		state = page_entry_state(entry);
		if (state <= PAGE_REMOTE)
			return state;
		frame = page_entry_value(entry);
		check(frame < far->frames && far->frame[frame].state == state);
	}
	check(far->frame[frame].page == page);
	return state;
}

static void verify_pages(const struct far *far)
{
	uint64_t states[PAGE_STATES] = {0};
	uint64_t framed = 0, used = 0, unleased = 0, free = far->list[LIST_FREE].count;

	for (uint32_t page = 0; page < far->pages; page++) {
		enum page_state state = verify_page(far, page);

		states[state]++;
		framed += state > PAGE_REMOTE;
	}
	for (unsigned i = 0; i < PAGE_STATES; i++)
		check(states[i] == far->states[i]);
	/* R3, from the frames' side: as many pages with a frame as frames with a page. */
	check(framed + free == far->frames);
	for (uint32_t i = 0; i < far->extents; i++) {
		used += far->extent[i].used;
		if (!extent_held(&far->extent[i]))
			unleased += far->extent[i].used;
	}
	check(used == far->pages - states[PAGE_ZERO]);
	check(unleased == far->unleased);
}

static void verify_records(const struct far *far)
{
	uint32_t writing = 0, records = 0;

	for (unsigned i = 0; i < far->servers; i++) {
		const struct far_server *s = &far->server[i];
		uint32_t in_flight = 0, lost = 0;

		for (unsigned tag = 0; tag < SESSION_WRITES; tag++) {
			const struct record *r = &s->record[tag];

			if (r->state == RECORD_FREE)
				continue;
			in_flight++;
			lost += r->state == RECORD_LOST;
			check(r->frame < far->frames && far->frame[r->frame].writing);
			check(far->frame[r->frame].page == r->page);
		}
		check(in_flight == s->in_flight && lost == s->lost);
		records += in_flight;
	}
	for (uint32_t f = 0; f < far->frames; f++)
		writing += far->frame[f].writing;
	check(writing == records);
}

/* Each page prefetched ends as a hit or in vain; the frames of the rest say so. */
static void verify_prefetch(const struct far *far)
{
	const struct far_counters *c = &far->counters;
	uint64_t unknown = 0, reading[FAR_SERVERS] = {0};
	uint32_t open = 0;

	for (uint32_t i = 0; i < far->frames; i++) {
		const struct frame *f = &far->frame[i];

		check(f->prefetched != PREFETCHED_HINT || f->state == PAGE_FILLING);
		unknown += f->prefetched != PREFETCHED_NOT && f->prefetched != PREFETCHED_HINT;
		if (f->state != PAGE_FILLING)
			continue;
		check((f->waiters == 0) == (f->prefetched != PREFETCHED_NOT));
		if (f->waiters == 0)
			reading[engine_server_of(far, f->page)]++;
	}
	check(c->prefetch_fills + c->prefetch_zero_fills ==
		c->prefetch_hits + c->prefetch_wasted + unknown);
	for (unsigned i = 0; i < far->servers; i++)
		check(reading[i] == far->server[i].prefetching);
	for (unsigned cpu = 0; cpu < far->cpus; cpu++)
		for (unsigned i = 0; i < ENGINE_STREAMS; i++)
			open += far->waiter[cpu].stream[i].left > 0;
	check(open == far->prefetch_open);
}

/* The frames a vCPU mapped last are mapped still. */
static void verify_recent(const struct far *far)
{
	uint64_t named = 0, counted = 0;

	for (unsigned cpu = 0; cpu < far->cpus; cpu++) {
		for (unsigned i = 0; i < ENGINE_RECENT; i++) {
			uint32_t frame = far->waiter[cpu].recent[i];

			if (frame == ENGINE_NONE)
				continue;
			named++;
			check(far->frame[frame].state == PAGE_RESIDENT ||
				far->frame[frame].state == PAGE_CLEANING);
		}
	}
	for (uint32_t f = 0; f < far->frames; f++) {
		if (far->frame[f].state == PAGE_RESIDENT || far->frame[f].state == PAGE_CLEANING)
			counted += far->frame[f].recent;
	}
	check(named == counted);
}

/* Marks and counts agree; what is pinned is there or on its way. */
static void verify_pins(const struct far *far)
{
	uint32_t marks = 0;
	uint64_t queued = 0, pinning = 0;

	for (uint32_t i = 0; i < far->frames; i++) {
		const struct frame *f = &far->frame[i];

		if (!f->pin)
			continue;
		marks++;
		check(f->state == PAGE_FILLING || f->state == PAGE_CLEANING ||
			(f->state == PAGE_RESIDENT && f->list == LIST_NONE));
	}
	for (uint32_t i = 0; i < far->hints; i++) {
		const struct hint *h = &far->hint[(far->hint_head + i) % ENGINE_HINTS];

		check(h->left > 0 && h->page + h->left <= far->pages);
		queued += h->left;
		pinning += h->kind == FAR_HINT_PIN ? h->left : 0;
	}
	check(marks == far->pinned && queued == far->hint_queued && pinning == far->pinning);
	check(far->pinned <= far->pin_budget);
	check(far->pinning + (far->unpinning > 0 ? 0 : far->pinned) <= far->pin_budget);
}

void far_verify(const struct far *far)
{
	check(far->settled <= far->raised);
	verify_lists(far);
	verify_pages(far);
	verify_records(far);
	verify_recent(far);
	verify_prefetch(far);
	verify_pins(far);
}
