/* SPDX-License-Identifier: MIT */
/*
 * The session contract (fabric/session.h) without packets. A queue pair is a queue of operations that
 * execute in order after random delays. One that dies leaves its unexecuted WRITEs behind; those may
 * still execute, however late, until the server fences them at the next attach.
 */
#include <string.h>
#include "lib/plant.h"
#include "sim/direct.h"

struct op *session_op(struct session *s, uint32_t i)
{
	return &s->op[(s->first + i) % OPS];
}

static uint64_t delay(struct backend *b)
{
	return random_between(&b->random, 500, b->delay_max);
}

static struct op *push(struct session *s, enum kind kind, uint64_t now)
{
	struct op *op = session_op(s, s->count);
	uint8_t *data = op->data;

	if (s->state != SESSION_READY || s->count == OPS)
		return NULL;
	s->last_execute = now + delay(s->b) > s->last_execute ? now + delay(s->b) : s->last_execute;
	s->last_done = s->last_execute + delay(s->b) > s->last_done ? s->last_execute + delay(s->b)
								    : s->last_done;
	*op = (struct op){
		.kind = kind, .data = data, .execute_at = s->last_execute, .done_at = s->last_done};
	s->count++;
	return op;
}

static unsigned outstanding(const struct session *s, enum kind kind)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < s->count; i++)
		n += s->op[(s->first + i) % OPS].kind == kind;
	return n;
}

unsigned session_reads_free(const struct session *s)
{
	return s->state == SESSION_READY ? SESSION_READS - outstanding(s, OP_READ) : 0;
}

unsigned session_writes_free(const struct session *s)
{
	return s->state == SESSION_READY ? SESSION_WRITES - outstanding(s, OP_WRITE) : 0;
}

bool session_read(
	struct session *s, uint64_t address, uint32_t rkey, void *to, uint32_t tag, uint64_t now)
{
	struct op *op = session_reads_free(s) > 0 ? push(s, OP_READ, now) : NULL;

	if (!op)
		return false;
	op->address = address;
	op->rkey = rkey;
	op->to = to;
	op->tag = tag;
	s->b->totals.reads++;
	s->b->config.interleave(s->b->config.context);
	return true;
}

bool session_write(struct session *s, uint64_t address, uint32_t rkey, const void *from,
	uint32_t tag, uint64_t now)
{
	struct op *op;

	s->b->config.interleave(s->b->config.context);
	op = session_writes_free(s) > 0 ? push(s, OP_WRITE, now) : NULL;
	if (!op)
		return false;
	op->address = address;
	op->rkey = rkey;
	op->tag = tag;
	memcpy(op->data, from, PAGE);
	s->b->totals.writes++;
	s->b->config.interleave(s->b->config.context);
	return true;
}

void session_abandon(struct session *s, uint32_t tag)
{
	for (uint32_t i = 0; i < s->count; i++) {
		struct op *op = session_op(s, i);

		if (op->kind == OP_READ && op->tag == tag && !op->abandoned)
			op->abandoned = true;
	}
}

/* Control messages: one at a time, and again on the next queue pair until they are answered. */
static bool enqueue(struct session *s, enum kind kind, uint32_t index)
{
	if (index >= INDEX_MAX || s->items == ITEMS)
		return false;
	s->item[s->items++] = (struct item){kind, index};
	return true;
}

bool session_lease(struct session *s, uint32_t index)
{
	return enqueue(s, OP_LEASE, index);
}

bool session_release(struct session *s, uint32_t index)
{
	return enqueue(s, OP_RELEASE, index);
}

/* The queue pair dies: what was outstanding is lost; its WRITEs may still execute later. */
void session_die(struct session *s, uint64_t now, bool silently)
{
	struct backend *b = s->b;

	if (s->state != SESSION_READY)
		return;
	s->state = SESSION_AWAY;
	s->asked = false;
	s->since = now;
	s->retry_at = now + random_between(&b->random, 20000, 20000000);
	b->totals.queue_pairs_lost++;
	for (; s->count > 0; s->first = (s->first + 1) % OPS, s->count--) {
		struct op *op = session_op(s, 0);

		if (op->kind == OP_WRITE && !op->executed && !silently)
			direct_haunt(s, op, now);
		/* Some of the answer's packets may have come. */
		if (op->kind == OP_READ && !op->abandoned && op->executed && !op->failed)
			memcpy(op->to, op->data, PAGE / 4 * random_below(&b->random, 4));
		if (op->kind == OP_WRITE)
			s->events->write_done(
				s->context, s->config.server, op->tag, SESSION_LOST, now);
		else if (op->kind == OP_READ && !op->abandoned)
			s->events->read_done(
				s->context, s->config.server, op->tag, SESSION_LOST, now);
	}
	s->events->lost(s->context, s->config.server, now);
}

static void attach(struct session *s, uint64_t now)
{
	direct_fence(s);
	s->state = SESSION_READY;
	s->reconnects += s->attached;
	s->attached = true;
	s->since = now;
	s->last_execute = s->last_done = now;
	for (uint32_t index = 0; index < INDEX_MAX; index++) {
		uint32_t slot = direct_slot_of(s, index);

		if (s->lost[index])
			s->events->extent(
				s->context, s->config.server, index, RPC_EXTENT_LOST, 0, 0);
		else if (slot != DIRECT_NONE)
			direct_name(s, index, slot);
	}
	s->events->ready(s->context, s->config.server, now);
}

static void ask(struct session *s, uint64_t now)
{
	struct op *op;

	if (s->asked || s->items == 0)
		return;
	op = push(s, s->item[0].kind, now);
	if (!op)
		return;
	op->tag = s->item[0].index;
	s->asked = true;
}

static void answered(struct session *s)
{
	s->asked = false;
	s->items--;
	memmove(s->item, s->item + 1, s->items * sizeof(s->item[0]));
}

/* False: the queue pair died of it. */
static bool complete(struct session *s, struct op *op, uint64_t now)
{
	struct op o = *op;

	if (o.failed || random_below(&s->b->random, 1000000) < s->b->die) {
		session_die(s, now, false);
		return false;
	}
	s->first = (s->first + 1) % OPS;
	s->count--;
	switch (o.kind) {
	case OP_READ:
		if (!o.abandoned && random_chance(&s->b->random, 2)) {
			memset(o.to, 0xee, PAGE / 2);
			s->events->read_done(
				s->context, s->config.server, o.tag, SESSION_BROKEN, now);
			break;
		}
		if (!o.abandoned || planted(PLANT_ABANDONED_READ))
			memcpy(o.to, o.data, PAGE);
		if (!o.abandoned)
			s->events->read_done(s->context, s->config.server, o.tag, SESSION_OK, now);
		break;
	case OP_WRITE:
		s->events->write_done(s->context, s->config.server, o.tag, SESSION_OK, now);
		break;
	case OP_LEASE:
		answered(s);
		direct_lease(s, o.tag);
		break;
	case OP_RELEASE:
		answered(s);
		direct_release(s, o.tag);
		break;
	}
	return true;
}

void session_turn(struct session *s, uint64_t now)
{
	if (s->state != SESSION_READY) {
		if (s->up && s->retry_at <= now)
			attach(s, now);
		return;
	}
	ask(s, now);
	while (s->count > 0 && s->state == SESSION_READY) {
		struct op *op = session_op(s, 0);

		if (!op->executed || op->done_at > now || !complete(s, op, now))
			return;
	}
}

void session_listen(struct session *s, const struct session_events *events, void *context)
{
	s->events = events;
	s->context = context;
}

void session_reconnect(struct session *s, uint64_t now)
{
	session_die(s, now, false);
}

void session_info(const struct session *s, struct session_info *info)
{
	*info = (struct session_info){.state = s->state,
		.reached = s->state,
		.since = s->since,
		.reconnects = s->reconnects,
		.mtu = 4096};
}

const char *session_state_name(enum session_state state)
{
	return state == SESSION_READY ? "ready" : "away";
}
