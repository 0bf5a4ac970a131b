/* SPDX-License-Identifier: MIT */
/*
 * Connection manager messages: 256-byte management datagrams (IBTA vol. 1, 12.6, 13.4) with the
 * RDMA IP CM service's private data header (annex A11). Formats only.
 */
#ifndef ANNEX_MAD_H
#define ANNEX_MAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAD_BYTES       256u
#define MAD_HELLO       56u /* user's private data of a REQ */
#define MAD_REPLY       196u /* private data of a REP */
#define MAD_REFUSAL     148u /* private data of a REJ */
#define MAD_SERVICE_TCP 0x0000000001060000ull /* | port */

enum mad_attribute {
	MAD_REQ = 0x10,
	MAD_MRA = 0x11,
	MAD_REJ = 0x12,
	MAD_REP = 0x13,
	MAD_RTU = 0x14,
	MAD_DREQ = 0x15,
	MAD_DREP = 0x16,
};

/* Reasons of a REJ (12.6.7.2). */
#define MAD_REJECT_NO_QP     1u
#define MAD_REJECT_RESOURCES 3u
#define MAD_REJECT_TIMEOUT   4u
#define MAD_REJECT_COMM_ID   6u
#define MAD_REJECT_SERVICE   8u /* nobody listens */
#define MAD_REJECT_STALE     10u
#define MAD_REJECT_MTU       26u
#define MAD_REJECT_CONSUMER  28u

/* One message in host order; only the fields of its attribute count. */
struct mad {
	uint64_t transaction;
	enum mad_attribute attribute;
	uint32_t local_id; /* the sender's */
	uint32_t remote_id; /* the receiver's */
	/* REQ */
	uint16_t port;
	uint64_t guid;
	uint32_t source_port;
	uint32_t source, destination; /* IPv4, host order */
	unsigned mtu_code;
	unsigned ack_timeout; /* for the responder's own SENDs: 4.096 us * 2^n */
	unsigned retries;
	/* REQ, REP */
	uint32_t queue_pair;
	uint32_t psn;
	unsigned responder_resources;
	unsigned initiator_depth;
	/* REJ, MRA */
	unsigned message; /* which was rejected or received: 0 REQ, 1 REP, 2 other */
	unsigned reason;
	unsigned service_timeout; /* MRA: 4.096 us * 2^n */
	/* DREQ */
	uint32_t remote_queue_pair;
	/* REQ: MAD_HELLO bytes; REP, REJ: MAD_REPLY, MAD_REFUSAL. NULL: zeros. */
	const uint8_t *data;
	size_t data_length;
};

/* Writes a whole datagram. */
void mad_encode(uint8_t out[MAD_BYTES], const struct mad *mad);

/* False: not a connection manager message of a version and form that we speak. */
bool mad_decode(const uint8_t *in, size_t length, struct mad *mad);

#endif
