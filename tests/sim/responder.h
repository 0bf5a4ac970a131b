/* SPDX-License-Identifier: MIT */
/*
 * A memory server's host in the simulation: the connection manager's passive side, responder queue
 * pairs, memory regions, and the real policy (memserver/policy.c) on top. It behaves as Soft-RoCE on
 * Linux does: duplicate WRITEs and SENDs are acknowledged without being executed, duplicate READs are
 * executed again on current memory, one NAK per gap, packets of one WRITE execute one by one, and a
 * queue pair never dies of silence. ICRC, bounds, rkeys and protection domains are checked.
 */
#ifndef ANNEX_SIM_RESPONDER_H
#define ANNEX_SIM_RESPONDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "sim/network.h"

struct responder;

struct responder_config {
	struct network *network;
	uint32_t address; /* host order */
	uint16_t port;
	uint32_t slots; /* extents in the pool */
	uint64_t quota; /* bytes per tenant, 0 = none */
	uint32_t reads; /* READs granted per queue pair */
	bool overcommit;
	uint32_t slot_size; /* bytes that really stand behind an extent, counted from its start;
			     * a power of two, at most RPC_EXTENT_SIZE. An access beyond is refused. */
};

struct responder_counters {
	uint64_t connects, refusals, reads, writes, sends, duplicates, naks, executed_late, fenced;
};

/* The pool's memory and the store outlive the process; both are made here. */
struct responder *responder_new(const struct responder_config *config);
void responder_free(struct responder *r);

/* Timers (connection replies, our own SENDs again). */
void responder_advance(struct responder *r, uint64_t now);
uint64_t responder_next(const struct responder *r);

/*
 * The process ends: all queue pairs and registrations die, the pool's memory and the store stay.
 * quiet: without the disconnect messages a kernel sends. responder_start() runs a new process.
 */
void responder_kill(struct responder *r, bool quiet);

/* Runs a process on what pool and store hold. False: the policy refused the store. */
bool responder_start(struct responder *r);
bool responder_running(const struct responder *r);

/*
 * The host reboots: the process dies without a word, the pool is empty and gets a new id, the store
 * is kept but for its last `lost` records that were not synced (see responder_unsync). Not started.
 */
void responder_reboot(struct responder *r);

/*
 * From now on store() returns before its record is safe; a reboot loses what was stored since. A
 * disk that lies: the policy cannot know. Used to show that it is noticed as lost, never as zeros.
 */
void responder_unsync(struct responder *r, bool on);

/* The administrator's `forget`. */
bool responder_forget(struct responder *r, uint64_t tenant);

/*
 * A second tenant on the same server, without a network: takes every free extent, writes its own
 * pattern all over, checks that nobody else's bytes are in what it was given (fresh memory is
 * zero), and gives them back. Returns how many extents it had, or -1 when it found foreign bytes.
 */
int responder_stranger(struct responder *r);

/* Bytes of an extent as they are now, or NULL; for checks. */
const uint8_t *responder_peek(
	const struct responder *r, uint64_t tenant, uint32_t index, uint64_t offset);

/* Live queue pairs of any session; older ones than the newest count too. */
unsigned responder_queue_pairs(const struct responder *r);

const struct responder_counters *responder_counters(const struct responder *r);
const uint8_t *responder_mac(const struct responder *r);

#endif
