/* SPDX-License-Identifier: MIT */
/*
 * A queue pair's receiving half: the server's SENDs to us (IBTA vol. 1, 9.7.4, 9.9.3). In order:
 * acknowledged and taken; behind: acknowledged again; ahead: one NAK. Requests for our own memory
 * are refused: we offer none.
 */
#ifndef ANNEX_RECEIVER_H
#define ANNEX_RECEIVER_H

#include <stdbool.h>
#include <stdint.h>
#include "fabric/wire.h"

struct receiver {
	uint32_t expected;
	uint32_t completed; /* messages, modulo 2^24: the MSN */
	bool nak_sent; /* one per gap */
	bool refused; /* an invalid request killed the receiving half */
};

enum receiver_verdict {
	RECEIVER_SILENT, /* say nothing */
	RECEIVER_ANSWER, /* send what is in *answer */
	RECEIVER_DELIVER, /* take the payload; no acknowledgement was asked for */
	RECEIVER_DELIVER_ANSWER,
};

void receiver_init(struct receiver *r, uint32_t expected);

/* True: the opcode is a request of the other side, receiver_input()'s to judge. */
bool receiver_wants(uint8_t opcode);

/* Fills answer->opcode, psn, syndrome and msn; the caller adds the rest. */
enum receiver_verdict receiver_input(
	struct receiver *r, const struct wire_packet *packet, struct wire_packet *answer);

#endif
