/* SPDX-License-Identifier: MIT */
/* The servers behind sessions without packets: slots, reboots, a second tenant, stale pages. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "lib/plant.h"
#include "sim/direct.h"

const char *const backend_name = "direct";

struct slot *direct_slot(struct session *s, uint64_t address, uint32_t rkey, uint64_t *offset)
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

void direct_execute(struct session *s, struct op *op)
{
	uint64_t offset;

	op->executed = true;
	if (op->kind >= OP_LEASE)
		return;
	if (!direct_slot(s, op->address, op->rkey, &offset)) {
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

uint32_t direct_slot_of(const struct session *s, uint32_t index)
{
	for (uint32_t i = 0; i < s->b->config.slots; i++) {
		if (s->slot[i].owner == SLOT_OURS && s->slot[i].index == index)
			return i;
	}
	return DIRECT_NONE;
}

static void wipe(struct session *s, uint32_t slot)
{
	memset(pool_at(s, (uint64_t)slot * BACKEND_SLOT_PAGES * PAGE), 0,
		BACKEND_SLOT_PAGES * PAGE);
}

void direct_name(struct session *s, uint32_t index, uint32_t slot)
{
	s->events->extent(s->context, s->config.server, index, RPC_EXTENT_HELD, ADDRESS(slot),
		s->slot[slot].rkey);
}

void direct_lease(struct session *s, uint32_t index)
{
	uint32_t slot = direct_slot_of(s, index);

	if (s->lost[index]) {
		s->events->lease_refused(s->context, s->config.server, index, RPC_ERROR_LOST);
		return;
	}
	for (uint32_t i = 0; slot == DIRECT_NONE && i < s->b->config.slots; i++) {
		if (s->slot[i].owner != SLOT_FREE)
			continue;
		slot = i;
		s->slot[i] = (struct slot){SLOT_OURS, index, ++s->next_rkey};
	}
	if (slot == DIRECT_NONE)
		s->events->lease_refused(s->context, s->config.server, index, RPC_ERROR_POOL);
	else
		direct_name(s, index, slot);
}

void direct_release(struct session *s, uint32_t index)
{
	uint32_t slot = direct_slot_of(s, index);

	s->lost[index] = false;
	if (slot != DIRECT_NONE) {
		wipe(s, slot);
		s->slot[slot].owner = SLOT_FREE;
	}
	s->events->released(s->context, s->config.server, index);
}

void direct_haunt(struct session *s, const struct op *op, uint64_t now)
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

void direct_fence(struct session *s)
{
	if (planted(PLANT_NO_FENCE))
		return;
	for (unsigned i = 0; i < GHOSTS; i++) {
		s->b->totals.fenced += s->ghost[i].used;
		s->ghost[i].used = false;
	}
}

void backend_receive(struct backend *b, uint64_t now)
{
	b->now = now;
	for (unsigned i = 0; i < b->config.servers; i++)
		session_turn(&b->session[i], now);
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
		if (direct_slot(s, g->address, g->rkey, &offset)) {
			s->b->totals.late++;
			remember_old(s, offset);
			memcpy(pool_at(s, offset), g->data, PAGE);
		}
	}
	for (uint32_t i = 0; s->state == SESSION_READY && i < s->count; i++) {
		if (session_op(s, i)->executed)
			continue;
		if (session_op(s, i)->execute_at > now)
			break;
		direct_execute(s, session_op(s, i));
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
	session_die(s, now, true);
}

void backend_chaos(struct backend *b, uint64_t now, bool reboots)
{
	struct session *s = &b->session[random_below(&b->random, b->config.servers)];

	b->totals.faults++;
	flicker_on(s, now);
	switch (random_below(&b->random, 8)) {
	case 0:
		b->delay_max = random_between(&b->random, 1000, 30000);
		b->die = 0;
		break;
	case 1:
		b->delay_max = random_between(&b->random, 10000, 30000000);
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
		if (!s->stranger_until && s->up)
			stranger(s, true, now);
		break;
	default:
		session_die(s, now, false);
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
