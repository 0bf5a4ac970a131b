/* SPDX-License-Identifier: MIT */
/*
 * Faults on one page after another are a stream, upwards or downwards. The pages behind its newest
 * fault are filled a window at a time, and mapped with A clear: so their touch is no exit, and CLOCK
 * takes first what was filled in vain. The first page of a window is its marker: it stays unmapped,
 * so that its touch is a fault, which opens the next window while the rest of this one is there.
 * CPUs without A bits could not tell a touched page from another: there all are kept as victims.
 *
 * Prefetch takes only frames above the low mark and leaves a part of the READs to faults; what finds
 * neither is left out. It never leases, evicts or waits.
 */
#include <string.h>
#include "far/extent.h"
#include "far/fault.h"
#include "far/pcache.h"
#include "far/prefetch.h"
#include "far/reclaim.h"
#include "far/victim.h"
#include "lib/plant.h"

#define ZERO_BUDGET 32u /* pages zeroed per turn */
#define SLACK       4u /* pages that a stream may skip: they were there */
#define LIMIT_MIN   2u
#define PASS_AFTER  32u /* pages: a stream so long is a scan */
#define CREDIT      64 /* hits until the limit doubles */
#define CREDIT_LOST 8 /* that one wasted page costs; CREDIT lost: the limit is halved */

enum look {
	LOOK_ON, /* at the next page */
	LOOK_LATER, /* all READs are taken, or the turn's budget is */
	LOOK_END, /* of this window */
};

void prefetch_start(struct far *far)
{
	far->prefetch_limit = far->prefetch_max;
	for (unsigned cpu = 0; cpu < SHOOTDOWN_CPUS; cpu++)
		for (unsigned i = 0; i < ENGINE_CANDIDATES; i++)
			far->waiter[cpu].candidate[i] = far->pages + 1; /* no page's neighbour */
}

/* How far `to` lies behind `from` as the stream goes. */
static uint32_t distance(const struct stream *s, uint32_t from, uint32_t to)
{
	return s->step > 0 ? to - from : from - to;
}

/* Faults from behind the newest up to a few pages beyond what was looked at go on with it. */
static void set_range(struct stream *s)
{
	s->span = distance(s, s->last, s->end) + SLACK;
	s->from = s->step > 0 ? s->last + 1 : s->end - SLACK;
}

static void end_window(struct far *far, struct stream *s)
{
	far->prefetch_open -= s->left > 0;
	s->left = 0;
}

/*
 * The stream has read this page and gone on. Most streams do not come back soon: unless it is touched
 * again, reclaim takes it before others, so that a scan does not push out what is used. Not if it was
 * written to: that costs a WRITE.
 */
static void pass(struct far *far, uint32_t frame)
{
	struct frame *f = &far->frame[frame];

	if (f->state != PAGE_RESIDENT || f->list != LIST_NONE || f->zero || f->dirty || f->pin)
		return;
	reclaim_age(far, f);
	pcache_append(far, LIST_PASSED, frame);
}

/*
 * What was mapped ahead and has been touched is known now, not only when CLOCK comes by. The page of
 * the last fault is behind the guest too.
 */
static void look_back(struct far *far, struct stream *s, uint32_t page)
{
	uint32_t n = distance(s, s->last, page);

	s->length += n;
	for (uint32_t p = s->last; n > 0; n--, p += (uint32_t)s->step) {
		uint64_t entry = slat_read(&far->leaf[p]);
		uint32_t frame;

		if (!slat_present(&far->format, entry) || !(entry & far->format.accessed))
			continue;
		frame = pcache_mapped(far, entry);
		prefetch_touched(far, &far->frame[frame]);
		if (s->length >= PASS_AFTER && !(entry & far->format.dirty))
			pass(far, frame);
	}
}

static void open_window(struct far *far, struct stream *s, uint32_t page)
{
	uint32_t window = 2u * s->window;

	if (window > far->prefetch_limit)
		window = far->prefetch_limit;
	if ((int32_t)distance(s, page, s->end) <= 0) {
		end_window(far, s);
		s->end = page + (uint32_t)s->step;
	}
	far->prefetch_open += s->left == 0;
	s->left = (uint16_t)(s->left + window < 2 * FAR_PREFETCH_MAX ? s->left + window
								     : 2 * FAR_PREFETCH_MAX);
	s->window = (uint8_t)window;
	s->marker = s->end;
	s->mark = true;
	set_range(s);
}

static void begin(struct far *far, struct waiter *w, uint32_t page, int8_t step)
{
	struct stream *s = &w->stream[w->stream_at++ % ENGINE_STREAMS];

	end_window(far, s);
	*s = (struct stream){.last = page, .end = page + (uint32_t)step, .window = 1, .step = step};
	open_window(far, s, page);
}

static void follow(struct far *far, struct stream *s, uint32_t page)
{
	look_back(far, s, page);
	s->last = page;
	if ((int32_t)distance(s, s->marker, page) >= 0)
		open_window(far, s, page);
	else
		set_range(s);
}

void prefetch_note(struct far *far, unsigned cpu, uint32_t page)
{
	struct waiter *w = &far->waiter[cpu];

	/* On each fault's way. */
#pragma GCC unroll 4
	for (unsigned i = 0; i < ENGINE_STREAMS; i++) {
		if (page - w->stream[i].from < w->stream[i].span) {
			follow(far, &w->stream[i], page);
			return;
		}
	}
#pragma GCC unroll 4
	for (unsigned i = 0; i < ENGINE_CANDIDATES; i++) {
		uint32_t after = page - w->candidate[i] + 1;

		if (after > 2)
			continue;
		if (after != 1)
			begin(far, w, page, after == 2 ? 1 : -1);
		return;
	}
	w->candidate[w->candidate_at++ % ENGINE_CANDIDATES] = page;
}

bool prefetch_frame_to_spare(const struct far *far)
{
	return pcache_reserve(far) > far->low || planted(PLANT_PREFETCH_RESERVE);
}

static struct frame *take(struct far *far, uint32_t page, enum page_state from, uint32_t *frame)
{
	check(pcache_reserve(far) > far->low);
	*frame = pcache_take(far);
	return pcache_give_page(far, *frame, page, from);
}

uint32_t prefetch_zero(struct far *far, uint32_t page)
{
	uint32_t frame;

	take(far, page, PAGE_ZERO, &frame);
	memset(pcache_memory(far, frame), 0, PAGE_SIZE);
	extent_use(far, page);
	return frame;
}

static enum look fill_zero(struct far *far, const struct stream *s, bool keep, unsigned *budget)
{
	uint32_t page = s->end, frame;

	if (keep)
		return LOOK_ON; /* its touch is a fault as it is */
	if (!far->format.accessed || engine_extent_of(far, page)->state != EXTENT_HELD ||
		!prefetch_frame_to_spare(far))
		return LOOK_END;
	if (*budget == 0)
		return LOOK_LATER;
	--*budget;
	frame = prefetch_zero(far, page);
	far->frame[frame].prefetched = PREFETCHED_MAP;
	pcache_map_untouched(far, frame);
	far->counters.prefetch_zero_fills++;
	return LOOK_ON;
}

/* The page goes back to where it was. */
static void give_back(struct far *far, uint32_t frame)
{
	struct frame *f = &far->frame[frame];

	slat_write(&far->leaf[f->page], page_entry(PAGE_REMOTE, f->crc));
	pcache_state(far, f, PAGE_REMOTE);
	pcache_free(far, frame);
}

static bool read_to_spare(const struct far_server *s)
{
	uint32_t free = session_reads_free(s->session);

	return free >= 2 && s->prefetching < 3 * free;
}

uint32_t prefetch_read(
	struct far *far, uint32_t page, uint64_t entry, enum prefetched as, uint64_t now)
{
	struct far_server *s = &far->server[engine_server_of(far, page)];
	struct frame *f;
	uint32_t frame;

	if (!read_to_spare(s))
		return ENGINE_NONE;
	f = take(far, page, PAGE_REMOTE, &frame);
	f->crc = page_entry_value(entry);
	f->prefetched = as & 3;
	slat_write(&far->leaf[page], page_entry(PAGE_FILLING, frame));
	far->counters.prefetch_fills += as != PREFETCHED_HINT;
	s->prefetching++;
	if (fault_post_read(far, frame, now))
		return frame;
	s->prefetching--;
	give_back(far, frame);
	return ENGINE_NONE;
}

static enum look fill_remote(
	struct far *far, const struct stream *s, uint64_t entry, bool keep, uint64_t now)
{
	enum prefetched as = keep || !far->format.accessed ? PREFETCHED_KEEP : PREFETCHED_MAP;

	if (!far->server[engine_server_of(far, s->end)].ready ||
		!extent_held(engine_extent_of(far, s->end)) || !prefetch_frame_to_spare(far))
		return LOOK_END;
	return prefetch_read(far, s->end, entry, as, now) == ENGINE_NONE ? LOOK_LATER : LOOK_ON;
}

static enum look look(struct far *far, struct stream *s, unsigned *zero_budget, uint64_t now)
{
	uint32_t page = s->end;
	bool keep = s->mark;
	enum page_state state;
	enum look result = LOOK_ON;
	uint64_t entry;

	if (page >= far->pages)
		return LOOK_END;
	entry = slat_read(&far->leaf[page]);
	if (slat_present(&far->format, entry))
		return LOOK_ON;
	state = page_entry_state(entry);
	if (state == PAGE_ZERO)
		result = fill_zero(far, s, keep, zero_budget);
	else if (state == PAGE_REMOTE)
		result = fill_remote(far, s, entry, keep, now);
	if (keep && result == LOOK_ON) {
		s->marker = page;
		s->mark = false;
	}
	return result;
}

static void turn_stream(struct far *far, struct stream *s, unsigned *zero_budget, uint64_t now)
{
	while (s->left > 0) {
		enum look result = look(far, s, zero_budget, now);

		if (result == LOOK_LATER)
			return;
		if (result == LOOK_END) {
			end_window(far, s);
			return;
		}
		s->end += (uint32_t)s->step;
		far->prefetch_open -= --s->left == 0;
		set_range(s);
	}
}

void prefetch_turn(struct far *far, uint64_t now)
{
	unsigned zero_budget = ZERO_BUDGET;

	for (unsigned cpu = 0; far->prefetch_open > 0 && cpu < far->cpus; cpu++)
		for (unsigned i = 0; i < ENGINE_STREAMS; i++)
			turn_stream(far, &far->waiter[cpu].stream[i], &zero_budget, now);
}

void prefetch_arrived(struct far *far, uint32_t frame, bool ok)
{
	struct frame *f = &far->frame[frame];

	check(f->state == PAGE_FILLING && f->waiters == 0 && f->prefetched != PREFETCHED_NOT);
	far->server[engine_server_of(far, f->page)].prefetching--;
	if (!ok && !planted(f->prefetched == PREFETCHED_HINT ? PLANT_HINT_LOST
							     : PLANT_PREFETCH_LOST)) {
		give_back(far, frame); /* R4; a fault will try again */
		return;
	}
	if (f->prefetched == PREFETCHED_MAP) {
		pcache_map_untouched(far, frame);
		return;
	}
	if (f->prefetched == PREFETCHED_HINT) {
		f->prefetched = PREFETCHED_NOT;
		f->referenced = 1;
		pcache_map(far, frame, false);
		return;
	}
	f->epoch = 0; /* no CPU has it cached */
	victim_clean(far, frame);
}

void prefetch_hit(struct far *far, struct frame *f)
{
	if (f->state == PAGE_FILLING)
		far->server[engine_server_of(far, f->page)].prefetching--;
	if (f->prefetched == PREFETCHED_HINT) {
		f->prefetched = PREFETCHED_NOT;
		return;
	}
	f->prefetched = PREFETCHED_NOT;
	far->counters.prefetch_hits++;
	if (++far->prefetch_credit < CREDIT)
		return;
	far->prefetch_credit = 0;
	far->prefetch_limit *= 2;
	if (far->prefetch_limit > far->prefetch_max)
		far->prefetch_limit = far->prefetch_max;
}

void prefetch_adopt(struct far *far, struct frame *f)
{
	if (f->prefetched == PREFETCHED_NOT || f->prefetched == PREFETCHED_HINT)
		return;
	prefetch_hit(far, f);
	f->prefetched = PREFETCHED_HINT;
	far->server[engine_server_of(far, f->page)].prefetching++;
}

void prefetch_wasted(struct far *far, struct frame *f)
{
	f->prefetched = PREFETCHED_NOT;
	far->counters.prefetch_wasted++;
	far->prefetch_credit -= CREDIT_LOST;
	if (far->prefetch_credit > -CREDIT)
		return;
	far->prefetch_credit = 0;
	if (far->prefetch_limit > LIMIT_MIN)
		far->prefetch_limit /= 2;
}
