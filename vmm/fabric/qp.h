/* SPDX-License-Identifier: MIT */
/*
 * A Reliable Connected queue pair, requester's half (IBTA vol. 1, 9.7): READ, WRITE and SEND in PSN
 * order, acknowledgements, retransmission. The receiving half is receiver.h.
 *
 * A request lives in a ring in PSN order until everything before it is acknowledged too. A READ's
 * response finds its destination only through its record there; an abandoned READ keeps its record
 * without a destination. READs are always asked again whole, from their first PSN: Soft-RoCE drops a
 * replay at a lower address than an earlier one.
 */
#ifndef ANNEX_QP_H
#define ANNEX_QP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "annex/rpc.h"
#include "fabric/port.h"
#include "fabric/receiver.h"
#include "fabric/rto.h"
#include "fabric/session.h"
#include "fabric/wire.h"

#define QP_SENDS      4u
#define QP_REQUESTS   64u /* power of two; READs + WRITEs + SENDs fit */
#define QP_MTU_MIN    1024u
#define QP_PACKETS    (SESSION_PAGE / QP_MTU_MIN)
#define QP_GIVE_UP_NS 10000000000ull
#define QP_WINDOW_NS  1000000ull /* the window grows by one request in this time or a round trip */
#define QP_CNP_NS     50000ull /* at most one congestion notification of ours in this time */

enum qp_kind {
	QP_READ,
	QP_WRITE,
	QP_SEND,
};

struct qp_request {
	uint32_t queue_pair; /* ours when it was posted */
	uint32_t psn; /* of its first packet */
	uint8_t kind; /* enum qp_kind */
	uint8_t packets; /* PSNs it takes */
	uint8_t acked; /* WRITE, SEND: packets acknowledged */
	uint8_t arrived; /* READ: a bit per response packet */
	uint8_t buffer; /* WRITE, SEND: its send buffer */
	bool done; /* completed; waits for those before it */
	bool abandoned; /* READ: no destination any more */
	bool again; /* sent more than once: no RTT sample */
	bool internal; /* the session's own, not the engine's */
	uint32_t tag;
	uint32_t rkey;
	uint32_t length;
	uint64_t address;
	uint8_t *to;
	uint64_t sent;
};

struct qp;

struct qp_events {
	/* Completed. The record is no longer in the ring; *request is a copy. */
	void (*done)(void *context, const struct qp_request *request, enum session_status status,
		uint64_t now);
	/* A SEND of the server, already acknowledged. */
	void (*message)(void *context, const uint8_t *data, uint32_t length, uint64_t now);
};

struct qp {
	struct port *port;
	const struct qp_events *events;
	void *context;
	struct wire_path path;
	bool open;
	const char *death; /* why it must be given up; NULL while it lives */
	uint32_t number; /* ours */
	uint32_t remote;
	uint32_t mtu;
	/* ring: head is the oldest, cursor the next to send, tail the next free; free-running */
	unsigned head, cursor, tail;
	unsigned cursor_packet;
	uint32_t next; /* PSN of the next request */
	uint32_t sent_end; /* one behind the highest PSN ever sent */
	unsigned reads_limit;
	unsigned reads, writes; /* records in the ring */
	uint64_t timer; /* acknowledgement due; UINT64_MAX: nothing outstanding */
	uint64_t progress; /* when something was last acknowledged, or became outstanding */
	uint64_t hold; /* RNR: nothing is sent before */
	uint64_t grow; /* when the window grows next */
	uint64_t cnp_at; /* when we may send the next congestion notification */
	unsigned window; /* requests under way */
	bool recovering; /* sent again since; no second fast retry until recover is acked */
	uint32_t recover;
	uint32_t nak; /* PSN of the sequence error we went back to */
	uint32_t broken; /* PSN that a fatal NAK named, or UINT32_MAX */
	struct rto rto;
	struct receiver receiver;
	uint64_t buffers_used;
	uint8_t sends_used;
	struct qp_request ring[QP_REQUESTS];
	/* Each packet's payload with its ICRC behind it: the bytes that every retransmission sends. */
	uint8_t buffer[SESSION_WRITES][SESSION_PAGE + QP_PACKETS * WIRE_ICRC];
	uint8_t send_buffer[QP_SENDS][RPC_MESSAGE_MAX + 3 + WIRE_ICRC];
};

struct qp_parameters {
	struct wire_path path;
	uint32_t number, remote;
	uint32_t mtu; /* path MTU, 1024..4096 */
	uint32_t first_psn; /* ours to send with (the REP's) */
	uint32_t expected_psn; /* the server's SENDs begin with (our REQ's) */
	unsigned reads; /* READs outstanding at most */
};

void qp_init(struct qp *q, struct port *port, const struct qp_events *events, void *context);
void qp_open(struct qp *q, const struct qp_parameters *parameters, uint64_t now);

/*
 * Ends its life: completes what is outstanding with SESSION_LOST (the one at `broken` PSN, if its
 * death says so, with SESSION_BROKEN). Nothing that arrives for it later has any effect.
 */
void qp_close(struct qp *q, uint64_t now);

unsigned qp_reads_free(const struct qp *q);
unsigned qp_writes_free(const struct qp *q);
bool qp_idle(const struct qp *q);

/* False: no room, or not open. Nothing completes from within. */
bool qp_read(struct qp *q, uint64_t address, uint32_t rkey, void *to, uint32_t tag, bool internal,
	uint64_t now);
bool qp_write(struct qp *q, uint64_t address, uint32_t rkey, const void *from, uint32_t tag,
	bool internal, uint64_t now);
bool qp_send(struct qp *q, const void *message, uint32_t length, uint64_t now);

void qp_abandon(struct qp *q, uint32_t tag);

/* A packet whose ICRC is right and that names this queue pair. */
void qp_input(struct qp *q, const struct wire_packet *packet, uint64_t now);

/* Timers, and what could not be sent before. The owner looks at q->death afterwards. */
void qp_turn(struct qp *q, uint64_t now);
uint64_t qp_deadline(const struct qp *q, uint64_t now);

/* The clock jumped by `gap` up to `now`. */
void qp_shift(struct qp *q, uint64_t gap, uint64_t now);

#endif
