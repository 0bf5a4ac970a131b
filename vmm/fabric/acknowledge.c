/* SPDX-License-Identifier: MIT */
#include "fabric/acknowledge.h"

#include <string.h>
#include "fabric/ring.h"
#include "fabric/transmit.h"
#include "lib/panic.h"
#include "lib/plant.h"

/* Something behind a hole has arrived: the hole is a loss. Once per loss; then the timer decides. */
static void fast_retry(struct qp *q, uint64_t now)
{
	if (q->recovering)
		return;
	transmit_slow_down(q, now);
	transmit_go_back(q);
}

static void progress(struct qp *q, uint64_t now)
{
	q->progress = now;
	rto_progress(&q->rto);
	q->timer = q->head == q->tail ? RING_NEVER : now + rto_timeout(&q->rto);
	if (q->recovering &&
		(q->head == q->tail || wire_psn_diff(ring_slot(q, q->head)->psn, q->recover) >= 0))
		q->recovering = false;
}

static void retire(struct qp *q)
{
	while (q->head != q->tail && ring_slot(q, q->head)->done) {
		if (ring_slot(q, q->head)->kind == QP_READ)
			q->reads--;
		else if (ring_slot(q, q->head)->kind == QP_WRITE)
			q->writes--;
		if (q->cursor == q->head) {
			q->cursor++;
			q->cursor_packet = 0;
		}
		q->head++;
	}
}

void acknowledge_complete(
	struct qp *q, struct qp_request *r, enum session_status status, uint64_t now)
{
	struct qp_request copy = *r;

	check(!r->done);
	r->done = true;
	if (r->kind == QP_WRITE)
		q->buffers_used &= ~(1ull << r->buffer);
	else if (r->kind == QP_SEND)
		q->sends_used &= ~(1u << r->buffer);
	/* Karn: what was sent twice measures nothing. */
	if (status == SESSION_OK && !r->again)
		rto_sample(&q->rto, now - r->sent);
	retire(q);
	if (!copy.abandoned)
		q->events->done(q->context, &copy, status, now);
}

static uint32_t oldest_psn(const struct qp *q)
{
	const struct qp_request *r = ring_slot_const(q, q->head);

	return q->head == q->tail ? q->next : wire_psn_add(r->psn, r->acked);
}

/*
 * The responder has executed all up to and including `psn`. Completes the WRITEs and SENDs among it;
 * returns true when a READ among it still lacks a response: it was lost on its way.
 */
static bool executed(struct qp *q, uint32_t psn, uint64_t now)
{
	unsigned end = q->tail;
	bool hole = false, moved = false;

	for (unsigned i = q->head; i != end; i++) {
		struct qp_request *r = ring_slot(q, i);
		int32_t n;

		if ((int)(i - q->head) < 0)
			continue; /* retired meanwhile, its slot may be another's */
		n = wire_psn_diff(psn, r->psn) + 1;
		if (n <= 0)
			break;
		if (r->done)
			continue;
		if (r->kind == QP_READ) {
			hole = hole || n >= r->packets;
			continue;
		}
		n = n < r->packets ? n : r->packets;
		moved = moved || n > r->acked;
		r->acked = n > r->acked ? n : r->acked;
		if (r->acked == r->packets)
			acknowledge_complete(q, r, SESSION_OK, now);
	}
	if (moved)
		progress(q, now);
	return hole;
}

static unsigned find(const struct qp *q, uint32_t psn)
{
	for (unsigned i = q->head; i != q->tail; i++) {
		const struct qp_request *r = ring_slot_const(q, i);

		if ((uint32_t)wire_psn_diff(psn, r->psn) < r->packets)
			return i;
	}
	return q->tail;
}

/* Both an ACK and a response: inside [oldest unacknowledged, next to be sent) or without effect. */
static bool acceptable(struct qp *q, uint32_t psn)
{
	if (wire_psn_diff(psn, oldest_psn(q)) < 0) {
		q->port->counters.duplicates++;
		return false;
	}
	if (wire_psn_diff(psn, q->sent_end) >= 0) {
		q->port->counters.impossible++;
		ring_die(q, "impossible acknowledgement");
		return false;
	}
	return true;
}

static void place(
	struct qp *q, const struct qp_request *r, unsigned packet, const struct wire_packet *p)
{
	if (r->abandoned) {
		q->port->counters.discarded++;
		if (!planted(PLANT_ABANDONED_READ))
			return;
	}
	memcpy(r->to + packet * q->mtu, p->payload, p->length);
}

bool acknowledge_place_late(struct qp *q, const struct wire_packet *p)
{
	for (unsigned i = 0; i < QP_REQUESTS; i++) {
		struct qp_request *r = &q->ring[i];
		uint32_t packet = wire_psn_diff(p->psn, r->psn);

		if (r->queue_pair != p->queue_pair || r->kind != QP_READ || packet >= r->packets)
			continue;
		if (packet * q->mtu + p->length > SESSION_PAGE)
			continue;
		memcpy(r->to + packet * q->mtu, p->payload, p->length);
		return true;
	}
	return false;
}

void acknowledge_response(struct qp *q, const struct wire_packet *p, uint64_t now)
{
	struct qp_request *r;
	unsigned index, packet;
	bool hole;

	if (planted(PLANT_ABANDONED_READ) && wire_psn_diff(p->psn, oldest_psn(q)) < 0)
		acknowledge_place_late(q, p);
	if (!acceptable(q, p->psn))
		return;
	index = find(q, p->psn);
	r = ring_slot(q, index);
	packet = wire_psn_add(p->psn, -r->psn);
	if (index == q->tail || r->kind != QP_READ ||
		p->length != ring_packet_length(q, r, packet)) {
		q->port->counters.frames_malformed++;
		return;
	}
	if (r->done || (r->arrived & 1u << packet)) {
		q->port->counters.duplicates++;
		return;
	}
	place(q, r, packet, p);
	r->arrived |= 1u << packet;
	/* An earlier packet of this response is missing: nothing overtakes on one path. */
	hole = (r->arrived & ((1u << packet) - 1)) != (1u << packet) - 1;
	hole |= executed(q, wire_psn_add(r->psn, WIRE_PSN_MASK), now);
	if (r->arrived == (1u << r->packets) - 1)
		acknowledge_complete(q, r, SESSION_OK, now);
	progress(q, now);
	if (hole)
		fast_retry(q, now);
}

/* 9.7.5.2.8, table 46: what a responder without a receive buffer asks us to wait, in 10 us. */
static uint64_t rnr_wait(uint8_t syndrome)
{
	static const uint32_t units[32] = {65536, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128,
		192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384,
		24576, 32768, 49152};

	return units[syndrome & 0x1f] * 10000ull;
}

static void input_fatal(struct qp *q, const struct wire_packet *p)
{
	q->broken = p->psn;
	if (p->syndrome == WIRE_SYNDROME_ACCESS)
		ring_die(q, "remote access error");
	else if (p->syndrome == WIRE_SYNDROME_OPERATION)
		ring_die(q, "remote operational error");
	else
		ring_die(q, "invalid request");
}

static void input_nak(struct qp *q, const struct wire_packet *p, uint64_t now)
{
	struct fabric_counters *c = &q->port->counters;

	c->naks++;
	executed(q, wire_psn_add(p->psn, WIRE_PSN_MASK), now);
	if ((p->syndrome & 0xe0) == WIRE_SYNDROME_RNR) {
		c->rnr_naks++;
		q->hold = now + rnr_wait(p->syndrome);
		transmit_go_back(q);
		q->timer = q->hold + rto_timeout(&q->rto);
		return;
	}
	if (p->syndrome != WIRE_SYNDROME_SEQUENCE) {
		input_fatal(q, p);
		return;
	}
	/* A copy of the NAK that we are already answering must not double the traffic. */
	if (q->recovering && q->nak == p->psn)
		return;
	q->nak = p->psn;
	transmit_slow_down(q, now);
	transmit_go_back(q);
	q->timer = now + rto_timeout(&q->rto);
}

void acknowledge_input(struct qp *q, const struct wire_packet *p, uint64_t now)
{
	bool positive = (p->syndrome & 0xe0) == 0;

	if (!positive && (p->syndrome & 0xe0) != WIRE_SYNDROME_RNR &&
		(p->syndrome & 0xe0) != WIRE_SYNDROME_SEQUENCE) {
		q->port->counters.frames_malformed++;
		return;
	}
	if (!acceptable(q, p->psn))
		return;
	if (!positive) {
		input_nak(q, p, now);
		return;
	}
	q->port->counters.acks++;
	if (executed(q, p->psn, now))
		fast_retry(q, now);
}
