/* SPDX-License-Identifier: MIT */
/*
 * What the policy's files share: its state, and the functions of one file that another calls.
 * Nobody else includes this; the outside of the policy is policy.h.
 */
#ifndef ANNEX_MEMSERVER_POLICY_STATE_H
#define ANNEX_MEMSERVER_POLICY_STATE_H

#include "annex/rpc.h"
#include "memserver/policy.h"

#define POLICY_LINKS         4096u /* queue pairs at once */
#define POLICY_LINKS_WAITING 4u /* of one session, not yet attached */
#define POLICY_INDEX_MAX     (1u << 24)
#define POLICY_NONE          0xffffffffu

/* A slot's state, in memory and (the same numbers) in its record. */
enum slot_state {
	SLOT_FREE = 0, /* its memory is zeros */
	SLOT_LEASED = 1,
	SLOT_TO_ZERO = 2, /* free but for its old content */
	SLOT_LOST = 3, /* leased; the pool with its content is gone */
	SLOT_ABSENT = 4, /* in memory only: a record beyond the pool's end, now free */
};

struct slot {
	uint8_t state;
	bool exposed;
	bool unsure; /* the disk may say TO_ZERO: record it again before it is named */
	uint32_t index; /* of the owner's far window */
	uint32_t rkey;
	uint64_t address;
	struct session *owner; /* LEASED, LOST, and TO_ZERO while the record names it */
};

struct held {
	uint32_t index;
	uint32_t slot;
};

struct session {
	bool used;
	bool ended;
	bool forgotten; /* and ended: remembered only until its slots are zeroed */
	uint64_t tenant;
	uint64_t number;
	uint64_t serial; /* order of creation in this store */
	uint8_t domain[16];
	uint32_t promised;
	uint32_t held; /* entries of extent[], LEASED or LOST, ascending by index */
	uint32_t lost;
	uint32_t dirty; /* slots of an ended session still to be zeroed */
	uint32_t capacity;
	struct held *extent;
};

struct policy_link {
	struct policy_link *next;
	void *context;
	uint64_t tenant;
	uint64_t number; /* of the session it asked for */
	uint64_t order; /* of its connection request */
	uint64_t received;
	uint64_t sent;
	uint16_t version;
	struct session *session; /* NULL until attached */
};

struct policy {
	struct policy_config config;
	struct policy_ops ops;
	void *context;
	struct slot *slot;
	uint32_t capacity; /* of slot[], config.slots or more */
	uint32_t next_free; /* where the search for a free slot begins */
	uint32_t next_dirty; /* and for one to be zeroed */
	uint32_t dirty;
	/*
	 * A store that failed may have been written all the same. So that never two records name one
	 * session or extent, the next new one goes to the place where the last one failed.
	 */
	uint32_t unsure_slot; /* or POLICY_NONE */
	struct session *unsure_session; /* or NULL */
	bool forgetting; /* a session may be forgotten that still has its record */
	bool header; /* the store has one */
	bool replaced; /* it names another pool */
	uint64_t serial; /* last one given to a session */
	uint64_t order; /* last one given to a link */
	uint32_t link_count;
	struct policy_link *links;
	struct session session[POLICY_SESSIONS];
	uint64_t messages, refusals, leases, releases;
};

/* The answer under construction: a body, or an error. */
struct policy_reply {
	enum rpc_error error;
	uint64_t number[2];
	char text[160];
	size_t length;
	union {
		uint8_t bytes[RPC_BODY_MAX];
		be64 align;
	} body;
};

/* policy.c */
void policy_log(struct policy *p, int level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Destroys the session's links that are older than `order`. */
void policy_fence(struct policy *p, uint64_t tenant, uint64_t number, uint64_t order);

/* policy_message.c: makes the reply an error. */
void policy_message_refuse(struct policy_reply *r, enum rpc_error error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Puts text into a fixed field, printable ASCII only, always ended. */
void policy_message_text(char *to, size_t size, const char *text);

/* policy_session.c */
struct session *policy_session_find(struct policy *p, uint64_t tenant, uint64_t number);
void policy_session_attach(struct policy *p, struct policy_link *link,
	const struct rpc_attach *attach, struct policy_reply *r);
/* Fences it, conceals its extents, records it ended. 0 or an errno: then it is not ended. */
int policy_session_end(struct policy *p, struct session *s);
/* Forgets an ended session whose slots are all zeroed; 0 or the store's errno. */
int policy_session_erase(struct policy *p, struct session *s);
/* Adds an extent; false: out of memory. */
bool policy_session_hold(struct session *s, uint32_t index, uint32_t slot);
void policy_session_drop(struct session *s, uint32_t index);
/* Position in extent[] of the first index >= `index`. */
uint32_t policy_session_place(const struct session *s, uint32_t index);
/* The slot that holds this index, or POLICY_NONE. */
uint32_t policy_session_slot(const struct session *s, uint32_t index);
/* Extents promised to all live sessions except those of `tenant`. */
uint64_t policy_session_promised(const struct policy *p, const uint64_t *except_tenant);

/* policy_lease.c */
void policy_lease_list(struct policy *p, struct session *s, uint32_t first, struct policy_reply *r);
void policy_lease_take(struct policy *p, struct session *s, uint32_t index, struct policy_reply *r);
void policy_lease_release(
	struct policy *p, struct session *s, uint32_t index, struct policy_reply *r);
void policy_lease_conceal(struct policy *p, struct session *s, uint32_t slot);
/* Zeroes a slot that is TO_ZERO and records it free. 0 or the store's errno. */
int policy_lease_clean(struct policy *p, uint32_t slot);

/* policy_store.c: each returns 0 or an errno. */
int policy_store_header(struct policy *p);
int policy_store_session(struct policy *p, const struct session *s);
int policy_store_slot(struct policy *p, uint32_t number, const struct slot *slot);

#endif
