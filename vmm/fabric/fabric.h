/* SPDX-License-Identifier: MIT */
/*
 * The RoCEv2 initiator: one port (NIC, address, ARP) and the sessions over it. Service core only;
 * time is handed in (ns). Nothing blocks.
 */
#ifndef ANNEX_FABRIC_H
#define ANNEX_FABRIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "nic/nic.h"

struct fabric;

#define FABRIC_COUNTERS(X)                                                                         \
	X(frames_in, "frames taken from the NIC")                                                  \
	X(frames_ignored, "not for us, or of a kind we do not speak")                              \
	X(frames_malformed, "lengths or headers that contradict themselves")                       \
	X(icrc_errors, "packets whose ICRC was wrong")                                             \
	X(arp_requests, "ARP requests answered")                                                   \
	X(arp_over_budget, "ARP and echo requests dropped by the budget")                          \
	X(reads, "READ requests sent")                                                             \
	X(writes, "WRITE messages sent")                                                           \
	X(sends, "control messages sent")                                                          \
	X(acks, "ACKs taken")                                                                      \
	X(naks, "NAKs taken, of any kind")                                                         \
	X(rnr_naks, "receiver-not-ready NAKs taken")                                               \
	X(duplicates, "ACKs and responses behind the oldest unacknowledged PSN")                   \
	X(impossible, "ACKs beyond the next PSN: queue pair killed")                               \
	X(retransmissions, "packets sent again")                                                   \
	X(timeouts, "ACK timers that ran out")                                                     \
	X(discarded, "responses to abandoned READs")                                               \
	X(cnps, "congestion notifications answered by slowing down")                               \
	X(connects, "connection attempts")                                                         \
	X(connected, "connections made")                                                           \
	X(queue_pairs_lost, "queue pairs given up")                                                \
	X(clock_gaps, "gaps over 0.5 s between turns: deadlines restarted")

struct fabric_counters {
#define X(name, text) uint64_t name;
	FABRIC_COUNTERS(X)
#undef X
};

struct fabric_config {
	struct nic *nic; /* started */
	uint32_t address; /* ours, host order */
	uint32_t prefix; /* 1..31 */
	uint32_t gateway; /* 0: none */
	uint32_t mtu; /* link MTU in use */
	uint64_t random[4]; /* seed of QPNs, PSNs, ids: fresh at each boot */
	uint64_t now;
	void *memory; /* fabric_memory_size(sessions) bytes, page-aligned */
	unsigned sessions;
};

size_t fabric_memory_size(unsigned sessions);

/* NULL and a reason when the configuration cannot work. Starts the ARP probe of our address. */
struct fabric *fabric_start(const struct fabric_config *config, const char **reason);

enum fabric_state {
	FABRIC_PROBING, /* asking whether somebody has our address; 180 ms */
	FABRIC_READY,
	FABRIC_CONFLICT, /* somebody has: the boot must stop */
};

/* conflict[6]: MAC of whoever has our address, valid in FABRIC_CONFLICT. */
enum fabric_state fabric_state(const struct fabric *fabric, uint8_t conflict[6]);

/*
 * Whether somebody else has spoken for our address since the probes ended, and who did last: late
 * answers. While the boot waits for its servers they count as a conflict, too.
 */
bool fabric_clash(const struct fabric *fabric, uint8_t mac[6]);

/* Takes up to `budget` frames from the NIC; returns how many it took. */
unsigned fabric_receive(struct fabric *fabric, uint64_t now, unsigned budget);

/* Timers: retransmission, connection attempts, keep-alive, ARP; sends what was held back. */
void fabric_turn(struct fabric *fabric, uint64_t now);

/* When fabric_turn() is next wanted: ns, or UINT64_MAX. */
uint64_t fabric_deadline(const struct fabric *fabric);

const struct fabric_counters *fabric_counters(const struct fabric *fabric);

#endif
