/* SPDX-License-Identifier: MIT */
/* The simulated server's process: the real policy, its operations on memory and store. */
#include "sim/responder.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/plant.h"
#include "sim/responder_state.h"

#define BASE_ADDRESS    0x7f0000000000ull
#define SCRATCH_ADDRESS 0x7e0000000000ull
#define STRANGER        0x5354524e47455200ull

struct region *responder_region(struct responder *r, uint32_t rkey)
{
	struct region *m = rkey >> 8 < r->regions ? &r->region[rkey >> 8] : NULL;

	return m != NULL && m->live && m->rkey == rkey ? m : NULL;
}

static struct region *region_new(struct responder *r, uint64_t tenant, uint64_t session)
{
	struct region *m = NULL;

	for (unsigned i = 0; i < r->regions && m == NULL; i++)
		if (!r->region[i].live)
			m = &r->region[i];
	if (m == NULL)
		return NULL;
	*m = (struct region){.live = true, .tenant = tenant, .session = session};
	m->index = UINT32_MAX;
	m->rkey = (uint32_t)(m - r->region) << 8 | (network_random(r->config.network) & 0xff);
	return m;
}

static void op_destroy(void *context, void *link_context)
{
	struct responder *r = context;
	struct responder_link *l = link_context;

	(void)r;
	if (l == NULL)
		return; /* the stranger has none */
	l->responder->counters.fenced++;
	l->policy = NULL;
	l->state = planted(PLANT_NO_FENCE) ? LINK_ZOMBIE : LINK_FREE;
}

static int op_expose(void *context, uint64_t tenant, uint64_t session, uint32_t slot,
	uint64_t *address, uint32_t *rkey)
{
	struct responder *r = context;
	struct region *m = region_new(r, tenant, session);

	if (m == NULL)
		return ENOMEM;
	m->address = BASE_ADDRESS + (uint64_t)slot * RPC_EXTENT_SIZE;
	m->length = r->config.slot_size;
	m->memory = r->pool + (size_t)slot * r->config.slot_size;
	*address = m->address;
	*rkey = m->rkey;
	return 0;
}

static void op_conceal(void *context, uint64_t tenant, uint64_t session, uint32_t slot)
{
	struct responder *r = context;
	uint64_t address = BASE_ADDRESS + (uint64_t)slot * RPC_EXTENT_SIZE;

	for (unsigned i = 0; i < r->regions; i++) {
		struct region *m = &r->region[i];

		if (m->live && m->tenant == tenant && m->session == session &&
			m->address == address)
			m->live = false;
	}
}

static void op_zero(void *context, uint32_t slot)
{
	struct responder *r = context;

	memset(r->pool + (size_t)slot * r->config.slot_size, 0, r->config.slot_size);
}

static int op_scratch(
	void *context, uint64_t tenant, uint64_t session, uint64_t *address, uint32_t *rkey)
{
	struct responder *r = context;
	struct region *m = NULL;

	for (unsigned i = 0; i < r->regions; i++) {
		struct region *x = &r->region[i];

		if (x->live && x->scratch && x->tenant == tenant && x->session == session)
			m = x;
	}
	if (m == NULL) {
		m = region_new(r, tenant, session);
		if (m == NULL)
			return ENOMEM;
		m->scratch = m->memory = calloc(1, RPC_SCRATCH_SIZE);
		m->length = RPC_SCRATCH_SIZE;
		m->address = SCRATCH_ADDRESS + (uint64_t)(m - r->region) * RPC_SCRATCH_SIZE;
	}
	*address = m->address;
	*rkey = m->rkey;
	return 0;
}

static void op_session_end(void *context, uint64_t tenant, uint64_t session)
{
	struct responder *r = context;

	for (unsigned i = 0; i < r->regions; i++) {
		struct region *m = &r->region[i];

		if (!m->live || m->tenant != tenant || m->session != session)
			continue;
		free(m->scratch);
		m->live = false;
	}
}

static int op_store(void *context, uint32_t number, const void *record, size_t length)
{
	struct responder *r = context;
	size_t at = policy_record_place(number) * POLICY_RECORD_SIZE;

	assert(length == POLICY_RECORD_SIZE && at + length <= r->store_bytes);
	memcpy(r->stored + at, record, length);
	if (!r->unsync)
		memcpy(r->synced + at, record, length);
	return 0;
}

static void op_log(void *context, int level, const char *text)
{
	(void)context;
	if (getenv("ANNEX_TEST_LOG") != NULL)
		fprintf(stderr, "server <%d> %s\n", level, text);
}

static const struct policy_ops ops = {
	.destroy = op_destroy,
	.expose = op_expose,
	.conceal = op_conceal,
	.zero = op_zero,
	.scratch = op_scratch,
	.session_end = op_session_end,
	.store = op_store,
	.log = op_log,
};

static void new_pool_id(struct responder *r)
{
	for (unsigned i = 0; i < sizeof(r->pool_id); i++)
		r->pool_id[i] = network_random(r->config.network);
}

struct responder *responder_new(const struct responder_config *config)
{
	struct responder *r = calloc(1, sizeof(*r));
	uint8_t mac[6] = {0x52, 0x54, 0x01};
	bool started;

	r->config = *config;
	wire_put24(mac + 3, config->address);
	memcpy(r->mac, mac, 6);
	r->store_bytes = (policy_record_place(config->slots - 1) + 1) * POLICY_RECORD_SIZE;
	r->stored = calloc(1, r->store_bytes);
	r->synced = calloc(1, r->store_bytes);
	r->pool = calloc(config->slots, config->slot_size);
	r->regions = 2 * config->slots + 64;
	r->region = calloc(r->regions, sizeof(*r->region));
	r->cable = network_plug(config->network, r->mac, responder_frame, r);
	new_pool_id(r);
	started = responder_start(r);
	assert(started);
	(void)started;
	return r;
}

static void end_process(struct responder *r)
{
	for (unsigned i = 0; i < RESPONDER_LINKS; i++)
		r->link[i].state = LINK_FREE;
	for (unsigned i = 0; i < r->regions; i++) {
		if (r->region[i].live)
			free(r->region[i].scratch);
		r->region[i].live = false;
	}
	policy_free(r->policy);
	r->policy = NULL;
}

void responder_free(struct responder *r)
{
	if (r->policy != NULL)
		end_process(r);
	free(r->region);
	free(r->pool);
	free(r->stored);
	free(r->synced);
	free(r);
}

void responder_unlink(struct responder_link *l)
{
	if (l->policy != NULL)
		policy_unlinked(l->responder->policy, l->policy);
	l->policy = NULL;
	l->state = LINK_FREE;
}

static void name(struct responder *r, const uint8_t *from)
{
	struct rpc_extent e;
	struct region *m;

	memcpy(&e, from, sizeof(e));
	m = responder_region(r, be32_get(e.rkey));
	if (be32_get(e.state) == RPC_EXTENT_HELD && m != NULL)
		m->index = be32_get(e.index);
}

void responder_name_extents(struct responder *r, const uint8_t *answer, size_t length)
{
	const uint8_t *body = answer + sizeof(struct rpc_header);
	struct rpc_header header;
	struct rpc_listed listed;

	assert(length >= sizeof(header));
	memcpy(&header, answer, sizeof(header));
	if (be16_get(header.type) == (RPC_LEASE | RPC_ANSWER))
		name(r, body);
	if (be16_get(header.type) != (RPC_LIST | RPC_ANSWER))
		return;
	memcpy(&listed, body, sizeof(listed));
	for (uint32_t i = 0; i < be32_get(listed.count); i++)
		name(r, body + sizeof(listed) + i * sizeof(struct rpc_extent));
}

void responder_advance(struct responder *r, uint64_t now)
{
	if (now > r->now)
		r->now = now;
	if (!r->up || r->policy == NULL)
		return;
	for (unsigned i = 0; i < RESPONDER_LINKS; i++) {
		if (r->link[i].state != LINK_FREE)
			responder_cm_turn(&r->link[i], now);
		if (r->link[i].state != LINK_FREE)
			responder_qp_turn(&r->link[i], now);
	}
	policy_turn(r->policy);
}

uint64_t responder_next(const struct responder *r)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; r->up && i < RESPONDER_LINKS; i++) {
		const struct responder_link *l = &r->link[i];

		if (l->state == LINK_REPLIED && l->rep_at < next)
			next = l->rep_at;
		if (l->state != LINK_FREE && !l->error && l->send_at < next)
			next = l->send_at;
	}
	return next;
}

void responder_kill(struct responder *r, bool quiet)
{
	if (r->policy == NULL)
		return;
	for (unsigned i = 0; i < RESPONDER_LINKS && !quiet; i++)
		if (r->link[i].state == LINK_REPLIED || r->link[i].state == LINK_ESTABLISHED)
			responder_cm_disconnect(&r->link[i]);
	end_process(r);
}

static bool load(struct responder *r, uint32_t number)
{
	static const uint8_t zeros[POLICY_RECORD_SIZE];
	const uint8_t *record = r->stored + policy_record_place(number) * POLICY_RECORD_SIZE;

	if (memcmp(record, zeros, sizeof(zeros)) == 0)
		return true;
	return policy_load(r->policy, number, record, POLICY_RECORD_SIZE) == 0;
}

bool responder_start(struct responder *r)
{
	struct policy_config config = {
		.slots = r->config.slots,
		.quota = r->config.quota,
		.reads = r->config.reads,
		.overcommit = r->config.overcommit,
	};
	bool good;

	assert(r->policy == NULL);
	memcpy(config.pool, r->pool_id, sizeof(config.pool));
	r->up = true;
	r->policy = policy_new(&config, &ops, r);
	good = r->policy != NULL && load(r, POLICY_RECORD_HEADER);
	for (uint32_t i = 0; good && i < POLICY_SESSIONS; i++)
		good = load(r, POLICY_RECORD_SESSION + i);
	for (uint32_t i = 0; good && i < r->config.slots; i++)
		good = load(r, i);
	good = good && policy_loaded(r->policy) == 0;
	if (!good && r->policy != NULL)
		end_process(r);
	return good;
}

bool responder_running(const struct responder *r)
{
	return r->policy != NULL;
}

void responder_reboot(struct responder *r)
{
	responder_kill(r, true);
	r->up = false;
	r->neighbour_known = false;
	memcpy(r->stored, r->synced, r->store_bytes);
	memset(r->pool, 0, (size_t)r->config.slots * r->config.slot_size);
	new_pool_id(r);
}

void responder_unsync(struct responder *r, bool on)
{
	if (!on)
		memcpy(r->synced, r->stored, r->store_bytes);
	r->unsync = on;
}

bool responder_forget(struct responder *r, uint64_t tenant)
{
	return r->policy != NULL && policy_forget(r->policy, tenant) == 0;
}

/* One control message of the stranger; returns the answer's body if it is of the asked type. */
static const uint8_t *stranger_ask(struct responder *r, struct policy_link *link, uint16_t type,
	const void *body, size_t length, uint8_t answer[RPC_MESSAGE_MAX])
{
	uint8_t message[RPC_MESSAGE_MAX];
	struct rpc_header h = {
		.magic = be32_make(RPC_MAGIC),
		.version = be16_make(RPC_VERSION),
		.type = be16_make(type),
		.length = be32_make(length),
		.counter = be64_make(++r->stranger),
	};

	memcpy(message, &h, sizeof(h));
	memcpy(message + sizeof(h), body, length);
	policy_message(r->policy, link, message, sizeof(h) + length, answer);
	memcpy(&h, answer, sizeof(h));
	return be16_get(h.type) == (type | RPC_ANSWER) ? answer + sizeof(h) : NULL;
}

/* Takes one extent, looks at it, scribbles, gives it back. False: foreign bytes in it. */
static bool stranger_visit(
	struct responder *r, struct policy_link *link, uint32_t index, bool *leased)
{
	struct rpc_index ask = {.index = be32_make(index)};
	uint8_t answer[RPC_MESSAGE_MAX];
	const uint8_t *body = stranger_ask(r, link, RPC_LEASE, &ask, sizeof(ask), answer);
	struct rpc_extent e;
	struct region *m;
	bool clean = true;

	*leased = body != NULL;
	if (body == NULL)
		return true;
	memcpy(&e, body, sizeof(e));
	m = responder_region(r, be32_get(e.rkey));
	assert(m != NULL);
	for (uint64_t i = 0; i < m->length; i++)
		clean = clean && m->memory[i] == 0;
	memset(m->memory, 0xa5, m->length);
	return clean;
}

int responder_stranger(struct responder *r)
{
	struct rpc_hello hello = {
		.magic = be32_make(RPC_MAGIC),
		.version_low = be16_make(RPC_VERSION_LOW),
		.version_high = be16_make(RPC_VERSION),
		.tenant = be64_make(STRANGER),
		.session = be64_make(1 + network_random(r->config.network) / 2),
	};
	struct rpc_attach attach = {
		.mode = be32_make(RPC_ATTACH_FRESH),
		.extent_shift = be32_make(RPC_EXTENT_SHIFT),
		.domain = "a stranger here",
	};
	uint8_t answer[RPC_MESSAGE_MAX];
	struct policy_totals totals;
	struct rpc_welcome welcome;
	struct rpc_refusal refusal;
	struct policy_link *link;
	uint32_t had = 0;
	bool leased = true, clean = true;

	if (r->policy == NULL)
		return 0;
	policy_totals(r->policy, &totals);
	if (totals.promised >= totals.slots)
		return 0;
	attach.extents = be32_make(totals.slots - totals.promised);
	link = policy_connect(r->policy, &hello, sizeof(hello), NULL, &welcome, &refusal);
	if (link == NULL)
		return 0;
	r->stranger = 0;
	leased = stranger_ask(r, link, RPC_ATTACH, &attach, sizeof(attach), answer) != NULL;
	for (uint32_t i = 0; leased && i < totals.slots - totals.promised; i++) {
		clean = stranger_visit(r, link, i, &leased) && clean;
		had += leased;
	}
	for (uint32_t i = 0; i < had; i++) {
		struct rpc_index ask = {.index = be32_make(i)};

		stranger_ask(r, link, RPC_RELEASE, &ask, sizeof(ask), answer);
	}
	/* Ends its session and with it the link. */
	policy_forget(r->policy, STRANGER);
	return clean ? (int)had : -1;
}

const uint8_t *responder_peek(
	const struct responder *r, uint64_t tenant, uint32_t index, uint64_t offset)
{
	for (unsigned i = 0; i < r->regions; i++) {
		const struct region *m = &r->region[i];

		if (m->live && m->scratch == NULL && m->tenant == tenant && m->index == index &&
			offset < m->length)
			return m->memory + offset;
	}
	return NULL;
}

unsigned responder_queue_pairs(const struct responder *r)
{
	unsigned count = 0;

	for (unsigned i = 0; i < RESPONDER_LINKS; i++)
		count += r->link[i].state != LINK_FREE;
	return count;
}

const struct responder_counters *responder_counters(const struct responder *r)
{
	return &r->counters;
}

const uint8_t *responder_mac(const struct responder *r)
{
	return r->mac;
}
