/* SPDX-License-Identifier: MIT */
#include "fabric/qp.h"

#include <string.h>
#include "fabric/acknowledge.h"
#include "fabric/ring.h"
#include "fabric/transmit.h"
#include "lib/panic.h"

#define RING_RETRY 20000ull /* ns until the card's full ring is tried again */

void qp_init(struct qp *q, struct port *port, const struct qp_events *events, void *context)
{
	memset(q, 0, sizeof(*q));
	q->port = port;
	q->events = events;
	q->context = context;
	q->timer = RING_NEVER;
}

void qp_open(struct qp *q, const struct qp_parameters *p, uint64_t now)
{
	check(!q->open && q->head == q->tail);
	check(p->mtu >= QP_MTU_MIN && p->mtu <= SESSION_PAGE);
	q->path = p->path;
	q->number = p->number;
	q->remote = p->remote;
	q->mtu = p->mtu;
	q->next = q->sent_end = p->first_psn & WIRE_PSN_MASK;
	q->reads_limit = p->reads < SESSION_READS ? p->reads : SESSION_READS;
	q->cursor_packet = 0;
	q->timer = RING_NEVER;
	q->progress = now;
	q->hold = q->grow = q->cnp_at = now;
	q->window = RING_WINDOW_MAX;
	q->recovering = false;
	q->rto = (struct rto){0};
	q->buffers_used = 0;
	q->sends_used = 0;
	q->broken = RING_NO_REQUEST;
	q->death = NULL;
	q->open = true;
	receiver_init(&q->receiver, p->expected_psn & WIRE_PSN_MASK);
}

static void answer(struct qp *q, struct wire_packet *p)
{
	uint8_t frame[WIRE_HEAD_MAX + WIRE_ICRC];

	p->migrated = true;
	p->queue_pair = q->remote;
	/* Lost when the ring is full: the server asks again. */
	port_send(q->port, frame, wire_frame(frame, &q->path, p, "", 0), NULL, 0);
}

static void input_request(struct qp *q, const struct wire_packet *p, uint64_t now)
{
	struct wire_packet reply = {0};
	enum receiver_verdict verdict = receiver_input(&q->receiver, p, &reply);

	if (verdict == RECEIVER_ANSWER || verdict == RECEIVER_DELIVER_ANSWER)
		answer(q, &reply);
	if (verdict == RECEIVER_DELIVER || verdict == RECEIVER_DELIVER_ANSWER)
		q->events->message(q->context, p->payload, p->length, now);
}

static void notify_congestion(struct qp *q, uint64_t now)
{
	static const uint8_t zeros[16];
	uint8_t frame[WIRE_HEAD_MAX + sizeof(zeros) + WIRE_ICRC];
	struct wire_packet p = {.opcode = WIRE_CNP, .becn = true, .queue_pair = q->remote};

	if (now < q->cnp_at)
		return;
	q->cnp_at = now + QP_CNP_NS;
	port_send(q->port, frame, wire_frame(frame, &q->path, &p, zeros, sizeof(zeros)), NULL, 0);
}

void qp_input(struct qp *q, const struct wire_packet *p, uint64_t now)
{
	if (!q->open || q->death != NULL)
		return;
	if (p->congested)
		notify_congestion(q, now);
	if (p->opcode == WIRE_CNP) {
		q->port->counters.cnps++;
		transmit_slow_down(q, now);
	} else if (p->opcode >= WIRE_READ_FIRST && p->opcode <= WIRE_READ_ONLY) {
		acknowledge_response(q, p, now);
	} else if (p->opcode == WIRE_ACK) {
		acknowledge_input(q, p, now);
	} else if (receiver_wants(p->opcode)) {
		input_request(q, p, now);
	} else {
		q->port->counters.frames_ignored++;
	}
	transmit_push(q, now);
}

static struct qp_request *post(struct qp *q, enum qp_kind kind, uint32_t length, uint64_t now)
{
	struct qp_request *r = ring_slot(q, q->tail);

	memset(r, 0, sizeof(*r));
	r->queue_pair = q->number;
	r->psn = q->next;
	r->kind = kind;
	r->length = length;
	r->packets = (length + q->mtu - 1) / q->mtu;
	if (q->head == q->tail)
		q->progress = now;
	q->next = wire_psn_add(q->next, r->packets);
	q->tail++;
	return r;
}

static bool room(const struct qp *q)
{
	return q->open && q->death == NULL && q->tail - q->head < QP_REQUESTS;
}

unsigned qp_reads_free(const struct qp *q)
{
	unsigned slots = QP_REQUESTS - (q->tail - q->head);
	unsigned reads = q->reads < q->reads_limit ? q->reads_limit - q->reads : 0;

	return !room(q) ? 0 : reads < slots ? reads : slots;
}

unsigned qp_writes_free(const struct qp *q)
{
	unsigned slots = QP_REQUESTS - (q->tail - q->head);
	unsigned writes = SESSION_WRITES - q->writes;

	return !room(q) ? 0 : writes < slots ? writes : slots;
}

bool qp_idle(const struct qp *q)
{
	return q->head == q->tail;
}

bool qp_read(struct qp *q, uint64_t address, uint32_t rkey, void *to, uint32_t tag, bool internal,
	uint64_t now)
{
	struct qp_request *r;

	if (qp_reads_free(q) == 0)
		return false;
	r = post(q, QP_READ, SESSION_PAGE, now);
	r->address = address;
	r->rkey = rkey;
	r->to = to;
	r->tag = tag;
	r->internal = internal;
	q->reads++;
	transmit_push(q, now);
	return true;
}

bool qp_write(struct qp *q, uint64_t address, uint32_t rkey, const void *from, uint32_t tag,
	bool internal, uint64_t now)
{
	struct qp_request *r;

	if (qp_writes_free(q) == 0)
		return false;
	r = post(q, QP_WRITE, SESSION_PAGE, now);
	r->address = address;
	r->rkey = rkey;
	r->tag = tag;
	r->internal = internal;
	r->buffer = __builtin_ctzll(~q->buffers_used);
	q->buffers_used |= 1ull << r->buffer;
	q->writes++;
	transmit_fill(q, r, from);
	transmit_push(q, now);
	return true;
}

bool qp_send(struct qp *q, const void *message, uint32_t length, uint64_t now)
{
	struct qp_request *r;

	if (!room(q) || q->sends_used == (1u << QP_SENDS) - 1 || length > RPC_MESSAGE_MAX)
		return false;
	r = post(q, QP_SEND, length, now);
	r->internal = true;
	r->buffer = __builtin_ctz(~(unsigned)q->sends_used);
	q->sends_used |= 1u << r->buffer;
	transmit_fill(q, r, message);
	transmit_push(q, now);
	return true;
}

void qp_abandon(struct qp *q, uint32_t tag)
{
	for (unsigned i = q->head; i != q->tail; i++) {
		struct qp_request *r = ring_slot(q, i);

		if (r->kind == QP_READ && !r->internal && !r->done && r->tag == tag)
			r->abandoned = true;
	}
}

void qp_close(struct qp *q, uint64_t now)
{
	unsigned end = q->tail;

	if (!q->open)
		return;
	q->open = false;
	for (unsigned i = q->head; i != end; i++) {
		struct qp_request *r = ring_slot(q, i);
		bool broken = q->broken != RING_NO_REQUEST &&
			      (uint32_t)wire_psn_diff(q->broken, r->psn) < r->packets;

		if (!r->done)
			acknowledge_complete(q, r, broken ? SESSION_BROKEN : SESSION_LOST, now);
	}
	check(q->head == q->tail && q->reads == 0 && q->writes == 0);
	q->timer = RING_NEVER;
}

void qp_turn(struct qp *q, uint64_t now)
{
	if (!q->open || q->death != NULL)
		return;
	if (q->head != q->tail && now >= q->progress + QP_GIVE_UP_NS) {
		ring_die(q, "no acknowledgement for 10 s");
		return;
	}
	if (now >= q->timer) {
		q->port->counters.timeouts++;
		q->rto.backoff++;
		transmit_slow_down(q, now);
		transmit_go_back(q);
		q->timer = now + rto_timeout(&q->rto);
	}
	transmit_push(q, now);
}

uint64_t qp_deadline(const struct qp *q, uint64_t now)
{
	uint64_t deadline = q->timer;

	if (!q->open || q->head == q->tail)
		return RING_NEVER;
	if (q->progress + QP_GIVE_UP_NS < deadline)
		deadline = q->progress + QP_GIVE_UP_NS;
	if (q->cursor != q->tail) {
		uint64_t next = now + RING_RETRY;

		if (q->cursor - q->head >= q->window)
			next = q->grow;
		if (next < q->hold)
			next = q->hold;
		if (next < deadline)
			deadline = next;
	}
	return deadline;
}

void qp_shift(struct qp *q, uint64_t gap, uint64_t now)
{
	if (!q->open)
		return;
	q->progress = now;
	q->hold += gap;
	if (q->timer != RING_NEVER)
		q->timer = now + rto_timeout(&q->rto);
	for (unsigned i = q->head; i != q->cursor; i++)
		ring_slot(q, i)->again = true; /* no sample across the gap */
}
