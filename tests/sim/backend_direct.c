/* SPDX-License-Identifier: MIT */
/*
 * The fast backend: the session contract (fabric/session.h) without packets. A queue pair is a queue
 * of operations that execute in order after random delays. One that dies leaves its unexecuted WRITEs
 * behind; those may still execute, however late, until the server fences them at the next attach.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "lib/plant.h"
#include "sim/backend.h"
#include "sim/random.h"

#define OPS           128u
#define GHOSTS        256u
#define SLOTS_MAX     16u
#define INDEX_MAX     32u
#define PAGE          4096u
#define NO_SLOT       0xffffffffu
#define ADDRESS(slot) (0x7f0000000000ull + (uint64_t)(slot)*RPC_EXTENT_SIZE)

enum kind {
	OP_READ,
	OP_WRITE,
	OP_LEASE,
	OP_RELEASE,
};

struct op {
	enum kind kind;
	bool executed;
	bool abandoned;
	bool failed; /* the server answers with an error */
	uint32_t rkey;
	uint32_t tag; /* or extent */
	uint64_t address;
	void *to;
	uint64_t execute_at;
	uint64_t done_at;
	uint8_t *data; /* PAGE bytes of the op's slot in the data pool */
};

struct ghost {
	bool used;
	uint64_t address;
	uint32_t rkey;
	uint64_t execute_at;
	uint8_t data[PAGE];
};

enum slot_owner {
	SLOT_FREE,
	SLOT_OURS,
	SLOT_STRANGER,
};

struct slot {
	enum slot_owner owner;
	uint32_t index;
	uint32_t rkey;
};

/* A page that shows older content for a while. */
struct flicker {
	bool on;
	uint64_t until;
	uint64_t offset;
	uint8_t good[PAGE];
	uint8_t old[PAGE];
	bool have_old;
};

struct session {
	struct backend *b;
	struct session_config config;
	const struct session_events *events;
	void *context;
	enum session_state state;
	uint64_t since;
	uint64_t retry_at;
	uint32_t reconnects;
	bool attached; /* has been once */
	struct op op[OPS]; /* a ring */
	uint32_t first, count;
	uint64_t last_execute, last_done;
	bool lease_asked[INDEX_MAX];
	/* The server. */
	bool up;
	uint64_t up_at;
	bool rebooted;
	uint8_t *pool;
	struct slot slot[SLOTS_MAX];
	bool lost[INDEX_MAX];
	uint32_t next_rkey;
	uint64_t stranger_until;
	struct flicker flicker;
	struct ghost ghost[GHOSTS];
};

struct backend {
	struct backend_config config;
	struct random random;
	uint64_t now;
	uint64_t delay_max;
	uint32_t die; /* chance per million operations that the queue pair dies with it */
	uint8_t *data;
	const char *broken;
	struct backend_totals totals;
	struct session session[4];
};

const char *const backend_name = "direct";

static struct slot *slot_at(struct session *s, uint64_t address, uint32_t rkey, uint64_t *offset)
{
	uint64_t slot = (address - ADDRESS(0)) / RPC_EXTENT_SIZE;

	*offset = (address - ADDRESS(0)) % RPC_EXTENT_SIZE;
	if (slot >= s->b->config.slots || *offset + PAGE > BACKEND_SLOT_PAGES * PAGE)
		return NULL;
	if (s->slot[slot].owner != SLOT_OURS || s->slot[slot].rkey != rkey)
		return NULL;
	*offset += slot * BACKEND_SLOT_PAGES * PAGE;
	return &s->slot[slot];
}

static struct op *op_at(struct session *s, uint32_t i)
{
	return &s->op[(s->first + i) % OPS];
}

static uint64_t delay(struct backend *b)
{
	return random_between(&b->random, 500, b->delay_max);
}

static struct op *push(struct session *s, enum kind kind, uint64_t now)
{
	struct op *op = op_at(s, s->count);
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
		struct op *op = op_at(s, i);

		if (op->kind == OP_READ && op->tag == tag && !op->abandoned)
			op->abandoned = true;
	}
}

bool session_lease(struct session *s, uint32_t index)
{
	struct op *op = index < INDEX_MAX ? push(s, OP_LEASE, s->b->now) : NULL;

	if (!op)
		return false;
	op->tag = index;
	s->lease_asked[index] = true;
	return true;
}

bool session_release(struct session *s, uint32_t index)
{
	struct op *op = index < INDEX_MAX ? push(s, OP_RELEASE, s->b->now) : NULL;

	if (!op)
		return false;
	op->tag = index;
	return true;
}

static uint8_t *pool_at(struct session *s, uint64_t offset)
{
	return s->pool + offset;
}

/* Keeps what was there before, so that it can be shown again. */
static void remember_old(struct session *s, uint64_t offset)
{
	struct flicker *f = &s->flicker;

	if (f->on && f->offset == offset)
		f->on = false;
	if (!f->on && random_chance(&s->b->random, 100)) {
		memcpy(f->old, pool_at(s, offset), PAGE);
		f->offset = offset;
		f->have_old = true;
	}
}

static void execute(struct session *s, struct op *op)
{
	uint64_t offset;

	op->executed = true;
	if (op->kind >= OP_LEASE)
		return;
	if (!slot_at(s, op->address, op->rkey, &offset)) {
		op->failed = true;
		return;
	}
	if (op->kind == OP_READ) {
		memcpy(op->data, pool_at(s, offset), PAGE);
	} else {
		remember_old(s, offset);
		memcpy(pool_at(s, offset), op->data, PAGE);
	}
}

static uint32_t slot_of(const struct session *s, uint32_t index)
{
	for (uint32_t i = 0; i < s->b->config.slots; i++) {
		if (s->slot[i].owner == SLOT_OURS && s->slot[i].index == index)
			return i;
	}
	return NO_SLOT;
}

static void wipe(struct session *s, uint32_t slot)
{
	memset(pool_at(s, (uint64_t)slot * BACKEND_SLOT_PAGES * PAGE), 0,
		BACKEND_SLOT_PAGES * PAGE);
}

static void name(struct session *s, uint32_t index, uint32_t slot)
{
	s->events->extent(s->context, s->config.server, index, RPC_EXTENT_HELD, ADDRESS(slot),
		s->slot[slot].rkey);
}

static void answer_lease(struct session *s, uint32_t index)
{
	uint32_t slot = slot_of(s, index);

	s->lease_asked[index] = false;
	if (s->lost[index]) {
		s->events->lease_refused(s->context, s->config.server, index, RPC_ERROR_LOST);
		return;
	}
	for (uint32_t i = 0; slot == NO_SLOT && i < s->b->config.slots; i++) {
		if (s->slot[i].owner != SLOT_FREE)
			continue;
		slot = i;
		s->slot[i] = (struct slot){SLOT_OURS, index, ++s->next_rkey};
	}
	if (slot == NO_SLOT)
		s->events->lease_refused(s->context, s->config.server, index, RPC_ERROR_POOL);
	else
		name(s, index, slot);
}

static void answer_release(struct session *s, uint32_t index)
{
	uint32_t slot = slot_of(s, index);

	s->lost[index] = false;
	if (slot != NO_SLOT) {
		wipe(s, slot);
		s->slot[slot].owner = SLOT_FREE;
	}
	s->events->released(s->context, s->config.server, index);
}

static void haunt(struct session *s, const struct op *op, uint64_t now)
{
	for (unsigned i = 0; i < GHOSTS; i++) {
		struct ghost *g = &s->ghost[i];

		if (g->used)
			continue;
		*g = (struct ghost){.used = true,
			.address = op->address,
			.rkey = op->rkey,
			.execute_at = now + random_between(&s->b->random, 1000, 400000000)};
		memcpy(g->data, op->data, PAGE);
		return;
	}
}

/* The queue pair dies: what was outstanding is lost; its WRITEs may still execute later. */
static void die(struct session *s, uint64_t now, bool silently)
{
	struct backend *b = s->b;

	if (s->state != SESSION_READY)
		return;
	s->state = SESSION_AWAY;
	s->since = now;
	s->retry_at = now + random_between(&b->random, 20000, 20000000);
	b->totals.queue_pairs_lost++;
	for (; s->count > 0; s->first = (s->first + 1) % OPS, s->count--) {
		struct op *op = op_at(s, 0);

		if (op->kind == OP_WRITE && !op->executed && !silently)
			haunt(s, op, now);
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

static void fence(struct session *s)
{
	if (planted(PLANT_NO_FENCE))
		return;
	for (unsigned i = 0; i < GHOSTS; i++) {
		s->b->totals.fenced += s->ghost[i].used;
		s->ghost[i].used = false;
	}
}

static void attach(struct session *s, uint64_t now)
{
	fence(s);
	s->state = SESSION_READY;
	s->reconnects += s->attached;
	s->attached = true;
	s->since = now;
	s->last_execute = s->last_done = now;
	for (uint32_t index = 0; index < INDEX_MAX; index++) {
		uint32_t slot = slot_of(s, index);

		if (s->lost[index])
			s->events->extent(
				s->context, s->config.server, index, RPC_EXTENT_LOST, 0, 0);
		else if (slot != NO_SLOT)
			name(s, index, slot);
	}
	s->events->ready(s->context, s->config.server, now);
	for (uint32_t index = 0; index < INDEX_MAX; index++) {
		if (s->lease_asked[index])
			session_lease(s, index);
	}
}

/* False: the queue pair died of it. */
static bool complete(struct session *s, struct op *op, uint64_t now)
{
	struct op o = *op;

	if (o.failed || random_below(&s->b->random, 1000000) < s->b->die) {
		die(s, now, false);
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
		answer_lease(s, o.tag);
		break;
	case OP_RELEASE:
		answer_release(s, o.tag);
		break;
	}
	return true;
}

static void turn(struct session *s, uint64_t now)
{
	if (s->state != SESSION_READY) {
		if (s->up && s->retry_at <= now)
			attach(s, now);
		return;
	}
	while (s->count > 0 && s->state == SESSION_READY) {
		struct op *op = op_at(s, 0);

		if (!op->executed || op->done_at > now || !complete(s, op, now))
			return;
	}
}

void backend_receive(struct backend *b, uint64_t now)
{
	b->now = now;
	for (unsigned i = 0; i < b->config.servers; i++)
		turn(&b->session[i], now);
}

void backend_turn(struct backend *b, uint64_t now)
{
	backend_receive(b, now);
}

static void flicker_off(struct session *s)
{
	if (s->flicker.on)
		memcpy(pool_at(s, s->flicker.offset), s->flicker.good, PAGE);
	s->flicker.on = false;
}

static void flicker_on(struct session *s, uint64_t now)
{
	struct flicker *f = &s->flicker;

	if (f->on || !f->have_old)
		return;
	memcpy(f->good, pool_at(s, f->offset), PAGE);
	memcpy(pool_at(s, f->offset), f->old, PAGE);
	f->on = true;
	f->until = now + random_between(&s->b->random, 100000, 20000000);
}

/* A second tenant writes all over the extents that are free. */
static void stranger(struct session *s, bool in, uint64_t now)
{
	for (uint32_t i = 0; i < s->b->config.slots; i++) {
		uint8_t *memory = pool_at(s, (uint64_t)i * BACKEND_SLOT_PAGES * PAGE);

		if (in && s->slot[i].owner == SLOT_FREE) {
			if (memory[0] || memcmp(memory, memory + 1, BACKEND_SLOT_PAGES * PAGE - 1))
				s->b->broken = "a stranger was given an extent that is not zeroed";
			s->slot[i] = (struct slot){SLOT_STRANGER, 0, ++s->next_rkey};
			memset(memory, 0xa5, BACKEND_SLOT_PAGES * PAGE);
		} else if (!in && s->slot[i].owner == SLOT_STRANGER) {
			if (memory[0] != 0xa5 ||
				memcmp(memory, memory + 1, BACKEND_SLOT_PAGES * PAGE - 1))
				s->b->broken = "somebody wrote into a stranger's extent";
			wipe(s, i);
			s->slot[i].owner = SLOT_FREE;
		}
	}
	s->stranger_until = in ? now + random_between(&s->b->random, 1000000, 50000000) : 0;
}

static void server_advance(struct session *s, uint64_t now)
{
	if (!s->up && s->up_at <= now)
		s->up = true;
	if (s->flicker.on && s->flicker.until <= now)
		flicker_off(s);
	if (s->stranger_until && s->stranger_until <= now)
		stranger(s, false, now);
	for (unsigned i = 0; i < GHOSTS; i++) {
		struct ghost *g = &s->ghost[i];
		uint64_t offset;

		if (!g->used || g->execute_at > now)
			continue;
		g->used = false;
		if (slot_at(s, g->address, g->rkey, &offset)) {
			s->b->totals.late++;
			remember_old(s, offset);
			memcpy(pool_at(s, offset), g->data, PAGE);
		}
	}
	for (uint32_t i = 0; s->state == SESSION_READY && i < s->count; i++) {
		if (op_at(s, i)->executed)
			continue;
		if (op_at(s, i)->execute_at > now)
			break;
		execute(s, op_at(s, i));
	}
}

void backend_advance(struct backend *b, uint64_t now)
{
	b->now = now;
	for (unsigned i = 0; i < b->config.servers; i++)
		server_advance(&b->session[i], now);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t backend_next(const struct backend *b)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < b->config.servers; i++) {
		const struct session *s = &b->session[i];
		const struct op *op = &s->op[s->first];

		if (s->state != SESSION_READY)
			next = earlier(next, s->up ? s->retry_at : s->up_at);
		else if (s->count > 0)
			next = earlier(next, op->executed ? op->done_at : op->execute_at);
		if (s->stranger_until)
			next = earlier(next, s->stranger_until);
		if (s->flicker.on)
			next = earlier(next, s->flicker.until);
	}
	return next;
}

static void server_down(struct session *s, uint64_t now, bool reboot)
{
	struct backend *b = s->b;

	for (unsigned i = 0; i < GHOSTS; i++)
		s->ghost[i].used = false;
	flicker_off(s);
	s->flicker.have_old = false;
	s->up = false;
	s->up_at = now + random_between(&b->random, 1000000, 700000000);
	if (reboot) {
		b->totals.reboots++;
		s->rebooted = true;
		for (uint32_t i = 0; i < b->config.slots; i++) {
			if (s->slot[i].owner == SLOT_OURS)
				s->lost[s->slot[i].index] = true;
			s->slot[i].owner = SLOT_FREE;
			wipe(s, i);
		}
		s->stranger_until = 0;
	} else {
		b->totals.restarts++;
		for (uint32_t i = 0; i < b->config.slots; i++)
			s->slot[i].rkey = ++s->next_rkey;
	}
	die(s, now, true);
}

void backend_chaos(struct backend *b, uint64_t now, bool reboots)
{
	struct session *s = &b->session[random_below(&b->random, b->config.servers)];

	b->totals.faults++;
	switch (random_below(&b->random, 9)) {
	case 0:
		b->delay_max = random_between(&b->random, 1000, 30000);
		b->die = 0;
		break;
	case 1:
		b->delay_max = random_between(&b->random, 10000, 3000000);
		break;
	case 2:
		b->die = random_below(&b->random, 20000);
		break;
	case 3:
		/* One direction only: nothing is answered for a while. */
		s->last_done = now + random_between(&b->random, 1000000, 900000000);
		break;
	case 4:
		server_down(s, now, reboots && random_chance(&b->random, 300));
		break;
	case 5:
		flicker_on(s, now);
		break;
	case 6:
		if (!s->stranger_until && s->up)
			stranger(s, true, now);
		break;
	default:
		die(s, now, false);
		break;
	}
}

void backend_calm(struct backend *b, uint64_t now)
{
	b->delay_max = 5000;
	b->die = 0;
	for (unsigned i = 0; i < b->config.servers; i++) {
		struct session *s = &b->session[i];

		s->up_at = s->up ? s->up_at : now;
		flicker_off(s);
		if (s->stranger_until)
			stranger(s, false, now);
	}
}

bool backend_rebooted(const struct backend *b, unsigned server)
{
	return b->session[server].rebooted;
}

const char *backend_broken(const struct backend *b)
{
	return b->broken;
}

void backend_totals(const struct backend *b, struct backend_totals *totals)
{
	*totals = b->totals;
}

struct session *session_open(struct fabric *fabric, const struct session_config *config)
{
	struct backend *b = (struct backend *)fabric;
	struct session *s = &b->session[config->server];

	s->b = b;
	s->config = *config;
	s->state = SESSION_IDLE;
	return s;
}

void session_listen(struct session *s, const struct session_events *events, void *context)
{
	s->events = events;
	s->context = context;
}

void session_reconnect(struct session *s, uint64_t now)
{
	die(s, now, false);
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

struct session *backend_session(struct backend *b, unsigned server)
{
	return &b->session[server];
}

struct backend *backend_new(const struct backend_config *config)
{
	struct backend *b = calloc(1, sizeof(*b));
	size_t bytes = (size_t)config->slots * BACKEND_SLOT_PAGES * PAGE;

	b->config = *config;
	b->random.state = config->seed;
	b->delay_max = 20000;
	b->data = malloc((size_t)config->servers * OPS * PAGE);
	for (unsigned i = 0; i < config->servers; i++) {
		struct session *s = session_open((struct fabric *)b,
			&(struct session_config){.server = i, .extents = config->slots});

		s->up = true;
		s->pool = mmap(
			NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		for (unsigned op = 0; op < OPS; op++)
			s->op[op].data = b->data + ((size_t)i * OPS + op) * PAGE;
	}
	return b;
}

void backend_free(struct backend *b)
{
	for (unsigned i = 0; i < b->config.servers; i++)
		munmap(b->session[i].pool, (size_t)b->config.slots * BACKEND_SLOT_PAGES * PAGE);
	free(b->data);
	free(b);
}
