/* SPDX-License-Identifier: MIT */
/*
 * ARP (RFC 826, RFC 5227): finds the MACs of the servers' next hops, answers for our own address
 * for ever (a server that cannot resolve us falls silent), and asks at start whether somebody else
 * has it. Answers are bounded by a budget per turn.
 */
#ifndef ANNEX_ARP_H
#define ANNEX_ARP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "fabric/port.h"

#define ARP_PEERS  8u
#define ARP_BUDGET 16u /* requests answered per turn */
/*
 * RFC 5227 lets a controlled network choose shorter times than its seconds. A host answers in far
 * less; one that is late is still noticed, by arp.clashes, until the session is ready.
 */
#define ARP_PROBE_NS  60000000ull
#define ARP_PROBES    3u
#define ARP_RETRY_NS  250000000ull
#define ARP_DEFEND_NS 10000000000ull
#define ARP_FRAME     60u /* without FCS: the shortest that Ethernet carries */

struct arp_peer {
	uint32_t address; /* 0: free */
	bool known;
	bool wanted; /* somebody waits: ask until it is known */
	uint8_t mac[6];
	uint64_t ask_at;
};

struct arp {
	struct port *port;
	struct arp_peer peer[ARP_PEERS];
	unsigned budget; /* answers left in this turn */
	unsigned probes; /* sent so far */
	unsigned announced;
	uint64_t probe_at; /* next probe, announcement, or end of the wait */
	uint64_t defend_at;
	bool probing;
	bool conflict;
	unsigned clashes; /* somebody else spoke for our address after the probes */
	uint8_t conflict_mac[6]; /* the last one's */
};

void arp_init(struct arp *arp, struct port *port, uint64_t now);

/* An ARP frame, or what claims to be one. */
void arp_input(struct arp *arp, const uint8_t *frame, size_t length, uint64_t now);

/*
 * The MAC for an IP packet to `destination`; false: not known yet, asking goes on. Fresh asks again
 * although it is known (before a new connection: the server's machine may be another).
 */
bool arp_resolve(struct arp *arp, uint32_t destination, bool fresh, uint8_t mac[6], uint64_t now);

void arp_turn(struct arp *arp, uint64_t now);
uint64_t arp_deadline(const struct arp *arp);

/* The clock jumped by `gap`: nothing that fell into the gap counts as unanswered. */
void arp_shift(struct arp *arp, uint64_t gap);

#endif
