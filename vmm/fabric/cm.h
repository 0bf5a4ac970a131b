/* SPDX-License-Identifier: MIT */
/*
 * The connection manager's active side (IBTA vol. 1, 12.9): REQ, repeated until it is answered; REP
 * answered by RTU, also when it comes again; REJ with its reason and private data; DREQ answered by
 * DREP, for connections that we no longer know too.
 */
#ifndef ANNEX_CM_H
#define ANNEX_CM_H

#include <stdbool.h>
#include <stdint.h>
#include "fabric/mad.h"
#include "fabric/port.h"
#include "fabric/wire.h"

#define CM_QUEUE_PAIR  1u
#define CM_REPEAT_NS   500000000ull /* first repetition; then twice that */
#define CM_GIVE_UP_NS  10000000000ull
#define CM_SLOW_NS     60000000000ull /* longest that an MRA makes us wait */
#define CM_ACK_TIMEOUT 18u /* the server's own, for its SENDs: 1.07 s */
#define CM_RETRIES     6u

enum cm_state {
	CM_IDLE,
	CM_REQUESTED,
	CM_CONNECTED,
};

enum cm_outcome {
	CM_NOTHING,
	CM_ACCEPTED, /* accepted is filled; RTU was sent */
	CM_REJECTED, /* rejected is filled */
	CM_DISCONNECTED, /* the server has ended the connection */
	CM_SILENT, /* no answer in time */
};

struct cm_parameters {
	struct wire_path path;
	uint16_t port;
	uint32_t mtu; /* path MTU */
	uint32_t queue_pair; /* ours */
	uint32_t psn; /* the server's SENDs begin with it */
	unsigned reads; /* that we want outstanding */
	uint8_t hello[MAD_HELLO];
};

struct cm {
	struct port *port;
	struct wire_path path;
	enum cm_state state;
	uint32_t local_id, remote_id;
	uint64_t transaction;
	uint32_t queue_pair;
	uint64_t repeat_at, give_up_at;
	bool repeated;
	uint8_t request[MAD_BYTES];
	struct {
		uint32_t queue_pair, psn;
		unsigned reads;
		uint8_t data[MAD_REPLY];
	} accepted;
	struct {
		unsigned reason;
		uint8_t data[MAD_REFUSAL];
	} rejected;
};

void cm_init(struct cm *cm, struct port *port);

/* Draws a new id and sends the REQ. */
void cm_connect(struct cm *cm, const struct cm_parameters *parameters, uint64_t now);

/* True: the message names this connection. */
bool cm_wants(const struct cm *cm, const struct mad *mad, uint32_t source);
enum cm_outcome cm_input(struct cm *cm, const struct mad *mad, uint64_t now);

/* Answers what names no connection of ours, so that the server can forget it. */
void cm_stranger(struct port *port, const struct wire_packet *packet, const struct mad *mad);

enum cm_outcome cm_turn(struct cm *cm, uint64_t now);
uint64_t cm_deadline(const struct cm *cm);
void cm_shift(struct cm *cm, uint64_t gap);

/* Sends a DREQ when connected; the ids are forgotten. */
void cm_close(struct cm *cm);

/* "nobody listens there" for a REJ's reason. */
const char *cm_reason(unsigned reason);

#endif
