/* SPDX-License-Identifier: MIT */
/*
 * A session with one memory server, over one queue pair at a time. It connects, attaches, lists,
 * checks the scratch page, and does so again whenever the queue pair dies; the engine sees only
 * READ, WRITE, LEASE and whether they can be had now. Service core only.
 *
 * What the engine may rely on:
 * - After lost(), every outstanding READ and WRITE has been completed with SESSION_LOST, and no late
 *   packet can place or acknowledge anything. A WRITE so completed may or may not have been
 *   executed; it is certainly dead when ready() is called again.
 * - ready() is called after the server has destroyed every older queue pair of the session and has
 *   named every extent it holds (extent() for each, before ready()).
 * - Completions may come from within fabric_receive() and fabric_turn(), never from within
 *   session_read() or session_write().
 */
#ifndef ANNEX_SESSION_H
#define ANNEX_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include "annex/rpc.h"
#include "fabric/fabric.h"

#define SESSION_PAGE   4096u
#define SESSION_READS  16u /* most READs outstanding; the server may grant fewer */
#define SESSION_WRITES 32u /* most WRITEs outstanding */

struct session;

enum session_status {
	SESSION_OK,
	SESSION_LOST, /* the queue pair died before it was answered */
	SESSION_BROKEN, /* answered with an error: not content (R4) */
};

enum session_state {
	SESSION_IDLE,
	SESSION_RESOLVING, /* ARP */
	SESSION_CONNECTING, /* connection manager */
	SESSION_ATTACHING,
	SESSION_LISTING,
	SESSION_CHECKING, /* scratch page */
	SESSION_READY,
	SESSION_AWAY, /* waits before it tries again */
	SESSION_ENDED, /* refused for good; see session_info() */
};

struct session_events {
	/* An extent that the server holds or (state RPC_EXTENT_LOST) has lost; also LEASE's answer. */
	void (*extent)(void *context, unsigned server, uint32_t index, uint32_t state,
		uint64_t address, uint32_t rkey);
	void (*lease_refused)(void *context, unsigned server, uint32_t index, enum rpc_error code);
	void (*released)(void *context, unsigned server, uint32_t index);
	void (*ready)(void *context, unsigned server, uint64_t now);
	/* What was named holds no more: the queue pair died, ready or not yet. */
	void (*lost)(void *context, unsigned server, uint64_t now);
	/* The server will never serve this session again (ENDED, UNKNOWN, DOMAIN, QUOTA, ...). */
	void (*ended)(void *context, unsigned server, enum rpc_error code, const char *text);
	void (*read_done)(void *context, unsigned server, uint32_t tag, enum session_status status,
		uint64_t now);
	void (*write_done)(void *context, unsigned server, uint32_t tag, enum session_status status,
		uint64_t now);
};

struct session_config {
	char name[32];
	uint32_t address; /* host order */
	uint16_t port;
	uint64_t tenant;
	uint64_t number; /* of this session: drawn at boot, never 0 */
	uint8_t domain[16];
	uint32_t extents; /* to be promised by this server */
	unsigned server; /* index handed to the events */
};

struct session_info {
	enum session_state state;
	enum session_state reached; /* furthest state of the last attempt, for "why not" */
	uint64_t since; /* ns */
	uint64_t rtt; /* smoothed, ns */
	uint32_t mtu; /* path MTU in use, bytes */
	uint32_t reconnects;
	enum rpc_error code; /* last refusal */
	char text[160]; /* last refusal or reason of loss, printable */
};

/* Registers a session with the fabric; connecting begins at the next fabric_turn(). */
struct session *session_open(struct fabric *fabric, const struct session_config *config);

/* Before the first turn, once: who is told. */
void session_listen(struct session *s, const struct session_events *events, void *context);

/* READs and WRITEs that can be posted now without being refused. 0 unless READY. */
unsigned session_reads_free(const struct session *s);
unsigned session_writes_free(const struct session *s);

/*
 * READs SESSION_PAGE bytes into `to`, which must stay the READ's until read_done(tag) or
 * session_abandon(tag). False: not possible now.
 */
bool session_read(
	struct session *s, uint64_t address, uint32_t rkey, void *to, uint32_t tag, uint64_t now);

/* WRITEs a copy of SESSION_PAGE bytes, taken before it returns (R7). False: not possible now. */
bool session_write(struct session *s, uint64_t address, uint32_t rkey, const void *from,
	uint32_t tag, uint64_t now);

/*
 * The READ's destination is taken back: no read_done(), nothing is placed any more; its record keeps
 * its PSNs until the last response or the queue pair's death.
 */
void session_abandon(struct session *s, uint32_t tag);

/* Asks for an extent; answered by extent() or lease_refused(). Asked again after a reconnect. */
bool session_lease(struct session *s, uint32_t index);

/* Gives an extent back; nothing may be outstanding on it. Answered by released(). */
bool session_release(struct session *s, uint32_t index);

/* The VMM's machine was stopped or moved: the queue pair is given up and made anew. */
void session_reconnect(struct session *s, uint64_t now);

void session_info(const struct session *s, struct session_info *info);
const char *session_state_name(enum session_state state);

#endif
