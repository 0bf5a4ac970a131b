/* SPDX-License-Identifier: MIT */
#include "fabric/transmit.h"

#include <string.h>
#include "fabric/ring.h"
#include "lib/crc.h"

/* Which packet of which message this is, so that only the arguments of wire_head() decide it. */
static void describe(
	const struct qp *q, const struct qp_request *r, unsigned packet, struct wire_packet *p)
{
	bool first = packet == 0, last = packet + 1u == r->packets;

	memset(p, 0, sizeof(*p));
	p->migrated = true;
	p->queue_pair = q->remote;
	p->psn = wire_psn_add(r->psn, packet);
	p->ack_request = last || r->kind == QP_READ;
	p->address = r->address;
	p->rkey = r->rkey;
	p->dma_length = r->length;
	if (r->kind == QP_READ)
		p->opcode = WIRE_READ_REQUEST;
	else if (r->kind == QP_SEND)
		p->opcode = WIRE_SEND_ONLY;
	else if (first)
		p->opcode = last ? WIRE_WRITE_ONLY : WIRE_WRITE_FIRST;
	else
		p->opcode = last ? WIRE_WRITE_LAST : WIRE_WRITE_MIDDLE;
}

static uint8_t *buffer_of(struct qp *q, const struct qp_request *r, unsigned packet)
{
	if (r->kind == QP_SEND)
		return q->send_buffer[r->buffer];
	return q->buffer[r->buffer] + packet * (q->mtu + WIRE_ICRC);
}

/* Copies the message into its send buffer, the ICRC of each packet behind its payload (R7). */
void transmit_fill(struct qp *q, const struct qp_request *r, const uint8_t *from)
{
	uint8_t head[WIRE_HEAD_MAX];
	struct wire_packet p;

	for (unsigned i = 0; i < r->packets; i++) {
		uint32_t length = ring_packet_length(q, r, i);
		uint8_t *to = buffer_of(q, r, i);
		uint32_t state;

		describe(q, r, i, &p);
		state = wire_icrc_head(head, wire_head(head, &q->path, &p, length));
		state = crc_ethernet_copy(state, to, from + i * q->mtu, length);
		wire_icrc_tail(to + length, state, length);
	}
}

static bool send_packet(struct qp *q, struct qp_request *r, unsigned packet)
{
	uint8_t head[WIRE_HEAD_MAX + WIRE_ICRC];
	uint32_t length = r->kind == QP_READ ? 0 : ring_packet_length(q, r, packet);
	struct wire_packet p;
	size_t n;

	describe(q, r, packet, &p);
	n = wire_head(head, &q->path, &p, length);
	if (r->kind == QP_READ) {
		n += wire_icrc_tail(head + n, wire_icrc_head(head, n), 0);
		return port_send(q->port, head, n, NULL, 0);
	}
	return port_send(
		q->port, head, n, buffer_of(q, r, packet), length + (-length & 3) + WIRE_ICRC);
}

static void count_sent(struct qp *q, const struct qp_request *r)
{
	struct fabric_counters *c = &q->port->counters;

	if (r->again) {
		c->retransmissions++;
		return;
	}
	if (q->cursor_packet != 0)
		return;
	if (r->kind == QP_READ)
		c->reads++;
	else if (r->kind == QP_WRITE)
		c->writes++;
	else
		c->sends++;
}

static void mark_sent(struct qp *q, struct qp_request *r, uint64_t now)
{
	unsigned covered = r->kind == QP_READ ? r->packets : q->cursor_packet + 1;
	uint32_t end = wire_psn_add(r->psn, covered);

	count_sent(q, r);
	if (wire_psn_diff(end, q->sent_end) > 0)
		q->sent_end = end;
	if (q->timer == RING_NEVER)
		q->timer = now + rto_timeout(&q->rto);
	if (covered < r->packets) {
		q->cursor_packet++;
		return;
	}
	r->sent = now;
	q->cursor++;
	q->cursor_packet = 0;
}

/* One request more per round trip: what was lost was lost at this rate. */
static uint64_t growth_time(const struct qp *q)
{
	return q->rto.smoothed > QP_WINDOW_NS ? q->rto.smoothed : QP_WINDOW_NS;
}

void transmit_push(struct qp *q, uint64_t now)
{
	if (!q->open || q->death != NULL || now < q->hold)
		return;
	for (; q->window < RING_WINDOW_MAX && now >= q->grow; q->grow += growth_time(q))
		q->window++;
	while (q->cursor != q->tail && q->cursor - q->head < q->window) {
		struct qp_request *r = ring_slot(q, q->cursor);

		if (r->done) {
			q->cursor++;
			q->cursor_packet = 0;
			continue;
		}
		if (!send_packet(q, r, q->cursor_packet))
			return;
		mark_sent(q, r, now);
	}
}

void transmit_slow_down(struct qp *q, uint64_t now)
{
	unsigned under_way = q->cursor - q->head;

	if (under_way < q->window)
		q->window = under_way;
	q->window = q->window / 2 > 0 ? q->window / 2 : 1;
	q->grow = now + growth_time(q);
}

/* Everything not acknowledged is to be sent again, oldest first. */
void transmit_go_back(struct qp *q)
{
	unsigned sent = q->cursor - q->head + (q->cursor_packet != 0);

	for (unsigned i = 0; i < sent; i++)
		ring_slot(q, q->head + i)->again = true;
	q->cursor = q->head;
	while (q->cursor != q->tail && ring_slot(q, q->cursor)->done)
		q->cursor++;
	q->cursor_packet = q->cursor == q->tail ? 0 : ring_slot(q, q->cursor)->acked;
	q->recovering = true;
	q->recover = q->sent_end;
}
