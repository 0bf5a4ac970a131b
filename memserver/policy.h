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
	 * Durable store: replaces the whole record of one slot (64 bytes), on disk when it returns.
	 * 0, or an errno. Record `slot` 0xffffffff is the header.
	 */
	int (*store)(void *context, uint32_t slot, const void *record, size_t length);
	/* One line for the server's log; level as in syslog.h. */
	void (*log)(void *context, int level, const char *text);
};

struct policy_config {
	uint32_t slots;      /* extents in the pool */
	uint8_t pool[16];    /* random id in the pool's memory */
	uint64_t quota;      /* bytes per tenant, 0 = none */
	uint32_t reads;      /* READs a queue pair takes at once */
	bool overcommit;     /* promise more than there is */
};

struct policy *policy_new(const struct policy_config *config, const struct policy_ops *ops,
	void *context);
void policy_free(struct policy *p);

/*
 * What the store held at start, one call per record, header first, then policy_loaded(). A header
 * with another pool id makes every record's extent lost. Returns 0 or an errno for nonsense.
 */
int policy_load(struct policy *p, uint32_t slot, const void *record, size_t length);
int policy_loaded(struct policy *p);

/*
 * A connection request. On success *link is the new link (destroy() may be called with link_context
 * from now on) and *welcome what to accept with; on refusal returns NULL and fills *refusal.
 */
struct policy_link *policy_connect(struct policy *p, const void *private_data, size_t length,
	void *link_context, struct rpc_welcome *welcome, struct rpc_refusal *refusal);

/* A control message; answer has room for RPC_MESSAGE_MAX. Returns the answer's length, never 0. */
size_t policy_message(struct policy *p, struct policy_link *link, const void *message,
	size_t length, void *answer);

/* The queue pair is gone (its owner destroyed it after a disconnect). */
void policy_unlinked(struct policy *p, struct policy_link *link);

/* Administration: ends every session of a tenant and frees its extents. False: unknown. */
bool policy_forget(struct policy *p, uint64_t tenant);

/* For /status and /metrics. */
struct policy_totals {
	uint32_t slots, leased, promised, lost;
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

/* The index-th session; false past the end. */
bool policy_session(const struct policy *p, unsigned index, struct policy_session_info *info);

#endif
