/* SPDX-License-Identifier: MIT */
/* The simulated server's inside, shared by its files: process and memory, CM, queue pairs. */
#ifndef ANNEX_SIM_RESPONDER_STATE_H
#define ANNEX_SIM_RESPONDER_STATE_H

#include "fabric/mad.h"
#include "fabric/wire.h"
#include "memserver/policy.h"
#include "sim/responder.h"

#define RESPONDER_LINKS   64u
#define RESPONDER_REPLAYS 32u /* power of two */
#define RESPONDER_SENDS   8u

/* A registered region of memory; its rkey is index << 8 | a random byte, as Soft-RoCE's. */
struct region {
	bool live;
	uint64_t tenant, session; /* its protection domain */
	uint64_t address;
	uint64_t length;
	uint32_t rkey;
	uint32_t index; /* of the extent, once an answer has named it; UINT32_MAX */
	uint8_t *memory;
	uint8_t *scratch; /* owned, of a scratch page */
};

/* What a responder remembers of a READ, to replay it. */
struct replay {
	bool valid;
	uint32_t psn, packets;
	uint64_t address;
	uint32_t rkey, length;
};

struct outgoing {
	uint32_t psn;
	uint32_t length;
	uint8_t message[RPC_MESSAGE_MAX];
};

enum link_state {
	LINK_FREE,
	LINK_REPLIED, /* REP sent, no RTU yet */
	LINK_ESTABLISHED,
	LINK_ZOMBIE, /* a planted fault: the policy believes it destroyed */
};

struct responder_link {
	enum link_state state;
	struct responder *responder;
	struct policy_link *policy;
	struct wire_path path;
	uint64_t tenant, session; /* protection domain */
	/* connection manager */
	uint64_t transaction, guid;
	uint32_t local_id, remote_id;
	uint8_t rep[MAD_BYTES];
	uint64_t rep_at;
	unsigned reps;
	/* responder */
	uint32_t number, remote;
	uint32_t mtu;
	bool error; /* drops everything */
	uint32_t expected, acked; /* acked: last executed SEND or WRITE */
	uint32_t msn;
	bool nak_sent;
	bool writing; /* inside a WRITE message */
	uint64_t write_address;
	uint32_t write_rkey, write_left;
	struct replay replay[RESPONDER_REPLAYS];
	unsigned replays, replay_next;
	/* requester: SENDs, the oldest first */
	uint32_t send_psn;
	struct outgoing out[RESPONDER_SENDS];
	unsigned outs;
	uint64_t send_at; /* retransmission, or UINT64_MAX */
	uint64_t send_timeout;
	unsigned tries, retries;
};

struct responder {
	struct responder_config config;
	unsigned cable;
	uint8_t mac[6];
	uint64_t now;
	bool up; /* the host */
	struct policy *policy; /* NULL: no process */
	/* what outlives the process */
	uint8_t pool_id[16];
	uint8_t *pool;
	uint8_t *stored, *synced; /* records, by policy_record_place() */
	size_t store_bytes;
	bool unsync;
	/* the process */
	struct region *region;
	unsigned regions;
	struct responder_link link[RESPONDER_LINKS];
	uint64_t stranger;
	/* neighbour entry for the VMM */
	bool neighbour_known;
	uint8_t neighbour[6];
	uint32_t neighbour_address;
	uint64_t confirmed, probe_at;
	struct responder_counters counters;
};

/* responder.c */
struct region *responder_region(struct responder *r, uint32_t rkey);
void responder_unlink(struct responder_link *l);
void responder_name_extents(struct responder *r, const uint8_t *answer, size_t length);

/* responder_cm.c */
void responder_frame(void *context, const uint8_t *frame, size_t length, uint64_t now);
void responder_transmit(struct responder *r, const struct wire_path *path,
	const struct wire_packet *packet, const void *payload, uint32_t length);
void responder_cm_disconnect(struct responder_link *l);
void responder_cm_turn(struct responder_link *l, uint64_t now);

/* responder_qp.c */
void responder_qp_input(struct responder_link *l, const struct wire_packet *p, uint64_t now);
void responder_qp_send(
	struct responder_link *l, const uint8_t *message, uint32_t length, uint64_t now);
void responder_qp_turn(struct responder_link *l, uint64_t now);

#endif
