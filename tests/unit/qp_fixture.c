/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include "unit/qp_fixture.h"

static void on_done(
	void *context, const struct qp_request *r, enum session_status status, uint64_t now)
{
	struct fixture *f = context;

	assert_true(f->dones < 256);
	f->done[f->dones++] = (struct done){r->kind, r->tag, status};
	if (f->chain && status == SESSION_OK)
		qp_read(&f->qp, ADDRESS, RKEY, f->page[31], 31, false, now);
}

static void on_message(void *context, const uint8_t *data, uint32_t length, uint64_t now)
{
	struct fixture *f = context;

	memcpy(f->message, data, length);
	f->messages++;
}

static const struct qp_events events = {.done = on_done, .message = on_message};

void fixture_open(struct fixture *f, uint32_t mtu, uint32_t psn, unsigned reads)
{
	struct qp_parameters p = {.number = NUMBER,
		.remote = REMOTE,
		.mtu = mtu,
		.first_psn = psn,
		.expected_psn = EXPECTED,
		.reads = reads};

	p.path = (struct wire_path){
		.source = 0x0a000001, .destination = 0x0a000002, .source_port = 0xc000};
	qp_open(&f->qp, &p, f->now);
}

int fixture_setup(void **state)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0, 0, 0, 1};
	struct fixture *f = calloc(1, sizeof(*f));

	tap_init(&f->tap, mac, 9000);
	f->port.nic = &f->tap.nic;
	f->now = 1000 * S;
	for (unsigned i = 0; i < SESSION_PAGE; i++)
		f->data[i] = i * 7 + (i >> 8);
	memset(f->page, 0xee, sizeof(f->page));
	qp_init(&f->qp, &f->port, &events, f);
	*state = f;
	return 0;
}

int fixture_teardown(void **state)
{
	free(*state);
	return 0;
}

struct wire_packet fixture_sent(struct fixture *f, unsigned i)
{
	struct wire_packet p;

	assert_true(i < f->tap.sent);
	assert_int_equal(wire_decode(f->tap.out[i].data, f->tap.out[i].length, &p), WIRE_OK);
	return p;
}

void fixture_expect_sent(struct fixture *f, unsigned i, unsigned opcode, uint32_t psn)
{
	struct wire_packet p = fixture_sent(f, i);

	assert_int_equal(p.opcode, opcode);
	assert_int_equal(p.psn, psn);
	assert_int_equal(p.queue_pair, REMOTE);
	assert_true(p.migrated);
}

void fixture_read(struct fixture *f, uint32_t tag)
{
	assert_true(qp_read(&f->qp, ADDRESS, RKEY, f->page[tag], tag, false, f->now));
}

void fixture_write(struct fixture *f, uint32_t tag)
{
	assert_true(qp_write(&f->qp, ADDRESS, RKEY, f->data, tag, false, f->now));
}

void fixture_input(struct fixture *f, struct wire_packet p)
{
	p.queue_pair = NUMBER;
	p.source = 0x0a000002;
	f->now += 10000;
	qp_input(&f->qp, &p, f->now);
}

void fixture_ack(struct fixture *f, uint32_t psn, uint8_t syndrome)
{
	fixture_input(
		f, (struct wire_packet){.opcode = WIRE_ACK, .psn = psn, .syndrome = syndrome});
}

void fixture_respond(struct fixture *f, uint32_t psn, unsigned i, unsigned n)
{
	uint32_t part = SESSION_PAGE / n;
	struct wire_packet p = {.psn = wire_psn_add(psn, i),
		.syndrome = 0x1f,
		.payload = f->data + i * part,
		.length = part};

	p.opcode = n == 1       ? WIRE_READ_ONLY
		   : i == 0     ? WIRE_READ_FIRST
		   : i + 1 == n ? WIRE_READ_LAST
				: WIRE_READ_MIDDLE;
	fixture_input(f, p);
}

void fixture_expect_done(struct fixture *f, unsigned i, uint32_t tag, enum session_status status)
{
	assert_true(i < f->dones);
	assert_int_equal(f->done[i].tag, tag);
	assert_int_equal(f->done[i].status, status);
}

void fixture_turn(struct fixture *f, uint64_t at)
{
	f->now = at;
	qp_turn(&f->qp, f->now);
}
