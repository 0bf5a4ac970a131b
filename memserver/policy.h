/* SPDX-License-Identifier: MIT */
/*
 * What a memory server decides: sessions, promises, leases, durability (architecture section 8).
 * No verbs, no sockets, no threads: the program (verbs.c) and the simulation drive it through this
 * header. Single-threaded. Everything that arrives is hostile until checked.
 */
#ifndef ANNEX_MEMSERVER_POLICY_H
#define ANNEX_MEMSERVER_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "annex/rpc.h"

struct policy;
struct policy_link; /* one queue pair */

/*
 * The durable store is an array of records, each replaced whole. A record's number is
 * POLICY_RECORD_HEADER, POLICY_RECORD_SESSION + n (n < POLICY_SESSIONS), or a slot of the pool.
 * A record that was never stored reads as zeros.
 */
#define POLICY_RECORD_SIZE    64u
#define POLICY_RECORD_HEADER  0xffffffffu
#define POLICY_RECORD_SESSION 0x80000000u
#define POLICY_SESSIONS       1024u /* remembered at once, ended ones included */
#define POLICY_SLOTS_MAX      (1u << 24) /* 256 TiB */

/* Where a record lies in a store that is one array: header, sessions, slots. */
static inline uint64_t policy_record_place(uint32_t number)
{
	if (number == POLICY_RECORD_HEADER)
		return 0;
	if (number >= POLICY_RECORD_SESSION)
		return 1 + (uint64_t)(number - POLICY_RECORD_SESSION);
	return 1 + POLICY_SESSIONS + (uint64_t)number;
}

/* What the policy asks of whoever holds the queue pairs and the memory. */
struct policy_ops {
	/*
	 * Destroys the queue pair now (ibv_destroy_qp has returned when this does) and forgets the
	 * link; policy_unlinked() must not be called for it again.
	 */
	void (*destroy)(void *context, void *link_context);
	/* Registers the extent's memory in the session's protection domain. 0, or an errno. */
	int (*expose)(void *context, uint64_t tenant, uint64_t session, uint32_t slot,
		uint64_t *address, uint32_t *rkey);
	/* Deregisters it; no access is possible when this returns. */
	void (*conceal)(void *context, uint64_t tenant, uint64_t session, uint32_t slot);
	/* Fills the slot's memory with zeros. */
	void (*zero)(void *context, uint32_t slot);
	/* The session's scratch page, made at its first use. 0, or an errno. */
	int (*scratch)(void *context, uint64_t tenant, uint64_t session, uint64_t *address,
		uint32_t *rkey);
	/* The session is gone: its protection domain and scratch page too. */
	void (*session_end)(void *context, uint64_t tenant, uint64_t session);
	/*
	 * Durable store: replaces one record (POLICY_RECORD_SIZE bytes), on disk when it returns.
	 * 0, or an errno.
	 */
	int (*store)(void *context, uint32_t number, const void *record, size_t length);
	/* One line for the server's log; level as in syslog.h. */
	void (*log)(void *context, int level, const char *text);
};

struct policy_config {
	uint32_t slots; /* extents in the pool */
	uint8_t pool[16]; /* random id in the pool's memory */
	uint64_t quota; /* bytes per tenant, 0 = none */
	uint16_t reads; /* READs a queue pair takes at once, told in the welcome */
	bool overcommit; /* promise more than there is */
};

struct policy *policy_new(
	const struct policy_config *config, const struct policy_ops *ops, void *context);
void policy_free(struct policy *p);

/*
 * What the store held at start, one call per record in the order header, sessions, slots (records
 * never stored may be left out), then policy_loaded(), also for an empty store. A header with
 * another pool id makes every leased extent lost. Returns 0 or an errno for nonsense: the store is
 * then not to be used.
 */
int policy_load(struct policy *p, uint32_t number, const void *record, size_t length);
int policy_loaded(struct policy *p);

/* The pool id in a header record; false: it is none. */
bool policy_record_pool(const void *record, size_t length, uint8_t *pool);

/*
 * A connection request. On success *link is the new link (destroy() may be called with link_context
 * from now on) and *welcome what to accept with; on refusal returns NULL and fills *refusal.
 */
struct policy_link *policy_connect(struct policy *p, const void *private_data, size_t length,
	void *link_context, struct rpc_welcome *welcome, struct rpc_refusal *refusal);

/* A control message; answer has room for RPC_MESSAGE_MAX. Returns the answer's length, never 0. */
size_t policy_message(struct policy *p, struct policy_link *link, const void *message,
	size_t length, void *answer);

/* Whether an ATTACH has succeeded on it: a link that never attaches is not worth keeping. */
bool policy_attached(const struct policy_link *link);

/* The queue pair is gone (its owner destroyed it after a disconnect). */
void policy_unlinked(struct policy *p, struct policy_link *link);

/*
 * Zeroes at most one slot that an ended session left behind, and erases forgotten sessions that have
 * none left. True: there is more to do now. To be called when idle; without it a LEASE that finds nothing free does the same work itself.
 */
bool policy_turn(struct policy *p);

/*
 * Administration: ends every session of a tenant, frees its extents and its bond to a domain. The
 * slots are zeroed later, by policy_turn() or as they are leased; an attach FRESH of a session number
 * that was just forgotten is refused until then (RPC_ERROR_RESOURCES). 0, ENOENT for an unknown tenant, or the store's errno: then the rest is still to be done.
 */
int policy_forget(struct policy *p, uint64_t tenant);

/* For /status and /metrics. */
struct policy_totals {
	uint32_t slots, leased, promised, lost;
	uint32_t dirty; /* slots still to be zeroed */
	uint32_t sessions, links;
	uint64_t messages, refusals, leases, releases;
};

void policy_totals(const struct policy *p, struct policy_totals *totals);

struct policy_session_info {
	uint64_t tenant, session;
	uint8_t domain[16];
	uint32_t promised, held, lost;
	bool connected, ended;
};

/* The index-th session, forgotten ones left out; false past the end. */
bool policy_session(const struct policy *p, unsigned index, struct policy_session_info *info);

#endif
