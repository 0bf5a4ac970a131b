/* SPDX-License-Identifier: MIT */
/*
 * One queue, in the order of the hints: an UNPIN ends what was pinned before it. Each turn deals with
 * a few pages, so that no turn is long and faults come first. As prefetch does, hints take only
 * frames above the low mark and leave a part of the READs to faults; but a PIN waits for them, and
 * makes reclaim run, where prefetch gives up. What waits too long is dropped, so that the queue goes
 * on: the agent sees from the number of pinned pages that it has to ask again.
 */
#include <string.h>
#include "far/extent.h"
#include "far/hint.h"
#include "far/pcache.h"
#include "far/prefetch.h"
#include "far/reclaim.h"
#include "far/victim.h"

#define TURN_BUDGET    64u /* pages per turn */
#define FILL_COST      2u /* of that, for a page to be zeroed or read */
#define RELEASE_BUDGET 128u /* frames looked at per turn for pins to be released */
#define PATIENCE_NS    2000000000ull /* that the oldest waits, until one page can be filled again */

enum outcome {
	DONE,
	LATER, /* hint_wait says what for */
	DROP,
};

static enum outcome later(struct far *far, enum hint_wait wait)
{
	far->hint_wait = wait;
	return LATER;
}

static bool in_window(const struct far *far, const struct far_hint_range *r)
{
	uint64_t first = (r->gpa - far->base) >> PAGE_SHIFT;

	return r->gpa % PAGE_SIZE == 0 && r->gpa >= far->base && first < far->pages &&
	       r->pages > 0 && r->pages <= far->pages - first;
}

/* While pins of an ended session are being released they are nobody's: no hint runs before. */
static uint64_t budget_left(const struct far *far)
{
	return far->pin_budget - far->pinning - (far->unpinning > 0 ? 0 : far->pinned);
}

enum far_hint_result far_hint(
	struct far *far, enum far_hint hint, const struct far_hint_range *range, unsigned count)
{
	uint64_t pages = 0;

	check(hint <= FAR_HINT_COLD);
	for (unsigned i = 0; i < count; i++) {
		if (!in_window(far, &range[i]))
			return FAR_HINT_BAD_RANGE;
		pages += range[i].pages;
	}
	if (hint == FAR_HINT_PIN && pages > budget_left(far))
		return FAR_HINT_OVER_BUDGET;
	if (count > ENGINE_HINTS - far->hints)
		return FAR_HINT_BUSY;
	for (unsigned i = 0; i < count; i++) {
		struct hint *h = &far->hint[(far->hint_head + far->hints++) % ENGINE_HINTS];

		h->page = (uint32_t)((range[i].gpa - far->base) >> PAGE_SHIFT);
		h->left = range[i].pages & (~0u >> 2);
		h->kind = hint & 3;
	}
	far->hint_queued += pages;
	if (hint == FAR_HINT_PIN)
		far->pinning += (uint32_t)pages;
	far->counters.hints += count;
	return FAR_HINT_OK;
}

void far_hint_forget(struct far *far)
{
	far->hints = 0;
	far->hint_queued = 0;
	far->hint_wait = HINT_RUNS;
	far->hint_since = 0;
	far->pinning = 0;
	far->unpinning = far->pinned > 0 ? far->frames : 0;
}

void far_pins(const struct far *far, struct far_pins *pins)
{
	*pins = (struct far_pins){.pinned = far->pinned,
		.pinning = far->pinning,
		.budget = far->pin_budget,
		.queued = far->hint_queued};
}

unsigned far_samples(struct far *far, uint64_t *gpa, unsigned max)
{
	uint64_t end = far->counters.remote_fills, count = end - far->sampled;

	if (count > ENGINE_SAMPLES)
		count = ENGINE_SAMPLES;
	if (count > max)
		count = max;
	for (uint64_t i = 0; i < count; i++) {
		uint32_t page = far->sample[(end - count + i) % ENGINE_SAMPLES];

		gpa[i] = far->base + (uint64_t)page * PAGE_SIZE;
	}
	far->sampled = end;
	return (unsigned)count;
}

/* It counts as touched: CLOCK gives it a round, and nobody's list of cold pages keeps it. */
static void warm(struct far *far, uint32_t frame)
{
	struct frame *f = &far->frame[frame];
	_Atomic uint64_t *leaf = &far->leaf[f->page];
	uint64_t entry = slat_read(leaf);

	if (f->list == LIST_PASSED)
		pcache_unlink(far, frame);
	f->referenced = 1;
	while ((entry & far->format.accessed) != far->format.accessed &&
		!slat_compare_exchange(leaf, &entry, entry | far->format.accessed))
		;
}

static void set_pin(struct far *far, struct frame *f)
{
	check(f->state == PAGE_FILLING || f->state == PAGE_RESIDENT || f->state == PAGE_CLEANING);
	far->pinned += !f->pin;
	f->pin = 1;
}

static void clear_pin(struct far *far, struct frame *f)
{
	if (!f->pin)
		return;
	f->pin = 0;
	check(far->pinned > 0);
	far->pinned--;
}

void hint_drop(struct far *far, struct frame *f)
{
	clear_pin(far, f);
	f->prefetched = PREFETCHED_NOT;
	far->counters.hint_dropped++;
}

/* A PIN makes reclaim run; a PREFETCH takes what is cold, or nothing. */
static enum outcome no_frame(struct far *far, bool pin)
{
	if (pin)
		return later(far, HINT_FRAME);
	return far->list[LIST_PASSED].count + pcache_coming(far) > 0 ? later(far, HINT_COLD) : DROP;
}

static enum outcome fill_zero(struct far *far, uint32_t page, bool pin, uint32_t *frame)
{
	if (engine_extent_of(far, page)->state != EXTENT_HELD) {
		if (!pin || !far->server[engine_server_of(far, page)].ready)
			return DROP;
		if (!extent_first_touch(far, page))
			return extent_reason(far, engine_server_of(far, page))
				       ? DROP
				       : later(far, HINT_FABRIC);
		if (!extent_held(engine_extent_of(far, page)))
			return later(far, HINT_FABRIC);
	}
	if (!prefetch_frame_to_spare(far))
		return no_frame(far, pin);
	*frame = prefetch_zero(far, page);
	far->frame[*frame].referenced = 1;
	pcache_map(far, *frame, false);
	return DONE;
}

static enum outcome fill_remote(
	struct far *far, uint32_t page, uint64_t entry, bool pin, uint32_t *frame, uint64_t now)
{
	if (!far->server[engine_server_of(far, page)].ready)
		return DROP;
	if (!extent_held(engine_extent_of(far, page)))
		return pin ? later(far, HINT_FABRIC) : DROP;
	if (!prefetch_frame_to_spare(far))
		return no_frame(far, pin);
	*frame = prefetch_read(far, page, entry, PREFETCHED_HINT, now);
	return *frame == ENGINE_NONE ? later(far, HINT_FABRIC) : DONE;
}

/* A victim is mapped again. A clean one is a part of the reserve: of that, only what is to spare. */
static enum outcome take_back(struct far *far, uint32_t frame, bool pin)
{
	if (far->frame[frame].state == PAGE_VICTIM_CLEAN && !prefetch_frame_to_spare(far))
		return pin ? later(far, HINT_FRAME) : DROP;
	victim_take_back(far, frame, false);
	return DONE;
}

/* PIN and PREFETCH: the page is mapped, or its READ is under way, and *frame is its frame. */
static enum outcome fetch(struct far *far, uint32_t page, bool pin, unsigned *budget, uint64_t now)
{
	uint64_t entry = slat_read(&far->leaf[page]);
	uint32_t frame = page_entry_value(entry);
	enum outcome outcome = DONE;

	if (slat_present(&far->format, entry)) {
		frame = pcache_mapped(far, entry);
		warm(far, frame);
	} else if (page_entry_state(entry) <= PAGE_REMOTE) {
		outcome = page_entry_state(entry) == PAGE_ZERO
				  ? fill_zero(far, page, pin, &frame)
				  : fill_remote(far, page, entry, pin, &frame, now);
		far->counters.hint_fills += outcome == DONE;
		*budget -= outcome == DONE ? FILL_COST - 1 : 0;
	} else if (page_entry_state(entry) == PAGE_FILLING) {
		prefetch_adopt(far, &far->frame[frame]);
	} else {
		outcome = take_back(far, frame, pin);
	}
	/* Not for a page that was mapped: that tells nothing of frames and servers. */
	if (outcome == DONE && !slat_present(&far->format, entry))
		far->hint_since = 0;
	if (pin && outcome == DONE)
		set_pin(far, &far->frame[frame]);
	return outcome;
}

/* The page's frame, if it is mapped or being filled. */
static struct frame *pinnable(struct far *far, uint32_t page)
{
	uint64_t entry = slat_read(&far->leaf[page]);

	if (slat_present(&far->format, entry))
		return &far->frame[pcache_mapped(far, entry)];
	return page_entry_state(entry) == PAGE_FILLING ? &far->frame[page_entry_value(entry)]
						       : NULL;
}

static void unpin(struct far *far, uint32_t page)
{
	struct frame *f = pinnable(far, page);

	if (!f)
		return;
	far->counters.pins_released += f->pin;
	clear_pin(far, f);
}

/* Also one that is listed already: appended with its new epoch, it keeps the list in their order. */
static void cool(struct far *far, uint32_t page)
{
	uint64_t entry = slat_read(&far->leaf[page]);
	struct frame *f;
	uint32_t frame;

	if (!slat_present(&far->format, entry))
		return;
	frame = pcache_mapped(far, entry);
	f = &far->frame[frame];
	if (f->state != PAGE_RESIDENT || f->pin)
		return;
	if (entry & far->format.accessed)
		prefetch_touched(far, f);
	if (f->list == LIST_PASSED)
		pcache_unlink(far, frame);
	reclaim_age(far, f);
	pcache_append(far, LIST_PASSED, frame);
	far->cooled = true;
}

static enum outcome handle(struct far *far, const struct hint *h, unsigned *budget, uint64_t now)
{
	switch ((enum far_hint)h->kind) {
	case FAR_HINT_PIN:
		return fetch(far, h->page, true, budget, now);
	case FAR_HINT_PREFETCH:
		return fetch(far, h->page, false, budget, now);
	case FAR_HINT_UNPIN:
		unpin(far, h->page);
		return DONE;
	case FAR_HINT_COLD:
		cool(far, h->page);
		return DONE;
	}
	return DROP;
}

/* The oldest hint's first page is dealt with. */
static void advance(struct far *far, struct hint *h)
{
	far->pinning -= h->kind == FAR_HINT_PIN;
	far->hint_queued--;
	far->counters.hint_pages++;
	h->page++;
	if (--h->left > 0)
		return;
	far->hint_head = (far->hint_head + 1) % ENGINE_HINTS;
	if (--far->hints == 0)
		far->hint_since = 0;
}

static void release(struct far *far)
{
	for (unsigned budget = RELEASE_BUDGET; far->unpinning > 0 && budget > 0; budget--) {
		struct frame *f = &far->frame[--far->unpinning];

		far->counters.pins_released += f->pin;
		clear_pin(far, f);
	}
}

/* Has the oldest hint waited too long? */
static bool impatient(struct far *far, uint64_t now)
{
	if (far->hint_since == 0 || far->hint_since < far->resumed)
		far->hint_since = now;
	return now - far->hint_since >= PATIENCE_NS;
}

void hint_turn(struct far *far, uint64_t now)
{
	unsigned budget = TURN_BUDGET;

	if (far->unpinning > 0) {
		release(far);
		return;
	}
	far->hint_wait = HINT_RUNS;
	while (far->hints > 0 && budget >= FILL_COST) {
		struct hint *h = &far->hint[far->hint_head];
		enum outcome outcome = handle(far, h, &budget, now);

		if (outcome == LATER && !impatient(far, now))
			return;
		far->hint_wait = HINT_RUNS;
		far->counters.hint_dropped += outcome != DONE;
		advance(far, h);
		budget--;
	}
}
