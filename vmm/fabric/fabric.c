/* SPDX-License-Identifier: MIT */
#include "fabric/fabric.h"

#include <string.h>
#include "fabric/acknowledge.h"
#include "fabric/arp.h"
#include "fabric/icmp.h"
#include "fabric/session_state.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "lib/plant.h"

#define PAGE         4096u
#define SESSIONS_MAX ARP_PEERS
#define GAP_NS       500000000ull
#define TURN_MAX_NS  250000000ull /* a turn at least this often, or gaps could not be seen */

struct fabric {
	struct port port;
	struct arp arp;
	uint64_t last; /* when we were last called */
	unsigned count, capacity;
	struct session *session;
	uint8_t scratch[NIC_FRAME_MAX];
};

static size_t sessions_at(void)
{
	return (sizeof(struct fabric) + PAGE - 1) / PAGE * PAGE;
}

size_t fabric_memory_size(unsigned sessions)
{
	return sessions_at() + (sessions * sizeof(struct session) + PAGE - 1) / PAGE * PAGE;
}

static const char *refuse(const struct fabric_config *c)
{
	uint32_t host = c->prefix >= 1 && c->prefix <= 31 ? ~0u >> c->prefix : 0;

	if (c->prefix < 1 || c->prefix > 31)
		return "the prefix length must be 1 to 31";
	if (c->address == 0 || c->address >> 28 >= 14 || c->address >> 24 == 127)
		return "the address is no host's";
	if (c->prefix < 31 && ((c->address & host) == 0 || (c->address & host) == host))
		return "the address is its network's or its broadcast address";
	if (c->gateway != 0 && ((c->gateway ^ c->address) & ~host) != 0)
		return "the gateway is not in the address's network";
	if (wire_path_mtu(c->mtu) < QP_MTU_MIN)
		return "the link MTU is too small: at least 1120";
	if (c->mtu + WIRE_ETHERNET > NIC_FRAME_MAX)
		return "the link MTU is too large: at most 9216";
	if (c->sessions == 0 || c->sessions > SESSIONS_MAX)
		return "the number of servers must be 1 to 8";
	return NULL;
}

struct fabric *fabric_start(const struct fabric_config *config, const char **reason)
{
	struct fabric *f = config->memory;

	*reason = refuse(config);
	if (*reason != NULL)
		return NULL;
	memset(f, 0, sizeof(*f));
	f->last = config->now;
	f->capacity = config->sessions;
	f->session = (struct session *)((uint8_t *)config->memory + sessions_at());
	port_init(&f->port, config);
	arp_init(&f->arp, &f->port, config->now);
	return f;
}

enum fabric_state fabric_state(const struct fabric *f, uint8_t conflict[6])
{
	if (f->arp.conflict) {
		memcpy(conflict, f->arp.conflict_mac, 6);
		return FABRIC_CONFLICT;
	}
	return f->arp.probing ? FABRIC_PROBING : FABRIC_READY;
}

bool fabric_clash(const struct fabric *f, uint8_t mac[6])
{
	memcpy(mac, f->arp.conflict_mac, 6);
	return f->arp.clashes > 0;
}

/*
 * Half of the receive ring is READ responses at most: a responder sends them unpaced, and what
 * overflows the ring is a loss for all.
 */
static unsigned reads_for(const struct fabric *f)
{
	uint32_t mtu = wire_path_mtu(f->port.mtu);
	uint32_t packets = (SESSION_PAGE + mtu - 1) / mtu;
	uint32_t reads = f->port.nic->receive_slots / 2 / packets / f->capacity;

	return reads == 0 ? 1 : reads < SESSION_READS ? reads : SESSION_READS;
}

struct session *session_open(struct fabric *f, const struct session_config *config)
{
	struct session *s;

	check(f->count < f->capacity);
	s = &f->session[f->count++];
	session_init(s, &f->port, &f->arp, reads_for(f), config);
	return s;
}

/* The machine stood still: whoever was silent meanwhile is not to blame. */
static void look_at_clock(struct fabric *f, uint64_t now)
{
	uint64_t gap = now > f->last ? now - f->last : 0;

	if (now > f->last)
		f->last = now;
	if (gap <= GAP_NS)
		return;
	f->port.counters.clock_gaps++;
	arp_shift(&f->arp, gap);
	for (unsigned i = 0; i < f->count; i++)
		session_shift(&f->session[i], gap, now);
}

static void input_datagram(struct fabric *f, const struct wire_packet *p, uint64_t now)
{
	struct mad mad;

	if (p->opcode != WIRE_DATAGRAM || p->queue_key != WIRE_QP1_KEY ||
		p->source_queue_pair != CM_QUEUE_PAIR || !mad_decode(p->payload, p->length, &mad)) {
		f->port.counters.frames_ignored++;
		return;
	}
	for (unsigned i = 0; i < f->count; i++)
		if (session_mad(&f->session[i], &mad, p->source, now))
			return;
	if (f->arp.budget == 0) {
		f->port.counters.arp_over_budget++;
		return;
	}
	f->arp.budget--;
	cm_stranger(&f->port, p, &mad);
}

static void input_packet(struct fabric *f, const struct wire_packet *p, uint64_t now)
{
	if (p->queue_pair == CM_QUEUE_PAIR) {
		input_datagram(f, p, now);
		return;
	}
	for (unsigned i = 0; i < f->count; i++) {
		struct session *s = &f->session[i];

		if (s->qp.open && s->qp.number == p->queue_pair) {
			session_packet(s, p, now);
			return;
		}
	}
	for (unsigned i = 0; planted(PLANT_ABANDONED_READ) && i < f->count; i++)
		if (p->opcode >= WIRE_READ_FIRST && p->opcode <= WIRE_READ_ONLY)
			acknowledge_place_late(&f->session[i].qp, p);
	f->port.counters.frames_ignored++;
}

static void input_ipv4(struct fabric *f, const uint8_t *frame, size_t length, uint64_t now)
{
	struct fabric_counters *c = &f->port.counters;
	struct wire_packet packet;

	if (length < WIRE_IP_AT + WIRE_IPV4) {
		c->frames_malformed++;
		return;
	}
	if (wire_get32(frame + WIRE_IP_AT + 16) != f->port.address || f->arp.probing) {
		c->frames_ignored++;
		return;
	}
	if (frame[WIRE_IP_AT + 9] == ICMP_PROTOCOL) {
		if (f->arp.budget == 0) {
			c->arp_over_budget++;
			return;
		}
		f->arp.budget--;
		icmp_input(&f->port, frame, length, f->scratch);
		return;
	}
	switch (wire_decode(frame, length, &packet)) {
	case WIRE_OK:
		input_packet(f, &packet, now);
		break;
	case WIRE_IGNORED:
		c->frames_ignored++;
		break;
	case WIRE_MALFORMED:
		c->frames_malformed++;
		break;
	case WIRE_ICRC_ERROR:
		c->icrc_errors++;
		break;
	}
}

static void input_frame(struct fabric *f, const uint8_t *frame, size_t length, uint64_t now)
{
	static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	bool ours;

	f->port.counters.frames_in++;
	if (length < WIRE_ETHERNET || length > NIC_FRAME_MAX) {
		f->port.counters.frames_malformed++;
		return;
	}
	ours = memcmp(frame, f->port.nic->mac, 6) == 0;
	if (wire_get16(frame + 12) == WIRE_TYPE_ARP && (ours || memcmp(frame, everybody, 6) == 0))
		arp_input(&f->arp, frame, length, now);
	else if (wire_get16(frame + 12) == WIRE_TYPE_IPV4 && ours)
		input_ipv4(f, frame, length, now);
	else
		f->port.counters.frames_ignored++;
}

unsigned fabric_receive(struct fabric *f, uint64_t now, unsigned budget)
{
	struct nic *nic = f->port.nic;
	struct nic_frame frame;
	unsigned taken = 0;

	look_at_clock(f, now);
	while (taken < budget && nic->ops->receive(nic, &frame)) {
		input_frame(f, frame.data, frame.length, now);
		nic->ops->release(nic, &frame);
		taken++;
	}
	return taken;
}

void fabric_turn(struct fabric *f, uint64_t now)
{
	look_at_clock(f, now);
	f->arp.budget = ARP_BUDGET;
	arp_turn(&f->arp, now);
	if (f->arp.probing || f->arp.conflict)
		return;
	for (unsigned i = 0; i < f->count; i++)
		session_turn(&f->session[i], now);
}

uint64_t fabric_deadline(const struct fabric *f)
{
	uint64_t deadline = f->last + TURN_MAX_NS;
	uint64_t arp = arp_deadline(&f->arp);

	if (arp < deadline)
		deadline = arp;
	for (unsigned i = 0; i < f->count && !f->arp.probing; i++) {
		uint64_t d = session_deadline(&f->session[i], f->last);

		if (d < deadline)
			deadline = d;
	}
	return deadline;
}

const struct fabric_counters *fabric_counters(const struct fabric *f)
{
	return &f->port.counters;
}
