/* SPDX-License-Identifier: MIT */
/* A small world in simulated time: our fabric, one session, a server with the real policy. */
#ifndef ANNEX_FABRIC_WORLD_H
#define ANNEX_FABRIC_WORLD_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "fabric/fabric.h"
#include "fabric/session.h"
#include "sim/network.h"
#include "sim/responder.h"

#define WORLD_PAGES   512u
#define WORLD_EXTENTS 8u /* promised */
#define WORLD_INDICES 32u /* of the far window; other servers have the rest */
#define WORLD_SLOT    (1u << 20)
#define WORLD_MS      1000000ull
#define WORLD_S       1000000000ull
#define WORLD_TENANT  0x7e57ull

struct world {
	struct network *network;
	struct responder *server;
	struct fabric *fabric;
	struct session *session;
	void *memory;
	struct nic *nic; /* the network's, unless a test stands before it */
	uint64_t now;
	/* what the session has told */
	unsigned readies, losts, endeds, extents, releases;
	enum rpc_error code, lease_code;
	unsigned lease_refusals;
	uint64_t address[WORLD_INDICES];
	uint32_t rkey[WORLD_INDICES];
	uint32_t state[WORLD_INDICES];
	unsigned done[3]; /* by status */
	unsigned reads_done, writes_done;
	bool ready;
	void (*on_read)(struct world *w, uint32_t tag, enum session_status status);
	void (*on_write)(struct world *w, uint32_t tag, enum session_status status);
	uint8_t page[WORLD_PAGES][SESSION_PAGE];
};

static void world_extent(void *context, unsigned server, uint32_t index, uint32_t state,
	uint64_t address, uint32_t rkey)
{
	struct world *w = context;

	assert(index < WORLD_INDICES);
	w->extents++;
	w->state[index] = state;
	w->address[index] = address;
	w->rkey[index] = rkey;
}

static void world_refused(void *context, unsigned server, uint32_t index, enum rpc_error code)
{
	struct world *w = context;

	w->lease_refusals++;
	w->lease_code = code;
}

static void world_released(void *context, unsigned server, uint32_t index)
{
	struct world *w = context;

	w->releases++;
	w->state[index] = 0;
}

static void world_ready(void *context, unsigned server, uint64_t now)
{
	struct world *w = context;

	assert(!w->ready);
	w->ready = true;
	w->readies++;
}

static void world_lost(void *context, unsigned server, uint64_t now)
{
	struct world *w = context;

	w->ready = false;
	w->losts++;
}

static void world_ended(void *context, unsigned server, enum rpc_error code, const char *text)
{
	struct world *w = context;

	assert(!w->ready);
	w->endeds++;
	w->code = code;
}

static void world_read_done(
	void *context, unsigned server, uint32_t tag, enum session_status status, uint64_t now)
{
	struct world *w = context;

	w->done[status]++;
	w->reads_done++;
	if (w->on_read != NULL)
		w->on_read(w, tag, status);
}

static void world_write_done(
	void *context, unsigned server, uint32_t tag, enum session_status status, uint64_t now)
{
	struct world *w = context;

	w->done[status]++;
	w->writes_done++;
	if (w->on_write != NULL)
		w->on_write(w, tag, status);
}

static const struct session_events world_events = {
	.extent = world_extent,
	.lease_refused = world_refused,
	.released = world_released,
	.ready = world_ready,
	.lost = world_lost,
	.ended = world_ended,
	.read_done = world_read_done,
	.write_done = world_write_done,
};

static inline void world_open(struct world *w, uint64_t number)
{
	struct session_config config = {.name = "m1",
		.address = 0x0a000002,
		.port = RPC_PORT,
		.tenant = WORLD_TENANT,
		.number = number,
		.domain = "domain of tests",
		.extents = WORLD_EXTENTS};
	struct fabric_config fabric = {.nic = w->nic,
		.address = 0x0a000001,
		.prefix = 24,
		.mtu = network_nic(w->network)->mtu,
		.random = {network_random(w->network), 1, 2, number},
		.now = w->now,
		.memory = w->memory,
		.sessions = 1};
	const char *reason;

	w->fabric = fabric_start(&fabric, &reason);
	assert(w->fabric != NULL);
	w->session = session_open(w->fabric, &config);
	session_listen(w->session, &world_events, w);
}

static struct world *world_new(uint64_t seed, uint16_t mtu)
{
	struct world *w = calloc(1, sizeof(*w));
	struct network_faults perfect = {.delay_min = 20000, .delay_max = 50000};
	struct responder_config config = {.address = 0x0a000002,
		.port = RPC_PORT,
		.slots = 16,
		.reads = 16,
		.slot_size = WORLD_SLOT};

	w->now = 1000 * WORLD_S;
	w->network = network_new(seed, mtu, 256);
	network_advance(w->network, w->now);
	network_set_faults(w->network, &perfect);
	config.network = w->network;
	w->server = responder_new(&config);
	w->nic = network_nic(w->network);
	w->memory = aligned_alloc(4096, fabric_memory_size(1));
	world_open(w, 1 + seed);
	return w;
}

static void world_free(struct world *w)
{
	responder_free(w->server);
	network_free(w->network);
	free(w->memory);
	free(w);
}

static uint64_t world_next(const struct world *w)
{
	uint64_t next = fabric_deadline(w->fabric);

	if (network_next(w->network) < next)
		next = network_next(w->network);
	if (responder_next(w->server) < next)
		next = responder_next(w->server);
	return next > w->now ? next : w->now + 1000;
}

static void world_step(struct world *w)
{
	w->now = world_next(w);
	network_advance(w->network, w->now);
	responder_advance(w->server, w->now);
	while (fabric_receive(w->fabric, w->now, 64) != 0)
		;
	fabric_turn(w->fabric, w->now);
}

static inline void world_run(struct world *w, uint64_t ns)
{
	uint64_t end = w->now + ns;

	while (world_next(w) <= end)
		world_step(w);
	w->now = end;
}

/* Runs until the condition holds, at most that long; whether it does. */
#define world_until(w, ns, condition)                                                              \
	({                                                                                         \
		uint64_t end_ = (w)->now + (ns);                                                   \
		while (!(condition) && (w)->now < end_)                                            \
			world_step(w);                                                             \
		(condition);                                                                       \
	})

#endif
