/* SPDX-License-Identifier: MIT */
/* The simulated server's host: frames, ARP, and the connection manager's passive side. */
#include <assert.h>
#include <string.h>
#include "lib/plant.h"
#include "sim/responder_state.h"

#define REP_EVERY    280000000ull
#define REP_MAX      15u
#define STALE_AFTER  30000000000ull /* the neighbour entry is asked for again ... */
#define SILENT_AFTER 35000000000ull /* ... and given up */
#define PROBE_EVERY  1000000000ull
#define SOURCE_PORT  0xc100u
#define ARP_BYTES    60u

static void arp_send(struct responder *r, unsigned operation, const uint8_t to[6], uint32_t target)
{
	uint8_t f[ARP_BYTES] = {0};

	memcpy(f, to, 6);
	memcpy(f + 6, r->mac, 6);
	wire_put16(f + 12, WIRE_TYPE_ARP);
	wire_put16(f + 14, 1);
	wire_put16(f + 16, WIRE_TYPE_IPV4);
	f[18] = 6;
	f[19] = 4;
	wire_put16(f + 20, operation);
	memcpy(f + 22, r->mac, 6);
	wire_put32(f + 28, r->config.address);
	if (operation == 2)
		memcpy(f + 32, to, 6);
	wire_put32(f + 38, target);
	network_send(r->config.network, r->cable, f, sizeof(f));
}

static void arp_input(struct responder *r, const uint8_t *f, size_t length, uint64_t now)
{
	uint32_t sender, target;

	if (length < 42)
		return;
	sender = wire_get32(f + 28);
	target = wire_get32(f + 38);
	if (sender != 0 && (target == r->config.address || sender == r->neighbour_address)) {
		memcpy(r->neighbour, f + 22, 6);
		r->neighbour_address = sender;
		r->neighbour_known = true;
		r->confirmed = now;
	}
	if (wire_get16(f + 20) == 1 && target == r->config.address)
		arp_send(r, 2, f + 6, sender);
}

/* As the kernel does per packet: an entry that nobody confirms any more ends in silence. */
static bool neighbour_usable(struct responder *r, uint32_t address)
{
	static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint64_t age = r->now - r->confirmed;

	if (address != r->neighbour_address) {
		r->neighbour_address = address;
		r->neighbour_known = false;
	}
	if (r->neighbour_known && age < STALE_AFTER)
		return true;
	if (r->now >= r->probe_at) {
		r->probe_at = r->now + PROBE_EVERY;
		arp_send(r, 1, r->neighbour_known ? r->neighbour : everybody, address);
	}
	return r->neighbour_known && age < SILENT_AFTER;
}

void responder_transmit(struct responder *r, const struct wire_path *path,
	const struct wire_packet *packet, const void *payload, uint32_t length)
{
	uint8_t frame[WIRE_HEAD_MAX + 4096 + 3 + WIRE_ICRC];
	struct wire_path p = *path;

	if (!neighbour_usable(r, path->destination))
		return;
	memcpy(p.destination_mac, r->neighbour, 6);
	network_send(r->config.network, r->cable, frame,
		wire_frame(frame, &p, packet, length == 0 ? "" : payload, length));
}

static void send_datagram(
	struct responder *r, const struct wire_path *path, const uint8_t datagram[MAD_BYTES])
{
	struct wire_packet p = {
		.opcode = WIRE_DATAGRAM,
		.ack_request = true, /* as Soft-RoCE has it; means nothing here */
		.queue_pair = 1,
		.psn = network_random(r->config.network) & WIRE_PSN_MASK,
		.queue_key = WIRE_QP1_KEY,
		.source_queue_pair = 1,
	};

	responder_transmit(r, path, &p, datagram, MAD_BYTES);
}

static void send_mad(struct responder *r, const struct wire_path *path, const struct mad *m)
{
	uint8_t datagram[MAD_BYTES];

	mad_encode(datagram, m);
	send_datagram(r, path, datagram);
}

static void reject(struct responder *r, const struct wire_path *path, const struct mad *req,
	uint32_t local_id, unsigned reason, const struct rpc_refusal *refusal)
{
	struct mad m = {
		.attribute = MAD_REJ,
		.transaction = req->transaction,
		.local_id = local_id,
		.remote_id = req->local_id,
		.reason = reason,
		.data = (const uint8_t *)refusal,
		.data_length = refusal == NULL ? 0 : sizeof(*refusal),
	};

	r->counters.refusals++;
	send_mad(r, path, &m);
}

void responder_cm_disconnect(struct responder_link *l)
{
	struct mad m = {
		.attribute = MAD_DREQ,
		.transaction = network_random(l->responder->config.network),
		.local_id = l->local_id,
		.remote_id = l->remote_id,
		.remote_queue_pair = l->remote,
	};

	send_mad(l->responder, &l->path, &m);
}

static struct responder_link *link_free(struct responder *r)
{
	for (unsigned i = 0; i < RESPONDER_LINKS; i++)
		if (r->link[i].state == LINK_FREE)
			return &r->link[i];
	return NULL;
}

static uint32_t power_of_two(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p *= 2;
	return p;
}

static void set_up(struct responder_link *l, struct responder *r, const struct wire_path *path,
	const struct mad *req)
{
	struct network *n = r->config.network;
	struct rpc_hello hello;

	memset(l, 0, sizeof(*l));
	memcpy(&hello, req->data, sizeof(hello));
	l->responder = r;
	l->path = *path;
	l->tenant = be64_get(hello.tenant);
	l->session = be64_get(hello.session);
	l->transaction = req->transaction;
	l->guid = req->guid;
	l->remote_id = req->local_id;
	l->local_id = 1 + network_random(n) % 0xfffffffe;
	l->number = 2 + network_random(n) % 0xfffffd;
	l->remote = req->queue_pair;
	l->mtu = wire_mtu_bytes(req->mtu_code);
	l->expected = network_random(n) & WIRE_PSN_MASK;
	l->acked = wire_psn_add(l->expected, WIRE_PSN_MASK);
	l->send_psn = req->psn;
	l->send_at = UINT64_MAX;
	l->send_timeout = 4096ull << req->ack_timeout;
	l->retries = req->retries;
	l->replays = power_of_two(r->config.reads);
	assert(l->replays <= RESPONDER_REPLAYS);
}

static void accept(struct responder_link *l, const struct mad *req,
	const struct rpc_welcome *welcome, uint64_t now)
{
	struct responder *r = l->responder;
	struct mad rep = {
		.attribute = MAD_REP,
		.transaction = req->transaction,
		.local_id = l->local_id,
		.remote_id = l->remote_id,
		.queue_pair = l->number,
		.psn = l->expected,
		.responder_resources = req->initiator_depth < r->config.reads ? req->initiator_depth
									      : r->config.reads,
		.data = (const uint8_t *)welcome,
		.data_length = sizeof(*welcome),
	};

	mad_encode(l->rep, &rep);
	l->state = LINK_REPLIED;
	l->rep_at = now + REP_EVERY;
	l->reps = 1;
	r->counters.connects++;
	send_datagram(r, &l->path, l->rep);
}

/* True: the request is answered already, as a duplicate or a stale connection. */
static bool known_request(struct responder *r, const struct wire_path *path, const struct mad *req)
{
	for (unsigned i = 0; i < RESPONDER_LINKS; i++) {
		struct responder_link *l = &r->link[i];

		if ((l->state != LINK_REPLIED && l->state != LINK_ESTABLISHED) ||
			l->guid != req->guid)
			continue;
		if (l->remote_id == req->local_id) {
			if (l->state == LINK_REPLIED)
				send_datagram(r, &l->path, l->rep);
			return true;
		}
		if (l->remote == req->queue_pair) {
			reject(r, path, req, 0, MAD_REJECT_STALE, NULL);
			responder_cm_disconnect(l);
			policy_unlinked(r->policy, l->policy);
			l->state = LINK_FREE;
			return true;
		}
	}
	return false;
}

static void input_req(
	struct responder *r, const struct wire_path *path, const struct mad *req, uint64_t now)
{
	struct rpc_refusal refusal;
	struct rpc_welcome welcome;
	struct responder_link *l;

	if (req->source != path->destination || req->destination != r->config.address ||
		wire_mtu_bytes(req->mtu_code) == 0)
		return;
	if (r->policy == NULL || req->port != r->config.port) {
		reject(r, path, req, 0, MAD_REJECT_SERVICE, NULL);
		return;
	}
	if (known_request(r, path, req))
		return;
	l = link_free(r);
	if (l == NULL) {
		reject(r, path, req, 0, MAD_REJECT_RESOURCES, NULL);
		return;
	}
	set_up(l, r, path, req);
	l->policy = policy_connect(r->policy, req->data, req->data_length, l, &welcome, &refusal);
	if (l->policy == NULL)
		reject(r, path, req, l->local_id, MAD_REJECT_CONSUMER, &refusal);
	else
		accept(l, req, &welcome, now);
}

static struct responder_link *link_of(struct responder *r, const struct mad *m)
{
	for (unsigned i = 0; i < RESPONDER_LINKS; i++) {
		struct responder_link *l = &r->link[i];

		if (l->state != LINK_FREE && l->state != LINK_ZOMBIE &&
			l->local_id == m->remote_id && l->remote_id == m->local_id)
			return l;
	}
	return NULL;
}

static void input_mad(
	struct responder *r, const struct wire_path *path, const struct mad *m, uint64_t now)
{
	struct responder_link *l = m->attribute == MAD_REQ ? NULL : link_of(r, m);
	struct mad drep = {
		.attribute = MAD_DREP,
		.transaction = m->transaction,
		.local_id = m->remote_id,
		.remote_id = m->local_id,
	};

	if (m->attribute == MAD_REQ)
		input_req(r, path, m, now);
	else if (m->attribute == MAD_RTU && l != NULL)
		l->state = LINK_ESTABLISHED;
	else if (m->attribute == MAD_DREQ)
		send_mad(r, path, &drep);
	if (l != NULL && (m->attribute == MAD_DREQ || m->attribute == MAD_REJ))
		responder_unlink(l);
}

void responder_cm_turn(struct responder_link *l, uint64_t now)
{
	struct mad rej = {
		.attribute = MAD_REJ,
		.transaction = l->transaction,
		.local_id = l->local_id,
		.remote_id = l->remote_id,
		.message = 0,
		.reason = MAD_REJECT_TIMEOUT,
	};

	if (l->state != LINK_REPLIED || now < l->rep_at)
		return;
	if (l->reps++ == REP_MAX) {
		send_mad(l->responder, &l->path, &rej);
		responder_unlink(l);
		return;
	}
	l->rep_at = now + REP_EVERY;
	send_datagram(l->responder, &l->path, l->rep);
}

static void input_packet(struct responder *r, const struct wire_packet *p, uint64_t now)
{
	struct wire_path path = {
		.source = r->config.address, .destination = p->source, .source_port = SOURCE_PORT};
	struct mad m;

	memcpy(path.source_mac, r->mac, 6);
	memcpy(path.destination_mac, p->source_mac, 6);
	if (p->queue_pair == 1) {
		if (p->opcode == WIRE_DATAGRAM && p->queue_key == WIRE_QP1_KEY &&
			mad_decode(p->payload, p->length, &m))
			input_mad(r, &path, &m, now);
		return;
	}
	for (unsigned i = 0; i < RESPONDER_LINKS; i++) {
		struct responder_link *l = &r->link[i];

		if (l->state != LINK_FREE && l->number == p->queue_pair) {
			responder_qp_input(l, p, now);
			return;
		}
	}
}

void responder_frame(void *context, const uint8_t *frame, size_t length, uint64_t now)
{
	struct responder *r = context;
	struct wire_packet p;

	if (now > r->now)
		r->now = now;
	if (!r->up || length < WIRE_ETHERNET)
		return;
	if (wire_get16(frame + 12) == WIRE_TYPE_ARP)
		arp_input(r, frame, length, now);
	else if (memcmp(frame, r->mac, 6) == 0 && wire_decode(frame, length, &p) == WIRE_OK &&
		 p.destination == r->config.address)
		input_packet(r, &p, now);
}
