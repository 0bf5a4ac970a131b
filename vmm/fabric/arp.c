/* SPDX-License-Identifier: MIT */
#include "fabric/arp.h"

#include <string.h>
#include "lib/log.h"

#define REQUEST    1u
#define REPLY      2u
#define ARP_AT     WIRE_ETHERNET
#define ARP_LENGTH 28u

struct message {
	unsigned operation;
	uint8_t sender_mac[6];
	uint32_t sender;
	uint32_t target;
};

static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static bool send(struct arp *arp, unsigned operation, const uint8_t to[6], uint32_t sender,
	const uint8_t *target_mac, uint32_t target)
{
	uint8_t frame[ARP_FRAME] = {0};
	uint8_t *a = frame + ARP_AT;
	const uint8_t *mac = arp->port->nic->mac;

	memcpy(frame, to, 6);
	memcpy(frame + 6, mac, 6);
	wire_put16(frame + 12, WIRE_TYPE_ARP);
	wire_put16(a, 1); /* Ethernet */
	wire_put16(a + 2, WIRE_TYPE_IPV4);
	a[4] = 6;
	a[5] = 4;
	wire_put16(a + 6, operation);
	memcpy(a + 8, mac, 6);
	wire_put32(a + 14, sender);
	if (target_mac != NULL)
		memcpy(a + 18, target_mac, 6);
	wire_put32(a + 24, target);
	return port_send(arp->port, frame, sizeof(frame), NULL, 0);
}

void arp_init(struct arp *arp, struct port *port, uint64_t now)
{
	memset(arp, 0, sizeof(*arp));
	arp->port = port;
	arp->budget = ARP_BUDGET;
	arp->probing = true;
	arp->probe_at = now;
}

static bool decode(const uint8_t *frame, size_t length, struct message *m)
{
	const uint8_t *a = frame + ARP_AT;

	if (length < ARP_AT + ARP_LENGTH || wire_get16(a) != 1 ||
		wire_get16(a + 2) != WIRE_TYPE_IPV4 || a[4] != 6 || a[5] != 4)
		return false;
	m->operation = wire_get16(a + 6);
	memcpy(m->sender_mac, a + 8, 6);
	m->sender = wire_get32(a + 14);
	m->target = wire_get32(a + 24);
	return (m->operation == REQUEST || m->operation == REPLY) && !(m->sender_mac[0] & 1);
}

/* Somebody else speaks for our address, or asks whether it is free as we do. */
static void clash(struct arp *arp, const struct message *m, uint64_t now)
{
	memcpy(arp->conflict_mac, m->sender_mac, 6);
	if (arp->probing) {
		arp->conflict = true;
		return;
	}
	arp->clashes++;
	if (m->sender != arp->port->address || now < arp->defend_at)
		return;
	/* RFC 5227, 2.4 (b): defend once, and not again for a while. */
	arp->defend_at = now + ARP_DEFEND_NS;
	log_warning("fabric: %02x:%02x:%02x:%02x:%02x:%02x uses our address too", m->sender_mac[0],
		m->sender_mac[1], m->sender_mac[2], m->sender_mac[3], m->sender_mac[4],
		m->sender_mac[5]);
	send(arp, REQUEST, everybody, arp->port->address, NULL, arp->port->address);
}

static void learn(struct arp *arp, const struct message *m)
{
	for (unsigned i = 0; i < ARP_PEERS; i++) {
		struct arp_peer *peer = &arp->peer[i];

		if (peer->address == 0 || peer->address != m->sender)
			continue;
		memcpy(peer->mac, m->sender_mac, 6);
		peer->known = true;
		peer->wanted = false;
	}
}

void arp_input(struct arp *arp, const uint8_t *frame, size_t length, uint64_t now)
{
	struct message m;

	if (!decode(frame, length, &m)) {
		arp->port->counters.frames_malformed++;
		return;
	}
	if (memcmp(m.sender_mac, arp->port->nic->mac, 6) == 0)
		return; /* a hub gave us our own frame back */
	if (m.sender == arp->port->address ||
		(arp->probing && m.sender == 0 && m.target == arp->port->address)) {
		clash(arp, &m, now);
		return;
	}
	if (m.sender != 0)
		learn(arp, &m);
	if (m.operation != REQUEST || m.target != arp->port->address || arp->probing)
		return;
	if (arp->budget == 0) {
		arp->port->counters.arp_over_budget++;
		return;
	}
	arp->budget--;
	if (send(arp, REPLY, m.sender_mac, arp->port->address, m.sender_mac, m.sender))
		arp->port->counters.arp_requests++;
}

static struct arp_peer *find(struct arp *arp, uint32_t address)
{
	struct arp_peer *free = NULL;

	for (unsigned i = 0; i < ARP_PEERS; i++) {
		if (arp->peer[i].address == address)
			return &arp->peer[i];
		if (arp->peer[i].address == 0 && free == NULL)
			free = &arp->peer[i];
	}
	if (free != NULL)
		free->address = address;
	return free;
}

bool arp_resolve(struct arp *arp, uint32_t destination, bool fresh, uint8_t mac[6], uint64_t now)
{
	uint32_t hop = port_next_hop(arp->port, destination);
	struct arp_peer *peer = hop == 0 ? NULL : find(arp, hop);

	if (peer == NULL)
		return false;
	if (fresh)
		peer->known = false;
	if (peer->known) {
		memcpy(mac, peer->mac, 6);
		return true;
	}
	if (!peer->wanted) {
		peer->wanted = true;
		peer->ask_at = now;
		arp_turn(arp, now);
	}
	return false;
}

/* Probes, then two announcements, so that caches forget whoever had the address before. */
static void turn_start(struct arp *arp, uint64_t now)
{
	uint32_t ours = arp->port->address;

	if (now < arp->probe_at)
		return;
	if (arp->probing && arp->probes < ARP_PROBES) {
		if (!send(arp, REQUEST, everybody, 0, NULL, ours))
			return;
		arp->probes++;
		arp->probe_at = now + ARP_PROBE_NS;
		return;
	}
	if (arp->conflict)
		return;
	arp->probing = false;
	if (arp->announced < 2 && send(arp, REQUEST, everybody, ours, NULL, ours)) {
		arp->announced++;
		arp->probe_at = now + ARP_PROBE_NS;
	}
}

void arp_turn(struct arp *arp, uint64_t now)
{
	if (arp->conflict)
		return;
	if (arp->probing || arp->announced < 2)
		turn_start(arp, now);
	if (arp->probing)
		return;
	for (unsigned i = 0; i < ARP_PEERS; i++) {
		struct arp_peer *peer = &arp->peer[i];

		if (!peer->wanted || now < peer->ask_at)
			continue;
		if (send(arp, REQUEST, everybody, arp->port->address, NULL, peer->address))
			peer->ask_at = now + ARP_RETRY_NS;
	}
}

uint64_t arp_deadline(const struct arp *arp)
{
	uint64_t deadline = UINT64_MAX;

	if (arp->conflict)
		return deadline;
	if (arp->probing || arp->announced < 2)
		deadline = arp->probe_at;
	for (unsigned i = 0; i < ARP_PEERS && !arp->probing; i++)
		if (arp->peer[i].wanted && arp->peer[i].ask_at < deadline)
			deadline = arp->peer[i].ask_at;
	return deadline;
}

void arp_shift(struct arp *arp, uint64_t gap)
{
	arp->probe_at += gap;
	for (unsigned i = 0; i < ARP_PEERS; i++)
		if (arp->peer[i].wanted)
			arp->peer[i].ask_at += gap;
}
