/* SPDX-License-Identifier: MIT */
/*
 * What stands behind the engine in the simulation: sessions, the way to the servers, the servers, and
 * what goes wrong with them. Two of them: backend_direct.c (fast: sessions without packets) and
 * backend_full.c (the real fabric, a simulated network, the real memory server's policy).
 */
#ifndef ANNEX_SIM_BACKEND_H
#define ANNEX_SIM_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "fabric/session.h"

#define BACKEND_SLOT_PAGES 512u /* pages that really stand behind an extent, from its start */

struct backend_config {
	uint64_t seed;
	unsigned servers;
	uint32_t extents; /* of the far window, all servers together */
	uint32_t pages; /* of each extent that the guest writes, from its start */
	uint32_t slots; /* of each server's pool */
	bool overcommit;
	/* Called at points inside the engine's turns: other CPUs do something there. */
	void (*interleave)(void *context);
	void *context;
};

struct backend;

extern const char *const backend_name;

struct backend *backend_new(const struct backend_config *config);
void backend_free(struct backend *b);

struct session *backend_session(struct backend *b, unsigned server);

/* The service loop's pieces that belong to the fabric: receive, then timers. */
void backend_receive(struct backend *b, uint64_t now);
void backend_turn(struct backend *b, uint64_t now);

/* Network and servers go on to `now`. */
void backend_advance(struct backend *b, uint64_t now);

/* When something next happens by itself, ns, or UINT64_MAX. */
uint64_t backend_next(const struct backend *b);

/* Something goes wrong. `reboots`: a server's host may lose its memory. */
void backend_chaos(struct backend *b, uint64_t now, bool reboots);

/* Everything that went wrong is over: cables in, servers running, no faults. */
void backend_calm(struct backend *b, uint64_t now);

/* This server's host has rebooted at least once: extents may be lost. */
bool backend_rebooted(const struct backend *b, unsigned server);

/* Something of the backend's own is wrong (a stranger saw our bytes): a text, or NULL. */
const char *backend_broken(const struct backend *b);

struct backend_totals {
	uint64_t reads, writes, queue_pairs_lost, faults, late, fenced, reboots, restarts, frames;
};

void backend_totals(const struct backend *b, struct backend_totals *totals);

#endif
