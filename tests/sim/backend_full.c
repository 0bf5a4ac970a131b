/* SPDX-License-Identifier: MIT */
/* The full backend: the VMM's real fabric, a simulated network, servers with the real policy. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sim/backend.h"
#include "sim/network.h"
#include "sim/random.h"
#include "sim/responder.h"

#define SERVERS_MAX 4u
#define PAGE        4096u
#define TENANT      0x1122334455667788ull
#define ADDRESS     0x0a000001u
#define BUDGET      32u
#define FLICKERS    16u

/* A page that shows older content for a while. */
struct flicker {
	bool on;
	uint64_t until;
	uint32_t index;
	uint64_t offset;
	uint8_t good[PAGE];
	uint8_t old[PAGE];
	bool have_old;
};

struct server {
	struct responder *responder;
	struct session *session;
	unsigned port;
	bool rebooted;
	uint64_t start_at; /* 0: runs */
	uint64_t cable_at; /* 0: in */
	uint64_t reconnect_at; /* 0: no */
	uint64_t reconnect_writes; /* or when the fabric has sent so many WRITEs */
	struct flicker flicker[FLICKERS];
};

struct backend {
	struct backend_config config;
	struct random random;
	struct network *network;
	struct nic nic; /* the network's, with other CPUs acting around each send */
	struct network_faults faults;
	uint64_t faults_until;
	struct fabric *fabric;
	void *memory;
	struct server server[SERVERS_MAX];
	const char *broken;
	struct backend_totals totals;
};

const char *const backend_name = "full";

static struct nic *inner(struct nic *nic)
{
	struct backend *b = nic->driver;

	return network_nic(b->network);
}

static int nic_start(struct nic *nic, const char **reason)
{
	return inner(nic)->ops->start(inner(nic), reason);
}

static bool nic_send(
	struct nic *nic, const void *head, size_t head_length, const void *body, size_t body_length)
{
	struct backend *b = nic->driver;

	b->config.interleave(b->config.context);
	return inner(nic)->ops->send(inner(nic), head, head_length, body, body_length);
}

static bool nic_receive(struct nic *nic, struct nic_frame *frame)
{
	return inner(nic)->ops->receive(inner(nic), frame);
}

static void nic_release(struct nic *nic, const struct nic_frame *frame)
{
	inner(nic)->ops->release(inner(nic), frame);
}

static bool nic_notify(struct nic *nic, bool on)
{
	return inner(nic)->ops->notify(inner(nic), on);
}

static const struct nic_ops nic_ops = {
	.name = "simulated, interleaved",
	.start = nic_start,
	.send = nic_send,
	.receive = nic_receive,
	.release = nic_release,
	.notify = nic_notify,
};

static const struct network_faults calm = {.delay_min = 1000, .delay_max = 4000};

static void start_fabric(struct backend *b)
{
	struct fabric_config config = {.nic = &b->nic,
		.address = ADDRESS,
		.prefix = 24,
		.mtu = network_nic(b->network)->mtu,
		.sessions = b->config.servers};
	const char *reason;

	b->nic = *network_nic(b->network);
	b->nic.ops = &nic_ops;
	b->nic.driver = b;
	for (unsigned i = 0; i < 4; i++)
		config.random[i] = random_next(&b->random);
	b->memory = aligned_alloc(
		PAGE, (fabric_memory_size(b->config.servers) + PAGE - 1) / PAGE * PAGE);
	config.memory = b->memory;
	b->fabric = fabric_start(&config, &reason);
	if (!b->fabric)
		b->broken = reason;
}

static void start_server(struct backend *b, unsigned i)
{
	struct server *s = &b->server[i];
	uint32_t per_server = (b->config.extents + b->config.servers - 1) / b->config.servers;
	struct session_config config = {.address = ADDRESS + 1 + i,
		.port = RPC_PORT,
		.tenant = TENANT,
		.number = random_next(&b->random) | 1,
		.domain = {1, 2, 3},
		.extents = per_server,
		.server = i};

	snprintf(config.name, sizeof(config.name), "m%u", i);
	s->responder = responder_new(&(struct responder_config){.network = b->network,
		.address = ADDRESS + 1 + i,
		.port = RPC_PORT,
		.slots = b->config.slots,
		.reads = 4 + random_below(&b->random, 13),
		.overcommit = b->config.overcommit,
		.slot_size = BACKEND_SLOT_PAGES * PAGE});
	s->port = i; /* hosts are plugged in in this order */
	s->session = session_open(b->fabric, &config);
}

struct backend *backend_new(const struct backend_config *config)
{
	struct backend *b = calloc(1, sizeof(*b));

	b->config = *config;
	b->random.state = config->seed;
	b->network = network_new(random_next(&b->random),
		random_chance(&b->random, 600) ? 9000 : 1500, 64 + random_below(&b->random, 192));
	b->faults = calm;
	network_set_faults(b->network, &b->faults);
	start_fabric(b);
	for (unsigned i = 0; i < config->servers; i++)
		start_server(b, i);
	return b;
}

void backend_free(struct backend *b)
{
	for (unsigned i = 0; i < b->config.servers; i++)
		responder_free(b->server[i].responder);
	network_free(b->network);
	free(b->memory);
	free(b);
}

struct session *backend_session(struct backend *b, unsigned server)
{
	return b->server[server].session;
}

void backend_receive(struct backend *b, uint64_t now)
{
	fabric_receive(b->fabric, now, BUDGET);
}

void backend_turn(struct backend *b, uint64_t now)
{
	fabric_turn(b->fabric, now);
}

static uint8_t *content(const struct server *s, uint32_t index, uint64_t offset)
{
	return (uint8_t *)(uintptr_t)responder_peek(s->responder, TENANT, index, offset);
}

/* Unless it was written meanwhile, the page shows its true content again. */
static void flicker_off(struct server *s, struct flicker *f)
{
	uint8_t *page = f->on ? content(s, f->index, f->offset) : NULL;

	if (page && !memcmp(page, f->old, PAGE))
		memcpy(page, f->good, PAGE);
	f->on = false;
	f->have_old = false;
}

/* What this page shows is not its true content already. */
static bool flickers(const struct server *s, const struct flicker *f)
{
	for (unsigned i = 0; i < FLICKERS; i++) {
		if (s->flicker[i].on && s->flicker[i].index == f->index &&
			s->flicker[i].offset == f->offset)
			return true;
	}
	return false;
}

/* Keeps a page's content; at a later call, if it has changed, shows it again for a while. */
static void flicker(struct backend *b, struct server *s, struct flicker *f, uint64_t now)
{
	uint8_t *page;

	if (f->on)
		return;
	if (f->have_old) {
		page = content(s, f->index, f->offset);
		f->have_old = false;
		if (!page || flickers(s, f) || !memcmp(page, f->old, PAGE))
			return;
		memcpy(f->good, page, PAGE);
		memcpy(page, f->old, PAGE);
		f->on = true;
		f->until = now + random_between(&b->random, 1000000, 60000000);
		return;
	}
	f->index = random_below(&b->random, b->config.extents);
	f->offset = (uint64_t)random_below(&b->random, b->config.pages) % BACKEND_SLOT_PAGES * PAGE;
	page = content(s, f->index, f->offset);
	if (page) {
		memcpy(f->old, page, PAGE);
		f->have_old = true;
	}
}

static void still(struct server *s)
{
	for (unsigned i = 0; i < FLICKERS; i++)
		flicker_off(s, &s->flicker[i]);
}

static void server_advance(struct backend *b, struct server *s, uint64_t now)
{
	if (s->start_at && s->start_at <= now) {
		s->start_at = 0;
		if (!responder_start(s->responder))
			b->broken = "the policy refused its own store";
	}
	if (s->cable_at && s->cable_at <= now) {
		s->cable_at = 0;
		network_cable(b->network, s->port, true);
	}
	for (unsigned i = 0; i < FLICKERS; i++) {
		if (s->flicker[i].on && s->flicker[i].until <= now)
			flicker_off(s, &s->flicker[i]);
	}
	if (s->reconnect_at && (s->reconnect_at <= now ||
				       fabric_counters(b->fabric)->writes >= s->reconnect_writes)) {
		s->reconnect_at = 0;
		session_reconnect(s->session, now);
		/* The server does not hear that the old queue pair has ended. */
		b->faults = calm;
		b->faults.cut_out = true;
		b->faults_until = now + 60000000;
		network_set_faults(b->network, &b->faults);
	}
	responder_advance(s->responder, now);
}

void backend_advance(struct backend *b, uint64_t now)
{
	if (b->faults_until && b->faults_until <= now) {
		b->faults_until = 0;
		b->faults = calm;
		network_set_faults(b->network, &b->faults);
	}
	network_advance(b->network, now);
	for (unsigned i = 0; i < b->config.servers; i++)
		server_advance(b, &b->server[i], now);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t backend_next(const struct backend *b)
{
	uint64_t next = earlier(network_next(b->network), fabric_deadline(b->fabric));

	if (b->faults_until)
		next = earlier(next, b->faults_until);
	for (unsigned i = 0; i < b->config.servers; i++) {
		const struct server *s = &b->server[i];

		next = earlier(next, responder_next(s->responder));
		if (s->start_at)
			next = earlier(next, s->start_at);
		if (s->cable_at)
			next = earlier(next, s->cable_at);
		if (s->reconnect_at)
			next = earlier(next, s->reconnect_at);
		for (unsigned k = 0; k < FLICKERS; k++) {
			if (s->flicker[k].on)
				next = earlier(next, s->flicker[k].until);
		}
	}
	return next;
}

static void server_down(struct backend *b, struct server *s, uint64_t now, bool reboot)
{
	still(s);
	if (s->start_at)
		return;
	s->start_at = now + random_between(&b->random, 1000000, 3000000000);
	if (reboot) {
		s->rebooted = true;
		responder_reboot(s->responder);
		responder_unsync(s->responder, false);
		b->totals.reboots++;
	} else {
		responder_kill(s->responder, random_chance(&b->random, 500));
		b->totals.restarts++;
	}
}

static void pull_cable(struct backend *b, struct server *s, uint64_t now)
{
	network_cable(b->network, s->port, false);
	s->cable_at = now + random_between(&b->random, 1000000, 20000000000);
}

/* Faults of the network, for some milliseconds to seconds. */
static void network_chaos(struct backend *b, uint64_t now)
{
	struct random *r = &b->random;
	struct network_faults *f = &b->faults;
	uint64_t longest = 300000000;

	switch (random_below(r, 9)) {
	case 0:
		f->delay_max = random_between(r, 2000, 30000000);
		break;
	case 1:
		f->loss_in = f->loss_out = random_below(r, 60000);
		break;
	case 2:
		f->loss_in = random_below(r, 300000);
		break;
	case 3:
		f->duplicate = random_below(r, 200000);
		f->reorder = random_below(r, 200000);
		break;
	case 4:
		f->late = random_below(r, 100000);
		f->late_max = random_between(r, 1000000, 20000000000);
		break;
	case 5:
		f->corrupt = random_below(r, 100000);
		break;
	case 6:
		f->cut_in = true;
		longest = 15000000000;
		break;
	case 7:
		f->cut_out = true;
		longest = 15000000000;
		break;
	default:
		f->large = network_nic(b->network)->mtu > 1500 ? 1500 : 0;
		longest = 5000000000;
		break;
	}
	b->faults_until = now + random_between(r, 100000, longest);
	network_set_faults(b->network, f);
}

/* Much is under way, and arrives only after the queue pair was given up and made anew. */
static void late_writes(struct backend *b, struct server *s, uint64_t now)
{
	b->faults.late = 300000;
	b->faults.late_max = 200000000;
	s->reconnect_at = now + 20000000;
	s->reconnect_writes = fabric_counters(b->fabric)->writes + 2 + random_below(&b->random, 8);
	b->faults_until = s->reconnect_at + 1;
	network_set_faults(b->network, &b->faults);
}

void backend_chaos(struct backend *b, uint64_t now, bool reboots)
{
	struct server *s = &b->server[random_below(&b->random, b->config.servers)];
	uint32_t what = random_below(&b->random, 20);

	b->totals.faults++;
	if (what < 10) {
		network_chaos(b, now);
	} else if (what < 12) {
		server_down(b, s, now, reboots && random_chance(&b->random, 300));
	} else if (what < 13) {
		pull_cable(b, s, now);
	} else if (what < 15) {
		session_reconnect(s->session, now);
	} else if (what < 18) {
		late_writes(b, s, now);
	} else {
		if (responder_running(s->responder) && responder_stranger(s->responder) < 0)
			b->broken = "a second tenant found foreign bytes in its extent";
	}
	/* A disk that lies: what it has not kept when the host reboots must show as lost. */
	if (reboots && random_chance(&b->random, 100))
		responder_unsync(s->responder, true);
	for (unsigned i = 0; i < FLICKERS; i++)
		flicker(b, s, &s->flicker[i], now);
}

void backend_calm(struct backend *b, uint64_t now)
{
	b->faults = calm;
	b->faults_until = 0;
	network_set_faults(b->network, &b->faults);
	for (unsigned i = 0; i < b->config.servers; i++) {
		struct server *s = &b->server[i];

		still(s);
		s->start_at = s->start_at ? now : 0;
		s->cable_at = s->cable_at ? now : 0;
	}
}

bool backend_rebooted(const struct backend *b, unsigned server)
{
	return b->server[server].rebooted;
}

const char *backend_broken(const struct backend *b)
{
	return b->broken;
}

void backend_totals(const struct backend *b, struct backend_totals *totals)
{
	const struct fabric_counters *f = fabric_counters(b->fabric);
	const struct network_counters *n = network_counters(b->network);

	*totals = b->totals;
	totals->reads = f->reads;
	totals->writes = f->writes;
	totals->queue_pairs_lost = f->queue_pairs_lost;
	totals->frames = n->delivered;
	for (unsigned i = 0; i < b->config.servers; i++) {
		const struct responder_counters *r = responder_counters(b->server[i].responder);

		totals->fenced += r->fenced;
		totals->late += r->executed_late;
	}
}
