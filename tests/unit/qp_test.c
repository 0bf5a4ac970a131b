/* SPDX-License-Identifier: MIT */
/* One queue pair, packet by packet: what it sends, what it believes, when it gives up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "fabric/qp.h"
#include "unit/fabric_tap.h"

#define MS       1000000ull
#define S        1000000000ull
#define NUMBER   0xabcdu
#define REMOTE   0x11u
#define ADDRESS  0x7f0000001000ull
#define RKEY     0x1234u
#define EXPECTED 0x700u

struct done {
	enum qp_kind kind;
	uint32_t tag;
	enum session_status status;
};

struct fixture {
	struct tap tap;
	struct port port;
	struct qp qp;
	uint64_t now;
	struct done done[256];
	unsigned dones;
	unsigned messages;
	uint8_t message[RPC_MESSAGE_MAX];
	bool chain; /* post another READ from within a completion */
	uint8_t page[32][SESSION_PAGE];
	uint8_t data[SESSION_PAGE];
};

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

static void open_qp(struct fixture *f, uint32_t mtu, uint32_t psn, unsigned reads)
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

static int set_up(void **state)
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

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

/* The i-th frame sent since the last look, decoded; its ICRC is checked by that. */
static struct wire_packet sent(struct fixture *f, unsigned i)
{
	struct wire_packet p;

	assert_true(i < f->tap.sent);
	assert_int_equal(wire_decode(f->tap.out[i].data, f->tap.out[i].length, &p), WIRE_OK);
	return p;
}

static void expect_sent(struct fixture *f, unsigned i, unsigned opcode, uint32_t psn)
{
	struct wire_packet p = sent(f, i);

	assert_int_equal(p.opcode, opcode);
	assert_int_equal(p.psn, psn);
	assert_int_equal(p.queue_pair, REMOTE);
	assert_true(p.migrated);
}

static void read_page(struct fixture *f, uint32_t tag)
{
	assert_true(qp_read(&f->qp, ADDRESS, RKEY, f->page[tag], tag, false, f->now));
}

static void write_page(struct fixture *f, uint32_t tag)
{
	assert_true(qp_write(&f->qp, ADDRESS, RKEY, f->data, tag, false, f->now));
}

static void input(struct fixture *f, struct wire_packet p)
{
	p.queue_pair = NUMBER;
	p.source = 0x0a000002;
	f->now += 10000;
	qp_input(&f->qp, &p, f->now);
}

static void ack(struct fixture *f, uint32_t psn, uint8_t syndrome)
{
	input(f, (struct wire_packet){.opcode = WIRE_ACK, .psn = psn, .syndrome = syndrome});
}

/* Response packet i of n, with the content that f->data has there. */
static void respond(struct fixture *f, uint32_t psn, unsigned i, unsigned n)
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
	input(f, p);
}

static void expect_done(struct fixture *f, unsigned i, uint32_t tag, enum session_status status)
{
	assert_true(i < f->dones);
	assert_int_equal(f->done[i].tag, tag);
	assert_int_equal(f->done[i].status, status);
}

static void turn_at(struct fixture *f, uint64_t at)
{
	f->now = at;
	qp_turn(&f->qp, f->now);
}

static void messages_have_the_right_packets(void **state)
{
	struct fixture *f = *state;
	struct wire_packet p;

	open_qp(f, 1024, 0x100, 16);
	read_page(f, 0);
	write_page(f, 1);
	assert_true(qp_send(&f->qp, f->data, 58, f->now));
	assert_int_equal(f->tap.sent, 6);
	expect_sent(f, 0, WIRE_READ_REQUEST, 0x100); /* takes 0x100..0x103 */
	p = sent(f, 0);
	assert_int_equal(p.dma_length, SESSION_PAGE);
	assert_true(p.ack_request);
	expect_sent(f, 1, WIRE_WRITE_FIRST, 0x104);
	p = sent(f, 1);
	assert_int_equal(p.address, ADDRESS);
	assert_int_equal(p.rkey, RKEY);
	assert_int_equal(p.dma_length, SESSION_PAGE);
	assert_false(p.ack_request);
	expect_sent(f, 2, WIRE_WRITE_MIDDLE, 0x105);
	expect_sent(f, 3, WIRE_WRITE_MIDDLE, 0x106);
	expect_sent(f, 4, WIRE_WRITE_LAST, 0x107);
	p = sent(f, 4);
	assert_true(p.ack_request);
	assert_memory_equal(p.payload, f->data + 3072, 1024);
	expect_sent(f, 5, WIRE_SEND_ONLY, 0x108);
	p = sent(f, 5);
	assert_int_equal(p.length, 58);
	assert_memory_equal(p.payload, f->data, 58);
}

static void a_write_sends_what_it_was_given(void **state)
{
	struct fixture *f = *state;
	uint8_t given[SESSION_PAGE];
	struct wire_packet p;

	memcpy(given, f->data, SESSION_PAGE);
	open_qp(f, 4096, 0, 16);
	write_page(f, 0);
	memset(f->data, 0x55, SESSION_PAGE); /* the guest writes on */
	turn_at(f, f->now + S);
	assert_int_equal(f->tap.sent, 2);
	p = sent(f, 1);
	assert_memory_equal(p.payload, given, SESSION_PAGE);
	assert_int_equal(f->tap.out[0].length, f->tap.out[1].length);
	assert_memory_equal(f->tap.out[0].data, f->tap.out[1].data, f->tap.out[0].length);
}

static void psn_wraps_in_every_message(void **state)
{
	struct fixture *f = *state;

	for (uint32_t psn = 0xfffff0; psn <= 0xffffff; psn++) {
		open_qp(f, 1024, psn, 16);
		f->dones = 0;
		read_page(f, 0);
		write_page(f, 1);
		read_page(f, 2);
		for (unsigned i = 0; i < 4; i++)
			respond(f, psn, i, 4);
		assert_memory_equal(f->page[0], f->data, SESSION_PAGE);
		ack(f, wire_psn_add(psn, 7), 0x1f);
		for (unsigned i = 0; i < 4; i++)
			respond(f, wire_psn_add(psn, 8), i, 4);
		assert_int_equal(f->dones, 3);
		for (unsigned i = 0; i < 3; i++)
			expect_done(f, i, i, SESSION_OK);
		assert_null(f->qp.death);
		assert_true(qp_idle(&f->qp));
		qp_close(&f->qp, f->now);
	}
	assert_int_equal(f->port.counters.retransmissions, 0);
}

static void a_response_acknowledges_what_came_before(void **state)
{
	struct fixture *f = *state;

	open_qp(f, 4096, 10, 16);
	write_page(f, 1);
	write_page(f, 2);
	read_page(f, 3);
	respond(f, 12, 0, 1);
	assert_int_equal(f->dones, 3);
	for (unsigned i = 0; i < 3; i++)
		expect_done(f, i, i + 1, SESSION_OK);
}

static void lost_request_is_sent_again_by_the_timer(void **state)
{
	struct fixture *f = *state;
	uint64_t due;

	open_qp(f, 4096, 10, 16);
	write_page(f, 1);
	read_page(f, 2);
	f->tap.sent = 0;
	due = qp_deadline(&f->qp, f->now);
	assert_true(due > f->now && due <= f->now + S);
	turn_at(f, due - 1);
	assert_int_equal(f->tap.sent, 0);
	for (unsigned i = 0; i < 12; i++)
		turn_at(f, due + i * 60 * MS);
	assert_int_equal(f->port.counters.timeouts, 3); /* 100 ms, then twice as long each time */
	expect_sent(f, 0, WIRE_WRITE_ONLY, 10);
	ack(f, 10, 0x1f);
	respond(f, 11, 0, 1);
	assert_int_equal(f->dones, 2);
	assert_int_equal(qp_deadline(&f->qp, f->now), UINT64_MAX);
}

static void a_sequence_nak_goes_back_once(void **state)
{
	struct fixture *f = *state;

	open_qp(f, 1024, 0, 16);
	for (unsigned i = 0; i < 3; i++)
		write_page(f, i);
	f->tap.sent = 0;
	ack(f, 6, WIRE_SYNDROME_SEQUENCE); /* in the middle of the second */
	assert_int_equal(f->dones, 1);
	expect_done(f, 0, 0, SESSION_OK);
	expect_sent(f, 0, WIRE_WRITE_MIDDLE, 6);
	expect_sent(f, 1, WIRE_WRITE_LAST, 7);
	f->tap.sent = 0;
	ack(f, 6, WIRE_SYNDROME_SEQUENCE); /* the network's copy of it */
	assert_int_equal(f->tap.sent, 0);
	ack(f, 11, 0x1f);
	assert_int_equal(f->dones, 3);
}

static void a_read_is_asked_again_whole(void **state)
{
	struct fixture *f = *state;
	struct wire_packet p;

	open_qp(f, 1024, 0, 16);
	read_page(f, 0);
	f->tap.sent = 0;
	respond(f, 0, 0, 4);
	respond(f, 0, 2, 4); /* the second was lost */
	assert_int_equal(f->tap.sent, 1);
	p = sent(f, 0);
	assert_int_equal(p.psn, 0);
	assert_int_equal(p.address, ADDRESS);
	assert_int_equal(p.dma_length, SESSION_PAGE);
	for (unsigned i = 0; i < 4; i++)
		respond(f, 0, i, 4);
	assert_int_equal(f->dones, 1);
	assert_memory_equal(f->page[0], f->data, SESSION_PAGE);
	assert_true(f->port.counters.duplicates >= 2);
}

/* Responders differ in how they replay: only the PSN says where the payload belongs. */
static void opcodes_do_not_place(void **state)
{
	struct fixture *f = *state;

	open_qp(f, 1024, 0, 16);
	read_page(f, 0);
	for (unsigned i = 4; i-- > 0;)
		input(f, (struct wire_packet){.opcode = WIRE_READ_ONLY,
				 .psn = i,
				 .syndrome = 0x1f,
				 .payload = f->data + i * 1024,
				 .length = 1024});
	assert_int_equal(f->dones, 1);
	assert_memory_equal(f->page[0], f->data, SESSION_PAGE);
}

static void a_lost_response_is_seen_by_the_next(void **state)
{
	struct fixture *f = *state;

	open_qp(f, 4096, 0, 16);
	for (unsigned i = 0; i < 4; i++)
		read_page(f, i);
	f->tap.sent = 0;
	respond(f, 1, 0, 1);
	respond(f, 2, 0, 1);
	assert_int_equal(f->dones, 2); /* each is whole: no reason to wait */
	expect_done(f, 0, 1, SESSION_OK);
	assert_true(f->tap.sent >= 1);
	expect_sent(f, 0, WIRE_READ_REQUEST, 0);
	respond(f, 0, 0, 1);
	respond(f, 3, 0, 1);
	assert_int_equal(f->dones, 4);
	assert_true(qp_idle(&f->qp));
}

static void an_ack_beyond_a_read_means_its_response_was_lost(void **state)
{
	struct fixture *f = *state;

	open_qp(f, 4096, 0, 16);
	read_page(f, 0);
	write_page(f, 1);
	f->tap.sent = 0;
	ack(f, 1, 0x1f);
	assert_int_equal(f->dones, 1);
	expect_done(f, 0, 1, SESSION_OK);
	assert_int_equal(f->tap.sent, 1);
	expect_sent(f, 0, WIRE_READ_REQUEST, 0);
	respond(f, 0, 0, 1);
	expect_done(f, 1, 0, SESSION_OK);
}

/* A replay ring of N at the responder: the oldest unfinished READ must stay among the last N. */
static void reads_stay_within_the_granted_depth(void **state)
{
	struct fixture *f = *state;

	open_qp(f, 4096, 0, 4);
	for (unsigned i = 0; i < 4; i++)
		read_page(f, i);
	assert_int_equal(qp_reads_free(&f->qp), 0);
	assert_false(qp_read(&f->qp, ADDRESS, RKEY, f->page[9], 9, false, f->now));
	respond(f, 1, 0, 1);
	assert_int_equal(qp_reads_free(&f->qp), 0); /* the first is still missing */
	respond(f, 0, 0, 1);
	assert_int_equal(qp_reads_free(&f->qp), 2);
}

static void writes_are_bounded_and_buffers_come_back(void **state)
{
	struct fixture *f = *state;

	open_qp(f, 4096, 0, 16);
	for (unsigned round = 0; round < 5; round++) {
		uint32_t psn = round * SESSION_WRITES;

		f->dones = f->tap.sent = 0;
		for (unsigned i = 0; i < SESSION_WRITES; i++)
			write_page(f, i);
		assert_false(qp_write(&f->qp, ADDRESS, RKEY, f->data, 1, false, f->now));
		assert_int_equal(f->tap.sent, SESSION_WRITES);
		ack(f, psn + SESSION_WRITES - 1, 0x1f);
		assert_int_equal(f->dones, SESSION_WRITES);
	}
}

static void an_ack_behind_is_a_duplicate(void **state)
{
	struct fixture *f = *state;

	open_qp(f, 4096, 100, 16);
	write_page(f, 0);
	ack(f, 100, 0x1f);
	write_page(f, 1);
	ack(f, 100, 0x1f);
	ack(f, 99, WIRE_SYNDROME_ACCESS);
	ack(f, 100, WIRE_SYNDROME_SEQUENCE);
	assert_int_equal(f->dones, 1);
	assert_int_equal(f->port.counters.duplicates, 3);
	assert_null(f->qp.death);
	ack(f, 101, 0x1f);
	assert_int_equal(f->dones, 2);
}

static void an_impossible_ack_completes_nothing_and_kills(void **state)
{
	struct fixture *f = *state;

	open_qp(f, 4096, 100, 16);
	write_page(f, 0);
	ack(f, 101, 0x1f);
	assert_int_equal(f->dones, 0);
	assert_int_equal(f->port.counters.impossible, 1);
	assert_non_null(f->qp.death);
	ack(f, 100, 0x1f); /* nothing counts any more */
	assert_int_equal(f->dones, 0);
	qp_close(&f->qp, f->now);
	expect_done(f, 0, 0, SESSION_LOST);
	/* Also for what is queued but was never sent, and for READ responses. */
	open_qp(f, 4096, 100, 16);
	f->tap.full = 1;
	write_page(f, 1);
	ack(f, 100, 0x1f);
	assert_non_null(f->qp.death);
	qp_close(&f->qp, f->now);
	open_qp(f, 4096, 100, 16);
	read_page(f, 2);
	respond(f, 101, 0, 1);
	assert_non_null(f->qp.death);
	assert_int_equal(f->port.counters.impossible, 3);
}

static void fatal_naks_break_one_and_lose_the_rest(void **state)
{
	static const uint8_t fatal[] = {0x61, 0x62, 0x63};

	for (unsigned i = 0; i < 3; i++) {
		struct fixture *f = *state;

		f->dones = 0;
		open_qp(f, 1024, 0, 16);
		write_page(f, 0);
		read_page(f, 1);
		write_page(f, 2);
		ack(f, 5, fatal[i]);
		assert_non_null(f->qp.death);
		assert_int_equal(f->dones, 1);
		expect_done(f, 0, 0, SESSION_OK); /* all before it were executed */
		qp_close(&f->qp, f->now);
		assert_int_equal(f->dones, 3);
		expect_done(f, 1, 1, SESSION_BROKEN);
		expect_done(f, 2, 2, SESSION_LOST);
	}
}

static void unknown_syndromes_are_not_believed(void **state)
{
	struct fixture *f = *state;

	open_qp(f, 4096, 0, 16);
	write_page(f, 0);
	ack(f, 0, 0x40);
	ack(f, 0, 0x9f);
	ack(f, 0, 0xff);
	assert_int_equal(f->dones, 0);
	assert_null(f->qp.death);
	ack(f, 0, 0x05); /* with credits */
	assert_int_equal(f->dones, 1);
}

static void rnr_waits_as_long_as_it_says(void **state)
{
	struct fixture *f = *state;
	uint64_t at;

	open_qp(f, 4096, 0, 16);
	assert_true(qp_send(&f->qp, f->data, 64, f->now));
	write_page(f, 1);
	f->tap.sent = 0;
	ack(f, 0, WIRE_SYNDROME_RNR | 24); /* 40.96 ms */
	at = f->now;
	ack(f, 0, WIRE_SYNDROME_SEQUENCE); /* what was behind it draws this: the wait stands */
	turn_at(f, at + 40 * MS);
	assert_int_equal(f->tap.sent, 0);
	assert_true(qp_deadline(&f->qp, f->now) <= at + 41 * MS);
	turn_at(f, at + 41 * MS);
	assert_true(f->tap.sent >= 1);
	expect_sent(f, 0, WIRE_SEND_ONLY, 0);
	assert_int_equal(f->port.counters.rnr_naks, 1);
}

/* One WRITE whose acknowledgement takes that long. */
static void round_trip(struct fixture *f, uint32_t psn, uint64_t rtt)
{
	uint64_t end = f->now + rtt;

	f->tap.sent = f->dones = 0;
	write_page(f, 0);
	while (qp_deadline(&f->qp, f->now) < end)
		turn_at(f, qp_deadline(&f->qp, f->now));
	f->now = end;
	ack(f, psn, 0x1f);
	assert_int_equal(f->dones, 1);
}

/* The machine gets slow: each packet is sent twice at first, but not for ever. */
static void a_longer_round_trip_is_learned(void **state)
{
	struct fixture *f = *state;
	uint64_t before;
	uint32_t psn = 0;

	open_qp(f, 4096, 0, 16);
	while (psn < 20)
		round_trip(f, psn++, MS);
	assert_int_equal(f->port.counters.timeouts, 0);
	while (psn < 40)
		round_trip(f, psn++, 60 * MS);
	before = f->port.counters.timeouts;
	assert_true(before > 0);
	while (psn < 60)
		round_trip(f, psn++, 60 * MS);
	assert_int_equal(f->port.counters.timeouts, before);
}

static void gives_up_by_elapsed_time(void **state)
{
	struct fixture *f = *state;
	uint64_t start = f->now;

	open_qp(f, 4096, 0, 16);
	turn_at(f, start + 60 * S); /* idle is no silence */
	assert_null(f->qp.death);
	start = f->now;
	write_page(f, 0);
	while (f->qp.death == NULL && f->now < start + 20 * S)
		turn_at(f, qp_deadline(&f->qp, f->now));
	assert_int_equal(f->now, start + QP_GIVE_UP_NS);
	assert_int_equal(f->dones, 0);
	qp_close(&f->qp, f->now);
	expect_done(f, 0, 0, SESSION_LOST);
}

static void a_gap_of_the_clock_restarts_deadlines(void **state)
{
	struct fixture *f = *state;

	open_qp(f, 4096, 0, 16);
	write_page(f, 0);
	f->now += 30 * S;
	qp_shift(&f->qp, 30 * S, f->now);
	qp_turn(&f->qp, f->now);
	assert_null(f->qp.death);
	assert_int_equal(f->port.counters.timeouts, 0);
	ack(f, 0, 0x1f);
	assert_int_equal(f->dones, 1);
	assert_int_equal(f->qp.rto.smoothed, 0); /* the gap is no round trip */
}

static void nothing_is_placed_after_the_end(void **state)
{
	struct fixture *f = *state;
	uint8_t before[SESSION_PAGE];

	memcpy(before, f->page[0], SESSION_PAGE);
	open_qp(f, 4096, 0, 16);
	read_page(f, 0);
	read_page(f, 1);
	qp_abandon(&f->qp, 0);
	respond(f, 0, 0, 1);
	assert_int_equal(f->dones, 0);
	assert_int_equal(f->port.counters.discarded, 1);
	qp_close(&f->qp, f->now);
	assert_int_equal(f->dones, 1);
	expect_done(f, 0, 1, SESSION_LOST);
	respond(f, 1, 0, 1);
	open_qp(f, 4096, 0, 16); /* even the same numbers again */
	respond(f, 1, 0, 1);
	assert_memory_equal(f->page[0], before, SESSION_PAGE);
	assert_memory_equal(f->page[1], before, SESSION_PAGE);
}

static void responses_of_a_wrong_length_are_not_believed(void **state)
{
	struct fixture *f = *state;
	uint8_t longer[SESSION_PAGE + 64] = {0};
	static const uint32_t lengths[] = {0, 1, 1020, 1028, 2048, 4096, 4160};
	uint8_t before[SESSION_PAGE];

	memcpy(before, f->page[0], SESSION_PAGE);
	open_qp(f, 1024, 0, 16);
	read_page(f, 0);
	for (unsigned i = 0; i < 7; i++)
		for (unsigned psn = 0; psn < 4; psn++)
			input(f, (struct wire_packet){.opcode = WIRE_READ_MIDDLE,
					 .psn = psn,
					 .payload = longer,
					 .length = lengths[i]});
	assert_int_equal(f->dones, 0);
	assert_int_equal(f->port.counters.frames_malformed, 28);
	assert_memory_equal(f->page[0], before, SESSION_PAGE);
}

static void a_full_ring_holds_back_without_loss(void **state)
{
	struct fixture *f = *state;

	open_qp(f, 1024, 0, 16);
	f->tap.full = 3;
	write_page(f, 0); /* first packet refused */
	assert_int_equal(f->tap.sent, 0);
	assert_true(qp_deadline(&f->qp, f->now) < f->now + MS);
	for (unsigned i = 0; i < 5; i++)
		turn_at(f, f->now + 20000);
	assert_int_equal(f->tap.sent, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(sent(f, i).psn, i);
	assert_int_equal(f->port.counters.retransmissions, 0);
}

static void completions_may_post(void **state)
{
	struct fixture *f = *state;

	open_qp(f, 4096, 0, 16);
	f->chain = true;
	for (uint32_t i = 0; i < 16; i++)
		read_page(f, i);
	for (uint32_t psn = 0; psn < 200; psn++)
		respond(f, psn, 0, 1);
	assert_int_equal(f->dones, 200);
	f->chain = false;
	for (uint32_t psn = 200; !qp_idle(&f->qp) && psn < 300; psn++)
		respond(f, psn, 0, 1);
	assert_true(qp_idle(&f->qp));
}

static void congestion_slows_down_and_recovers(void **state)
{
	struct fixture *f = *state;

	open_qp(f, 4096, 0, 16);
	for (unsigned i = 0; i < 16; i++)
		read_page(f, i);
	input(f, (struct wire_packet){.opcode = WIRE_CNP, .becn = true});
	assert_int_equal(f->port.counters.cnps, 1);
	assert_int_equal(f->qp.window, 8);
	for (unsigned i = 0; i < 10; i++)
		respond(f, i, 0, 1);
	f->tap.sent = 0;
	for (unsigned i = 0; i < 10; i++)
		read_page(f, i);
	assert_in_range(f->tap.sent, 0, 5); /* 6 under way, 8 allowed, and a little growth */
	turn_at(f, f->now + 9 * MS);
	assert_int_equal(f->tap.sent, 10);
	assert_int_equal(f->port.counters.retransmissions, 0);
}

static void congested_packets_are_told_to_the_peer(void **state)
{
	struct fixture *f = *state;

	open_qp(f, 4096, 0, 16);
	read_page(f, 0);
	f->tap.sent = 0;
	for (unsigned i = 0; i < 3; i++)
		input(f, (struct wire_packet){.opcode = WIRE_READ_ONLY,
				 .psn = 0,
				 .congested = true,
				 .payload = f->data,
				 .length = SESSION_PAGE});
	assert_int_equal(f->tap.sent, 1); /* once in 50 us */
	assert_int_equal(sent(f, 0).opcode, WIRE_CNP);
	assert_true(sent(f, 0).becn);
}

static void message_in(struct fixture *f, uint32_t psn, unsigned opcode, uint32_t length)
{
	input(f, (struct wire_packet){.opcode = opcode,
			 .psn = psn,
			 .ack_request = true,
			 .payload = f->data,
			 .length = length});
}

static void server_sends_are_taken_in_order(void **state)
{
	struct fixture *f = *state;

	open_qp(f, 1024, 0, 16);
	message_in(f, EXPECTED, WIRE_SEND_ONLY, 100);
	assert_int_equal(f->messages, 1);
	assert_memory_equal(f->message, f->data, 100);
	assert_int_equal(sent(f, 0).syndrome, 0x1f);
	assert_int_equal(sent(f, 0).psn, EXPECTED);
	assert_int_equal(sent(f, 0).msn, 1);
	f->tap.sent = 0;
	message_in(f, EXPECTED, WIRE_SEND_ONLY, 100); /* again: our ACK was lost */
	assert_int_equal(f->messages, 1);
	assert_int_equal(sent(f, 0).psn, EXPECTED);
	f->tap.sent = 0;
	message_in(f, EXPECTED + 2, WIRE_SEND_ONLY, 100);
	message_in(f, EXPECTED + 3, WIRE_SEND_ONLY, 100);
	assert_int_equal(f->messages, 1);
	assert_int_equal(f->tap.sent, 1); /* one NAK per gap */
	assert_int_equal(sent(f, 0).syndrome, WIRE_SYNDROME_SEQUENCE);
	assert_int_equal(sent(f, 0).psn, EXPECTED + 1);
	message_in(f, EXPECTED + 1, WIRE_SEND_ONLY, 8);
	message_in(f, EXPECTED + 2, WIRE_SEND_ONLY, 8);
	assert_int_equal(f->messages, 3);
}

static void our_memory_is_nobodys(void **state)
{
	static const uint8_t requests[] = {WIRE_WRITE_ONLY, WIRE_READ_REQUEST, WIRE_SEND_FIRST,
		WIRE_COMPARE_SWAP, WIRE_SEND_ONLY_INVALIDATE, WIRE_WRITE_MIDDLE};

	for (unsigned i = 0; i < sizeof(requests); i++) {
		struct fixture *f = *state;

		open_qp(f, 1024, 0, 16);
		f->tap.sent = 0;
		message_in(f, EXPECTED, requests[i], 100);
		assert_int_equal(f->tap.sent, 1);
		assert_int_equal(sent(f, 0).syndrome, WIRE_SYNDROME_INVALID);
		message_in(f, EXPECTED, WIRE_SEND_ONLY, 100);
		assert_int_equal(f->messages, 0);
		qp_close(&f->qp, f->now);
	}
}

static void an_oversized_message_is_refused(void **state)
{
	struct fixture *f = *state;

	open_qp(f, 4096, 0, 16);
	message_in(f, EXPECTED, WIRE_SEND_ONLY, RPC_MESSAGE_MAX + 4);
	assert_int_equal(f->messages, 0);
	assert_int_equal(sent(f, 0).syndrome, WIRE_SYNDROME_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(messages_have_the_right_packets),
		TEST(a_write_sends_what_it_was_given),
		TEST(psn_wraps_in_every_message),
		TEST(a_response_acknowledges_what_came_before),
		TEST(lost_request_is_sent_again_by_the_timer),
		TEST(a_sequence_nak_goes_back_once),
		TEST(a_read_is_asked_again_whole),
		TEST(opcodes_do_not_place),
		TEST(a_lost_response_is_seen_by_the_next),
		TEST(an_ack_beyond_a_read_means_its_response_was_lost),
		TEST(reads_stay_within_the_granted_depth),
		TEST(writes_are_bounded_and_buffers_come_back),
		TEST(an_ack_behind_is_a_duplicate),
		TEST(an_impossible_ack_completes_nothing_and_kills),
		TEST(fatal_naks_break_one_and_lose_the_rest),
		TEST(unknown_syndromes_are_not_believed),
		TEST(rnr_waits_as_long_as_it_says),
		TEST(a_longer_round_trip_is_learned),
		TEST(gives_up_by_elapsed_time),
		TEST(a_gap_of_the_clock_restarts_deadlines),
		TEST(nothing_is_placed_after_the_end),
		TEST(responses_of_a_wrong_length_are_not_believed),
		TEST(a_full_ring_holds_back_without_loss),
		TEST(completions_may_post),
		TEST(congestion_slows_down_and_recovers),
		TEST(congested_packets_are_told_to_the_peer),
		TEST(server_sends_are_taken_in_order),
		TEST(our_memory_is_nobodys),
		TEST(an_oversized_message_is_refused),
	};

	return cmocka_run_group_tests_name("qp", tests, NULL, NULL);
}
