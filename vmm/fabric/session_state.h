/* SPDX-License-Identifier: MIT */
/* A session's state, for the files of this room only: session.c moves it, attach.c fills it. */
#ifndef ANNEX_SESSION_STATE_H
#define ANNEX_SESSION_STATE_H

#include "fabric/arp.h"
#include "fabric/cm.h"
#include "fabric/control.h"
#include "fabric/qp.h"
#include "fabric/session.h"

#define SESSION_BACKOFF_MIN_NS 100000000ull
#define SESSION_BACKOFF_MAX_NS 2000000000ull
#define SESSION_ANSWER_NS      30000000000ull /* a control message's answer: disks may be slow */
#define SESSION_CHECK_NS       3000000000ull /* the scratch page's way there and back */
#define SESSION_PING_NS        1000000000ull

struct session {
	struct port *port;
	struct arp *arp;
	struct session_config config;
	const struct session_events *events;
	void *context;
	enum session_state state, reached;
	uint64_t since;
	uint64_t retry_at, backoff;
	uint64_t heard; /* when the server last said anything on the queue pair */
	uint64_t ask_at; /* a RELEASE that could not be recorded: not before */
	bool was_ready; /* once at least */
	uint32_t reconnects; /* times that it was ready again */
	unsigned reads_wanted; /* what our receive ring can take */
	bool attached; /* once at least: RESUME from then on */
	bool refused; /* for good: finish() is due */
	uint32_t number, psn; /* of the queue pair being made */
	struct wire_path path;
	bool reconnect; /* asked for by session_reconnect() */
	/* path MTU: how often it failed since it last worked */
	uint32_t mtu, mtu_top;
	unsigned mtu_failures;
	bool mtu_worked;
	/* ATTACHED's answer */
	uint8_t pool[16];
	bool pool_known, pool_changed;
	uint64_t scratch_address;
	uint32_t scratch_rkey;
	uint32_t list_next; /* lowest index that LIST may name next */
	bool told; /* text is in the log since the last time it was ready */
	enum rpc_error code;
	char text[160];
	struct cm cm;
	struct qp qp;
	struct control control;
	uint8_t scratch_out[SESSION_PAGE];
	uint8_t scratch_in[SESSION_PAGE];
};

/* session.c */
void session_init(struct session *s, struct port *port, struct arp *arp, unsigned reads,
	const struct session_config *config);
void session_turn(struct session *s, uint64_t now);
uint64_t session_deadline(const struct session *s, uint64_t now);
void session_shift(struct session *s, uint64_t gap, uint64_t now);
bool session_mad(struct session *s, const struct mad *mad, uint32_t source, uint64_t now);
void session_packet(struct session *s, const struct wire_packet *packet, uint64_t now);
void session_enter(struct session *s, enum session_state state, uint64_t now);
/* The queue pair is given up at the next opportunity: nothing is torn down under a callback. */
void session_give_up(struct session *s, const char *why);
void session_refused(struct session *s, enum rpc_error code, const char *text, size_t length);

/* attach.c: control messages and what they lead to. */
void attach_begin(struct session *s, uint64_t now);
void attach_message(struct session *s, const uint8_t *data, uint32_t length, uint64_t now);
void attach_scratch_done(struct session *s, enum session_status status, uint64_t now);
void attach_turn(struct session *s, uint64_t now);
uint64_t attach_deadline(const struct session *s);

#endif
