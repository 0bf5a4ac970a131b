/* SPDX-License-Identifier: MIT */
/*
 * Write-back records. One is made when a frame's WRITE is posted and lives until the server has
 * acknowledged it: the death of a queue pair only marks it, and it is sent again. An acknowledgement
 * cleans the frame only if its generation is still the record's (R6).
 */
#include "far/extent.h"
#include "far/pcache.h"
#include "far/victim.h"
#include "far/writeback.h"
#include "lib/crc.h"
#include "lib/event.h"
#include "lib/plant.h"

#define SEND_BUDGET    8u /* WRITEs per turn: each costs a checksum and a copy of 4 KiB */
#define UNBLOCK_BUDGET 64u

static bool to_be_written(const struct frame *f)
{
	return f->state == PAGE_VICTIM_DIRTY || f->state == PAGE_CLEANING;
}

/* False: nothing was posted. */
static bool post(struct far *far, unsigned server, uint32_t tag, uint64_t now)
{
	struct far_server *s = &far->server[server];
	struct record *r = &s->record[tag];
	struct extent *e = engine_extent_of(far, r->page);
	uint64_t offset = (uint64_t)(r->page % ENGINE_EXTENT_PAGES) * PAGE_SIZE;
	const struct frame *f = &far->frame[r->frame];

	/* R1: the shootdown after the last change of its entry is settled; nobody writes it any more. */
	check(to_be_written(f) && f->epoch <= far->settled && f->page == r->page);
	if (!session_write(s->session, e->address + offset, e->rkey, pcache_memory(far, r->frame),
		    tag, now))
		return false;
	r->state = RECORD_SENT;
	event_record(EVENT_WRITE, r->page, r->frame);
	return true;
}

static void forget(struct far *far, unsigned server, struct record *r)
{
	far->frame[r->frame].writing = 0;
	r->state = RECORD_FREE;
	far->server[server].in_flight--;
}

void writeback_protected_clean(struct far *far, uint32_t frame)
{
	struct frame *f = &far->frame[frame];
	_Atomic uint64_t *leaf = &far->leaf[f->page];
	uint64_t old = slat_read(leaf);

	check(f->state == PAGE_CLEANING && f->list == LIST_NONE);
	f->dirty = 0;
	f->generation++;
	pcache_state(far, f, PAGE_RESIDENT);
	if (!far->format.dirty)
		return;
	while (!slat_compare_exchange(leaf, &old, old | far->format.writable))
		;
}

static void written(struct far *far, uint32_t frame, uint32_t crc)
{
	struct frame *f = &far->frame[frame];

	f->crc = crc;
	f->zero = 0;
	if (f->state == PAGE_CLEANING)
		writeback_protected_clean(far, frame);
	else
		victim_clean(far, frame);
}

/* The record is gone and its content is not (or no more) what the server has to hold. */
static void release(struct far *far, uint32_t frame)
{
	if (to_be_written(&far->frame[frame]) && far->frame[frame].list == LIST_NONE)
		victim_judge(far, frame);
}

void writeback_done(
	struct far *far, unsigned server, uint32_t tag, enum session_status status, uint64_t now)
{
	struct far_server *s = &far->server[server];
	struct record *r = &s->record[tag];
	struct frame *f;

	check(tag < SESSION_WRITES && r->state == RECORD_SENT);
	f = &far->frame[r->frame];
	check(f->writing && f->page == r->page);
	event_record(EVENT_WRITTEN, r->page, status);
	if (status != SESSION_OK && !planted(PLANT_DROP_RECORD)) {
		r->state = RECORD_LOST;
		s->lost++;
		return;
	}
	far->counters.writeback_acks++;
	forget(far, server, r);
	if (to_be_written(f) && f->list == LIST_NONE &&
		(f->generation == r->generation || planted(PLANT_OLD_ACK))) {
		written(far, r->frame, r->crc);
		return;
	}
	far->counters.writeback_stale++;
	release(far, r->frame);
}

static void begin(struct far *far, unsigned server, uint32_t tag, uint32_t frame, uint64_t now)
{
	struct far_server *s = &far->server[server];
	struct frame *f = &far->frame[frame];
	struct record *r = &s->record[tag];

	pcache_unlink(far, frame);
	if (!extent_held(engine_extent_of(far, f->page))) {
		extent_want(far, f->page);
		pcache_append(far, LIST_BLOCKED, frame);
		return;
	}
	check(!f->writing && f->dirty);
	*r = (struct record){.page = f->page,
		.frame = frame,
		.generation = f->generation,
		.crc = crc_castagnoli(pcache_memory(far, frame), PAGE_SIZE)};
	if (!post(far, server, tag, now)) {
		pcache_append(far, LIST_WRITE + server, frame);
		return;
	}
	f->writing = 1;
	s->in_flight++;
	far->counters.writebacks++;
}

/* Sends a lost record again, unless its page has changed since: then only the record goes. */
static bool again(struct far *far, unsigned server, uint32_t tag, uint64_t now)
{
	struct far_server *s = &far->server[server];
	struct record *r = &s->record[tag];
	struct frame *f = &far->frame[r->frame];

	if (to_be_written(f) && f->list == LIST_NONE && f->generation == r->generation &&
		extent_held(engine_extent_of(far, r->page))) {
		if (!post(far, server, tag, now))
			return false;
		far->counters.writeback_retries++;
	} else {
		forget(far, server, r);
		release(far, r->frame);
	}
	s->lost--;
	return true;
}

static void turn_lost(struct far *far, unsigned server, unsigned *budget, uint64_t now)
{
	struct far_server *s = &far->server[server];

	for (uint32_t tag = 0; s->lost > 0 && tag<SESSION_WRITES && * budget> 0; tag++) {
		if (s->record[tag].state != RECORD_LOST)
			continue;
		--*budget;
		if (session_writes_free(s->session) == 0 || !again(far, server, tag, now))
			return;
	}
}

void writeback_turn(struct far *far, unsigned server, uint64_t now)
{
	struct far_server *s = &far->server[server];
	struct list *l = &far->list[LIST_WRITE + server];
	unsigned budget = SEND_BUDGET;

	if (!s->ready)
		return;
	turn_lost(far, server, &budget, now);
	if (s->lost > 0)
		return;
	for (uint32_t tag = 0; tag < SESSION_WRITES && l->count > 0 && budget > 0; tag++) {
		if (s->record[tag].state != RECORD_FREE)
			continue;
		if (session_writes_free(s->session) == 0)
			return;
		budget--;
		begin(far, server, tag, l->head, now);
	}
}

void writeback_unblock(struct far *far)
{
	struct list *l = &far->list[LIST_BLOCKED];

	if (far->unblock > l->count)
		far->unblock = l->count;
	for (unsigned budget = UNBLOCK_BUDGET; far->unblock > 0 && budget > 0; budget--) {
		uint32_t frame = l->head;
		uint32_t page = far->frame[frame].page;

		far->unblock--;
		pcache_unlink(far, frame);
		if (extent_held(engine_extent_of(far, page)))
			pcache_append(far, LIST_WRITE + engine_server_of(far, page), frame);
		else
			pcache_append(far, LIST_BLOCKED, frame);
	}
}

bool writeback_busy(const struct far *far, unsigned server)
{
	const struct far_server *s = &far->server[server];

	if (!s->ready || session_writes_free(s->session) == 0)
		return false;
	return s->lost > 0 ||
	       (far->list[LIST_WRITE + server].count > 0 && s->in_flight < SESSION_WRITES);
}
