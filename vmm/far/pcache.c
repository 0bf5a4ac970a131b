/* SPDX-License-Identifier: MIT */
/* Frames, their lists and mappings, and the reserve that faults live on. */
#include <string.h>
#include "far/hint.h"
#include "far/pcache.h"
#include "far/prefetch.h"
#include "far/victim.h"
#include "lib/event.h"
#include "lib/plant.h"

#define LOW_MIN    8u
#define PACE_NS    1000000ull
#define PACE_SHIFT 2u /* a quarter of the newest measurement */

void pcache_start(struct far *far)
{
	for (unsigned i = 0; i < LIST_COUNT; i++)
		far->list[i] = (struct list){ENGINE_NONE, ENGINE_NONE, 0};
	for (uint32_t i = 0; i < far->frames; i++) {
		far->frame[i] = (struct frame){.page = ENGINE_NONE, .state = FRAME_FREE};
		pcache_append(far, LIST_FREE, i);
	}
	far->low = far->frames / 32 < LOW_MIN ? LOW_MIN : far->frames / 32;
	far->high = 2 * far->low;
}

void *pcache_memory(const struct far *far, uint32_t frame)
{
	const struct far_range *r = far->range;

	while (frame >= r->frames) {
		frame -= r->frames;
		r++;
	}
	return (uint8_t *)r->memory + (uint64_t)frame * PAGE_SIZE;
}

static uint64_t hpa(const struct far *far, uint32_t frame)
{
	const struct far_range *r = far->range;

	while (frame >= r->frames) {
		frame -= r->frames;
		r++;
	}
	return r->hpa + (uint64_t)frame * PAGE_SIZE;
}

uint32_t pcache_mapped(const struct far *far, uint64_t entry)
{
	uint64_t address = slat_address(&far->format, entry);
	uint32_t first = 0;

	for (unsigned i = 0; i < far->ranges; i++) {
		const struct far_range *r = &far->range[i];
		uint64_t offset = address - r->hpa;

		if (offset < (uint64_t)r->frames * PAGE_SIZE)
			return first + (uint32_t)(offset >> PAGE_SHIFT);
		first += r->frames;
	}
	panic("entry %llx maps no frame", (unsigned long long)entry);
}

void pcache_append(struct far *far, enum list_id list, uint32_t frame)
{
	struct list *l = &far->list[list];
	struct frame *f = &far->frame[frame];

	check(f->list == LIST_NONE);
	f->list = list & 15;
	f->next = ENGINE_NONE;
	f->prev = l->tail;
	if (l->tail == ENGINE_NONE)
		l->head = frame;
	else
		far->frame[l->tail].next = frame;
	l->tail = frame;
	l->count++;
}

/* The frame used last is the one that the CPU's caches still hold. */
static void prepend(struct far *far, enum list_id list, uint32_t frame)
{
	struct list *l = &far->list[list];
	struct frame *f = &far->frame[frame];

	check(f->list == LIST_NONE);
	f->list = list & 15;
	f->prev = ENGINE_NONE;
	f->next = l->head;
	if (l->head == ENGINE_NONE)
		l->tail = frame;
	else
		far->frame[l->head].prev = frame;
	l->head = frame;
	l->count++;
}

void pcache_unlink(struct far *far, uint32_t frame)
{
	struct frame *f = &far->frame[frame];
	struct list *l = &far->list[f->list];

	check(f->list != LIST_NONE);
	if (f->prev == ENGINE_NONE)
		l->head = f->next;
	else
		far->frame[f->prev].next = f->next;
	if (f->next == ENGINE_NONE)
		l->tail = f->prev;
	else
		far->frame[f->next].prev = f->prev;
	l->count--;
	f->list = LIST_NONE;
}

void pcache_state(struct far *far, struct frame *f, enum page_state state)
{
	far->states[f->state]--;
	far->states[state]++;
	f->state = state & 15;
}

struct frame *pcache_give_page(struct far *far, uint32_t frame, uint32_t page, enum page_state from)
{
	struct frame *f = &far->frame[frame];

	/* R3: it comes from the free list. */
	check(f->state == FRAME_FREE && f->list == LIST_NONE);
	f->page = page;
	f->waiters = 0;
	f->tries = 0;
	f->dirty = 0;
	f->referenced = 0;
	f->zero = from == PAGE_ZERO;
	f->state = PAGE_FILLING;
	far->states[from]--;
	far->states[PAGE_FILLING]++;
	return f;
}

/* It goes before what it was filled for. */
static void lose_marks(struct far *far, struct frame *f)
{
	if (f->pin || f->prefetched == PREFETCHED_HINT)
		hint_drop(far, f);
	else
		prefetch_wasted(far, f);
}

/* The frame's page is gone. */
static void disown(struct far *far, struct frame *f)
{
	/* R3: one owner; R6: a record's frame keeps its page until the record is gone. */
	check(f->state != FRAME_FREE && !f->writing);
	if (f->pin || f->prefetched != PREFETCHED_NOT)
		lose_marks(far, f);
	f->page = ENGINE_NONE;
	f->state = FRAME_FREE;
	f->dirty = 0;
	f->zero = 0;
	f->waiters = 0;
}

uint32_t pcache_take(struct far *far)
{
	uint32_t frame = far->list[LIST_FREE].head;

	if (frame == ENGINE_NONE) {
		frame = far->list[LIST_CLEAN].head;
		if (frame == ENGINE_NONE)
			return ENGINE_NONE;
		victim_drop(far, frame);
		disown(far, &far->frame[frame]);
		if (planted(PLANT_DOUBLE_FREE))
			pcache_free(far, frame);
	}
	pcache_unlink(far, frame);
	far->taken++;
	return frame;
}

void pcache_free(struct far *far, uint32_t frame)
{
	disown(far, &far->frame[frame]);
	prepend(far, LIST_FREE, frame);
}

/* So that CLOCK finds the region; the engine sets it because a CPU may have the upper entry cached. */
static void mark_region(struct far *far, uint32_t page)
{
	_Atomic uint64_t *upper = &far->upper[page / 512];
	uint64_t old = slat_read(upper);

	while ((old & far->format.accessed) != far->format.accessed) {
		if (slat_compare_exchange(upper, &old, old | far->format.accessed))
			return;
	}
}

static inline void map(struct far *far, uint32_t frame, uint64_t bits)
{
	struct frame *f = &far->frame[frame];
	uint64_t entry = far->format.leaf | hpa(far, frame) | bits;

	if (!far->format.dirty && !f->dirty)
		entry &= ~far->format.writable;
	f->generation++;
	f->epoch =
		0; /* not present -> present: nothing is cached that would have to be forgotten */
	f->recent = 0;
	pcache_state(far, f, PAGE_RESIDENT);
	slat_write(&far->leaf[f->page], entry);
	mark_region(far, f->page);
	event_record(EVENT_MAP, f->page, frame);
}

void pcache_map(struct far *far, uint32_t frame, bool write)
{
	struct frame *f = &far->frame[frame];

	if (!far->format.dirty)
		f->dirty |= write;
	map(far, frame, far->format.accessed | (f->dirty ? far->format.dirty : 0));
}

/* R8's "every page with A set" is for pages that a CPU is about to use: nobody uses this one yet. */
void pcache_map_untouched(struct far *far, uint32_t frame)
{
	check(far->format.accessed && !far->frame[frame].dirty);
	map(far, frame, 0);
}

void pcache_unprotect(struct far *far, uint32_t frame)
{
	struct frame *f = &far->frame[frame];
	_Atomic uint64_t *leaf = &far->leaf[f->page];
	uint64_t old = slat_read(leaf);

	if (f->state == PAGE_CLEANING) {
		if (f->list != LIST_NONE)
			pcache_unlink(far, frame);
		pcache_state(far, f, PAGE_RESIDENT);
	}
	check(f->state == PAGE_RESIDENT);
	f->generation++;
	f->dirty = 1;
	while (!slat_compare_exchange(
		leaf, &old, old | far->format.writable | far->format.dirty | far->format.accessed))
		;
	far->counters.write_unprotects++;
}

void pcache_hold(struct far *far, unsigned cpu, uint32_t frame)
{
	struct waiter *w = &far->waiter[cpu];
	uint32_t *slot = &w->recent[w->recent_at++ % ENGINE_RECENT];

	if (*slot != ENGINE_NONE)
		far->frame[*slot].recent--;
	*slot = frame;
	far->frame[frame].recent++;
}

uint32_t pcache_reserve(const struct far *far)
{
	return far->list[LIST_FREE].count + far->list[LIST_CLEAN].count;
}

uint32_t pcache_coming(const struct far *far)
{
	uint32_t coming = far->list[LIST_UNSETTLED].count;

	for (unsigned i = 0; i < far->servers; i++) {
		if (far->server[i].ready)
			coming += far->list[LIST_WRITE + i].count + far->server[i].in_flight;
	}
	return coming;
}

static uint32_t clamp(uint32_t value, uint32_t low, uint32_t high)
{
	return value < low ? low : value > high ? high : value;
}

/*
 * The reserve has to last for what a batch takes: up to 1 ms until the next shootdown is allowed,
 * then the shootdown and the WRITEs. So low follows what 2 ms take, high twice that.
 */
void pcache_pace(struct far *far, uint64_t now)
{
	uint64_t elapsed = now - far->rate_at;
	uint32_t floor = far->frames / 32 < LOW_MIN ? LOW_MIN : far->frames / 32;
	uint32_t measured;

	if (elapsed < PACE_NS)
		return;
	measured = (uint32_t)(far->taken * PACE_NS / elapsed);
	far->rate += (measured >> PACE_SHIFT) - (far->rate >> PACE_SHIFT);
	far->low = clamp(2 * far->rate, floor, far->frames / 8);
	far->high = clamp(2 * far->low, 2 * floor, far->frames / 4);
	far->taken = 0;
	far->rate_at = now;
}

bool pcache_all_zero(const void *page)
{
	const uint64_t *word = page;

	for (unsigned i = 0; i < PAGE_SIZE / sizeof(*word); i += 4) {
		if (word[i] | word[i + 1] | word[i + 2] | word[i + 3])
			return false;
	}
	return true;
}
