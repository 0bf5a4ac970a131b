/* SPDX-License-Identifier: MIT */
/* A queue pair of the simulated server: executes requests as Soft-RoCE on Linux 6.1 does. */
#include <assert.h>
#include <string.h>
#include "lib/plant.h"
#include "sim/responder_state.h"

static void reply(
	struct responder_link *l, struct wire_packet *p, const void *payload, uint32_t length)
{
	p->queue_pair = l->remote;
	responder_transmit(l->responder, &l->path, p, payload, length);
}

static void acknowledge(struct responder_link *l, uint32_t psn, uint8_t syndrome)
{
	struct wire_packet p = {
		.opcode = WIRE_ACK, .psn = psn, .syndrome = syndrome, .msn = l->msn};

	if (syndrome != WIRE_SYNDROME_ACK)
		l->responder->counters.naks++;
	reply(l, &p, NULL, 0);
}

static void fail(struct responder_link *l, const struct wire_packet *p, uint8_t syndrome)
{
	acknowledge(l, p->psn, syndrome);
	l->error = true;
}

/* The memory behind an access, or NULL: another domain's, unknown, or out of bounds. */
static uint8_t *reach(struct responder_link *l, uint32_t rkey, uint64_t address, uint64_t length)
{
	struct region *m = responder_region(l->responder, rkey);

	if (m == NULL || m->tenant != l->tenant || m->session != l->session ||
		address < m->address || length > m->length ||
		address - m->address > m->length - length)
		return NULL;
	return m->memory + (address - m->address);
}

static uint32_t packets_for(const struct responder_link *l, uint32_t length)
{
	return length == 0 ? 1 : (length + l->mtu - 1) / l->mtu;
}

/* Sends the responses from memory as it is now; first_psn is the request's own. */
static void respond(
	struct responder_link *l, uint32_t psn, const uint8_t *memory, uint32_t length, bool begins)
{
	uint32_t packets = packets_for(l, length);

	for (uint32_t i = 0; i < packets; i++) {
		uint32_t part = length - i * l->mtu < l->mtu ? length - i * l->mtu : l->mtu;
		struct wire_packet p = {
			.psn = wire_psn_add(psn, i),
			.syndrome = WIRE_SYNDROME_ACK,
			.msn = l->msn,
		};

		if (i == 0 && begins)
			p.opcode = packets == 1 ? WIRE_READ_ONLY : WIRE_READ_FIRST;
		else
			p.opcode = i + 1 == packets ? WIRE_READ_LAST : WIRE_READ_MIDDLE;
		reply(l, &p, memory + i * l->mtu, part);
	}
}

static void duplicate_read(struct responder_link *l, const struct wire_packet *p)
{
	for (unsigned i = 0; i < l->replays; i++) {
		struct replay *x = &l->replay[i];
		uint8_t *memory;

		if (!x->valid || (uint32_t)wire_psn_diff(p->psn, x->psn) >= x->packets)
			continue;
		/* Soft-RoCE keeps the highest start it was asked to replay from. */
		if (p->address < x->address || p->rkey != x->rkey ||
			p->address + p->dma_length != x->address + x->length)
			return;
		memory = reach(l, p->rkey, p->address, p->dma_length);
		if (memory == NULL)
			return;
		respond(l, p->psn, memory, p->dma_length, p->psn == x->psn);
		x->packets -= wire_psn_add(p->psn, -x->psn);
		x->psn = p->psn;
		x->address = p->address;
		x->length = p->dma_length;
		return;
	}
}

static void duplicate(struct responder_link *l, const struct wire_packet *p)
{
	l->responder->counters.duplicates++;
	if (p->opcode == WIRE_READ_REQUEST)
		duplicate_read(l, p);
	else
		acknowledge(l, l->acked, WIRE_SYNDROME_ACK);
}

static bool execute_read(struct responder_link *l, const struct wire_packet *p)
{
	uint8_t *memory = reach(l, p->rkey, p->address, p->dma_length);
	struct replay *x = &l->replay[l->replay_next++ % l->replays];

	if (memory == NULL) {
		fail(l, p, WIRE_SYNDROME_ACCESS);
		return false;
	}
	*x = (struct replay){.valid = true,
		.psn = p->psn,
		.packets = packets_for(l, p->dma_length),
		.address = p->address,
		.rkey = p->rkey,
		.length = p->dma_length};
	l->msn = wire_psn_add(l->msn, 1);
	l->expected = wire_psn_add(l->expected, x->packets);
	l->responder->counters.reads++;
	respond(l, p->psn, memory, p->dma_length, true);
	return true;
}

/* One packet of a WRITE: executed at once, whatever becomes of the rest of its message. */
static bool execute_write(struct responder_link *l, const struct wire_packet *p)
{
	bool first = p->opcode == WIRE_WRITE_FIRST || p->opcode == WIRE_WRITE_ONLY;
	bool last = p->opcode == WIRE_WRITE_LAST || p->opcode == WIRE_WRITE_ONLY;
	uint8_t *memory;

	if (first == l->writing) {
		fail(l, p, WIRE_SYNDROME_INVALID);
		return false;
	}
	if (first) {
		l->write_address = p->address;
		l->write_rkey = p->rkey;
		l->write_left = p->dma_length;
	}
	if (p->length > l->write_left || p->length > l->mtu ||
		(last && p->length != l->write_left) || (!last && p->length != l->mtu)) {
		fail(l, p, WIRE_SYNDROME_INVALID);
		return false;
	}
	memory = reach(l, l->write_rkey, l->write_address, l->write_left);
	if (memory == NULL) {
		fail(l, p, WIRE_SYNDROME_ACCESS);
		return false;
	}
	memcpy(memory, p->payload, p->length);
	l->write_address += p->length;
	l->write_left -= p->length;
	l->writing = !last;
	l->responder->counters.writes += last;
	if (l->state == LINK_ZOMBIE)
		l->responder->counters.executed_late++;
	return true;
}

static void consume(struct responder_link *l, const struct wire_packet *p, uint64_t now)
{
	struct responder *r = l->responder;
	uint8_t answer[RPC_MESSAGE_MAX];
	size_t length;

	r->counters.sends++;
	if (l->policy == NULL || r->policy == NULL)
		return;
	length = policy_message(r->policy, l->policy, p->payload, p->length, answer);
	if (l->policy == NULL || l->state == LINK_FREE)
		return; /* the message destroyed its own queue pair */
	responder_name_extents(r, answer, length);
	responder_qp_send(l, answer, length, now);
}

static void execute(struct responder_link *l, const struct wire_packet *p, uint64_t now)
{
	bool message = p->opcode == WIRE_SEND_ONLY;

	l->nak_sent = false;
	if (p->opcode == WIRE_READ_REQUEST && !l->writing) {
		execute_read(l, p);
		return;
	}
	if (message ? l->writing
		    : p->opcode < WIRE_WRITE_FIRST || p->opcode > WIRE_WRITE_ONLY ||
				p->opcode == WIRE_WRITE_LAST_IMMEDIATE) {
		fail(l, p, WIRE_SYNDROME_INVALID);
		return;
	}
	if (!message && !execute_write(l, p))
		return;
	l->expected = wire_psn_add(l->expected, 1);
	l->acked = p->psn;
	if (!l->writing)
		l->msn = wire_psn_add(l->msn, 1);
	if (p->ack_request)
		acknowledge(l, p->psn, WIRE_SYNDROME_ACK);
	if (message)
		consume(l, p, now);
}

static void send_one(struct responder_link *l, const struct outgoing *o)
{
	struct wire_packet p = {.opcode = WIRE_SEND_ONLY, .psn = o->psn, .ack_request = true};

	reply(l, &p, o->message, o->length);
}

static void send_acked(struct responder_link *l, uint32_t psn, uint64_t now)
{
	while (l->outs > 0 && wire_psn_diff(psn, l->out[0].psn) >= 0) {
		l->outs--;
		memmove(&l->out[0], &l->out[1], l->outs * sizeof(l->out[0]));
		l->tries = 0;
		l->send_at = now + l->send_timeout;
	}
	if (l->outs == 0)
		l->send_at = UINT64_MAX;
}

static void input_answer(struct responder_link *l, const struct wire_packet *p, uint64_t now)
{
	if (wire_psn_diff(p->psn, l->send_psn) >= 0)
		return;
	if (p->syndrome == WIRE_SYNDROME_SEQUENCE) {
		send_acked(l, wire_psn_add(p->psn, WIRE_PSN_MASK), now);
		for (unsigned i = 0; i < l->outs; i++)
			send_one(l, &l->out[i]);
	} else if ((p->syndrome & 0xe0) == 0) {
		send_acked(l, p->psn, now);
	} else {
		l->error = true;
	}
}

void responder_qp_input(struct responder_link *l, const struct wire_packet *p, uint64_t now)
{
	int32_t ahead = wire_psn_diff(p->psn, l->expected);

	if (l->error || p->source != l->path.destination)
		return;
	if (p->opcode == WIRE_ACK) {
		input_answer(l, p, now);
		return;
	}
	if (p->opcode == WIRE_CNP || (p->opcode >= WIRE_READ_FIRST && p->opcode <= WIRE_ATOMIC_ACK))
		return;
	if (l->state == LINK_REPLIED)
		l->state = LINK_ESTABLISHED; /* its RTU was lost */
	if (ahead < 0) {
		duplicate(l, p);
	} else if (ahead > 0) {
		if (!l->nak_sent)
			acknowledge(l, l->expected, WIRE_SYNDROME_SEQUENCE);
		l->nak_sent = true;
	} else {
		execute(l, p, now);
	}
}

void responder_qp_send(
	struct responder_link *l, const uint8_t *message, uint32_t length, uint64_t now)
{
	struct outgoing *o = &l->out[l->outs++];

	assert(l->outs <= RESPONDER_SENDS);
	o->psn = l->send_psn;
	o->length = length;
	memcpy(o->message, message, length);
	l->send_psn = wire_psn_add(l->send_psn, 1);
	if (l->send_at == UINT64_MAX) {
		l->send_at = now + l->send_timeout;
		l->tries = 0;
	}
	send_one(l, o);
}

void responder_qp_turn(struct responder_link *l, uint64_t now)
{
	if (l->error || now < l->send_at)
		return;
	if (l->retries < 7 && l->tries++ >= l->retries) {
		/* The program sees its SEND fail and ends the connection. */
		l->error = true;
		responder_cm_disconnect(l);
		responder_unlink(l);
		return;
	}
	for (unsigned i = 0; i < l->outs; i++)
		send_one(l, &l->out[i]);
	l->send_at = now + l->send_timeout;
}
