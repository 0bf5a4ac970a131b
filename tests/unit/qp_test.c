/* SPDX-License-Identifier: MIT */
/* One queue pair, packet by packet: what it sends, what it believes, what it completes. */
#include "unit/qp_fixture.h"

static void messages_have_the_right_packets(void **state)
{
	struct fixture *f = *state;
	struct wire_packet p;

	fixture_open(f, 1024, 0x100, 16);
	fixture_read(f, 0);
	fixture_write(f, 1);
	assert_true(qp_send(&f->qp, f->data, 58, f->now));
	assert_int_equal(f->tap.sent, 6);
	fixture_expect_sent(f, 0, WIRE_READ_REQUEST, 0x100); /* takes 0x100..0x103 */
	p = fixture_sent(f, 0);
	assert_int_equal(p.dma_length, SESSION_PAGE);
	assert_true(p.ack_request);
	fixture_expect_sent(f, 1, WIRE_WRITE_FIRST, 0x104);
	p = fixture_sent(f, 1);
	assert_int_equal(p.address, ADDRESS);
	assert_int_equal(p.rkey, RKEY);
	assert_int_equal(p.dma_length, SESSION_PAGE);
	assert_false(p.ack_request);
	fixture_expect_sent(f, 2, WIRE_WRITE_MIDDLE, 0x105);
	fixture_expect_sent(f, 3, WIRE_WRITE_MIDDLE, 0x106);
	fixture_expect_sent(f, 4, WIRE_WRITE_LAST, 0x107);
	p = fixture_sent(f, 4);
	assert_true(p.ack_request);
	assert_memory_equal(p.payload, f->data + 3072, 1024);
	fixture_expect_sent(f, 5, WIRE_SEND_ONLY, 0x108);
	p = fixture_sent(f, 5);
	assert_int_equal(p.length, 58);
	assert_memory_equal(p.payload, f->data, 58);
}

static void a_write_sends_what_it_was_given(void **state)
{
	struct fixture *f = *state;
	uint8_t given[SESSION_PAGE];
	struct wire_packet p;

	memcpy(given, f->data, SESSION_PAGE);
	fixture_open(f, 4096, 0, 16);
	fixture_write(f, 0);
	memset(f->data, 0x55, SESSION_PAGE); /* the guest writes on */
	fixture_turn(f, f->now + S);
	assert_int_equal(f->tap.sent, 2);
	p = fixture_sent(f, 1);
	assert_memory_equal(p.payload, given, SESSION_PAGE);
	assert_int_equal(f->tap.out[0].length, f->tap.out[1].length);
	assert_memory_equal(f->tap.out[0].data, f->tap.out[1].data, f->tap.out[0].length);
}

static void psn_wraps_in_every_message(void **state)
{
	struct fixture *f = *state;

	for (uint32_t psn = 0xfffff0; psn <= 0xffffff; psn++) {
		fixture_open(f, 1024, psn, 16);
		f->dones = 0;
		fixture_read(f, 0);
		fixture_write(f, 1);
		fixture_read(f, 2);
		for (unsigned i = 0; i < 4; i++)
			fixture_respond(f, psn, i, 4);
		assert_memory_equal(f->page[0], f->data, SESSION_PAGE);
		fixture_ack(f, wire_psn_add(psn, 7), 0x1f);
		for (unsigned i = 0; i < 4; i++)
			fixture_respond(f, wire_psn_add(psn, 8), i, 4);
		assert_int_equal(f->dones, 3);
		for (unsigned i = 0; i < 3; i++)
			fixture_expect_done(f, i, i, SESSION_OK);
		assert_null(f->qp.death);
		assert_true(qp_idle(&f->qp));
		qp_close(&f->qp, f->now);
	}
	assert_int_equal(f->port.counters.retransmissions, 0);
}

static void a_response_acknowledges_what_came_before(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 4096, 10, 16);
	fixture_write(f, 1);
	fixture_write(f, 2);
	fixture_read(f, 3);
	fixture_respond(f, 12, 0, 1);
	assert_int_equal(f->dones, 3);
	for (unsigned i = 0; i < 3; i++)
		fixture_expect_done(f, i, i + 1, SESSION_OK);
}

static void a_sequence_nak_goes_back_once(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 1024, 0, 16);
	for (unsigned i = 0; i < 3; i++)
		fixture_write(f, i);
	f->tap.sent = 0;
	fixture_ack(f, 6, WIRE_SYNDROME_SEQUENCE); /* in the middle of the second */
	assert_int_equal(f->dones, 1);
	fixture_expect_done(f, 0, 0, SESSION_OK);
	fixture_expect_sent(f, 0, WIRE_WRITE_MIDDLE, 6);
	fixture_expect_sent(f, 1, WIRE_WRITE_LAST, 7);
	f->tap.sent = 0;
	fixture_ack(f, 6, WIRE_SYNDROME_SEQUENCE); /* the network's copy of it */
	assert_int_equal(f->tap.sent, 0);
	fixture_ack(f, 11, 0x1f);
	assert_int_equal(f->dones, 3);
}

static void a_read_is_asked_again_whole(void **state)
{
	struct fixture *f = *state;
	struct wire_packet p;

	fixture_open(f, 1024, 0, 16);
	fixture_read(f, 0);
	f->tap.sent = 0;
	fixture_respond(f, 0, 0, 4);
	fixture_respond(f, 0, 2, 4); /* the second was lost */
	assert_int_equal(f->tap.sent, 1);
	p = fixture_sent(f, 0);
	assert_int_equal(p.psn, 0);
	assert_int_equal(p.address, ADDRESS);
	assert_int_equal(p.dma_length, SESSION_PAGE);
	for (unsigned i = 0; i < 4; i++)
		fixture_respond(f, 0, i, 4);
	assert_int_equal(f->dones, 1);
	assert_memory_equal(f->page[0], f->data, SESSION_PAGE);
	assert_true(f->port.counters.duplicates >= 2);
}

/* Responders differ in how they replay: only the PSN says where the payload belongs. */
static void opcodes_do_not_place(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 1024, 0, 16);
	fixture_read(f, 0);
	for (unsigned i = 4; i-- > 0;)
		fixture_input(f, (struct wire_packet){.opcode = WIRE_READ_ONLY,
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

	fixture_open(f, 4096, 0, 16);
	for (unsigned i = 0; i < 4; i++)
		fixture_read(f, i);
	f->tap.sent = 0;
	fixture_respond(f, 1, 0, 1);
	fixture_respond(f, 2, 0, 1);
	assert_int_equal(f->dones, 2); /* each is whole: no reason to wait */
	fixture_expect_done(f, 0, 1, SESSION_OK);
	assert_true(f->tap.sent >= 1);
	fixture_expect_sent(f, 0, WIRE_READ_REQUEST, 0);
	fixture_respond(f, 0, 0, 1);
	fixture_respond(f, 3, 0, 1);
	assert_int_equal(f->dones, 4);
	assert_true(qp_idle(&f->qp));
}

static void an_ack_beyond_a_read_means_its_response_was_lost(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 4096, 0, 16);
	fixture_read(f, 0);
	fixture_write(f, 1);
	f->tap.sent = 0;
	fixture_ack(f, 1, 0x1f);
	assert_int_equal(f->dones, 1);
	fixture_expect_done(f, 0, 1, SESSION_OK);
	assert_int_equal(f->tap.sent, 1);
	fixture_expect_sent(f, 0, WIRE_READ_REQUEST, 0);
	fixture_respond(f, 0, 0, 1);
	fixture_expect_done(f, 1, 0, SESSION_OK);
}

/* A replay ring of N at the responder: the oldest unfinished READ must stay among the last N. */
static void reads_stay_within_the_granted_depth(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 4096, 0, 4);
	for (unsigned i = 0; i < 4; i++)
		fixture_read(f, i);
	assert_int_equal(qp_reads_free(&f->qp), 0);
	assert_false(qp_read(&f->qp, ADDRESS, RKEY, f->page[9], 9, false, f->now));
	fixture_respond(f, 1, 0, 1);
	assert_int_equal(qp_reads_free(&f->qp), 0); /* the first is still missing */
	fixture_respond(f, 0, 0, 1);
	assert_int_equal(qp_reads_free(&f->qp), 2);
}

static void writes_are_bounded_and_buffers_come_back(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 4096, 0, 16);
	for (unsigned round = 0; round < 5; round++) {
		uint32_t psn = round * SESSION_WRITES;

		f->dones = f->tap.sent = 0;
		for (unsigned i = 0; i < SESSION_WRITES; i++)
			fixture_write(f, i);
		assert_false(qp_write(&f->qp, ADDRESS, RKEY, f->data, 1, false, f->now));
		assert_int_equal(f->tap.sent, SESSION_WRITES);
		fixture_ack(f, psn + SESSION_WRITES - 1, 0x1f);
		assert_int_equal(f->dones, SESSION_WRITES);
	}
}

static void an_ack_behind_is_a_duplicate(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 4096, 100, 16);
	fixture_write(f, 0);
	fixture_ack(f, 100, 0x1f);
	fixture_write(f, 1);
	fixture_ack(f, 100, 0x1f);
	fixture_ack(f, 99, WIRE_SYNDROME_ACCESS);
	fixture_ack(f, 100, WIRE_SYNDROME_SEQUENCE);
	assert_int_equal(f->dones, 1);
	assert_int_equal(f->port.counters.duplicates, 3);
	assert_null(f->qp.death);
	fixture_ack(f, 101, 0x1f);
	assert_int_equal(f->dones, 2);
}

static void an_impossible_ack_completes_nothing_and_kills(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 4096, 100, 16);
	fixture_write(f, 0);
	fixture_ack(f, 101, 0x1f);
	assert_int_equal(f->dones, 0);
	assert_int_equal(f->port.counters.impossible, 1);
	assert_non_null(f->qp.death);
	fixture_ack(f, 100, 0x1f); /* nothing counts any more */
	assert_int_equal(f->dones, 0);
	qp_close(&f->qp, f->now);
	fixture_expect_done(f, 0, 0, SESSION_LOST);
	/* Also for what is queued but was never sent, and for READ responses. */
	fixture_open(f, 4096, 100, 16);
	f->tap.full = 1;
	fixture_write(f, 1);
	fixture_ack(f, 100, 0x1f);
	assert_non_null(f->qp.death);
	qp_close(&f->qp, f->now);
	fixture_open(f, 4096, 100, 16);
	fixture_read(f, 2);
	fixture_respond(f, 101, 0, 1);
	assert_non_null(f->qp.death);
	assert_int_equal(f->port.counters.impossible, 3);
}

static void fatal_naks_break_one_and_lose_the_rest(void **state)
{
	static const uint8_t fatal[] = {0x61, 0x62, 0x63};

	for (unsigned i = 0; i < 3; i++) {
		struct fixture *f = *state;

		f->dones = 0;
		fixture_open(f, 1024, 0, 16);
		fixture_write(f, 0);
		fixture_read(f, 1);
		fixture_write(f, 2);
		fixture_ack(f, 5, fatal[i]);
		assert_non_null(f->qp.death);
		assert_int_equal(f->dones, 1);
		fixture_expect_done(f, 0, 0, SESSION_OK); /* all before it were executed */
		qp_close(&f->qp, f->now);
		assert_int_equal(f->dones, 3);
		fixture_expect_done(f, 1, 1, SESSION_BROKEN);
		fixture_expect_done(f, 2, 2, SESSION_LOST);
	}
}

static void unknown_syndromes_are_not_believed(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 4096, 0, 16);
	fixture_write(f, 0);
	fixture_ack(f, 0, 0x40);
	fixture_ack(f, 0, 0x9f);
	fixture_ack(f, 0, 0xff);
	assert_int_equal(f->dones, 0);
	assert_null(f->qp.death);
	fixture_ack(f, 0, 0x05); /* with credits */
	assert_int_equal(f->dones, 1);
}

static void nothing_is_placed_after_the_end(void **state)
{
	struct fixture *f = *state;
	uint8_t before[SESSION_PAGE];

	memcpy(before, f->page[0], SESSION_PAGE);
	fixture_open(f, 4096, 0, 16);
	fixture_read(f, 0);
	fixture_read(f, 1);
	qp_abandon(&f->qp, 0);
	fixture_respond(f, 0, 0, 1);
	assert_int_equal(f->dones, 0);
	assert_int_equal(f->port.counters.discarded, 1);
	qp_close(&f->qp, f->now);
	assert_int_equal(f->dones, 1);
	fixture_expect_done(f, 0, 1, SESSION_LOST);
	fixture_respond(f, 1, 0, 1);
	fixture_open(f, 4096, 0, 16); /* even the same numbers again */
	fixture_respond(f, 1, 0, 1);
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
	fixture_open(f, 1024, 0, 16);
	fixture_read(f, 0);
	for (unsigned i = 0; i < 7; i++)
		for (unsigned psn = 0; psn < 4; psn++)
			fixture_input(f, (struct wire_packet){.opcode = WIRE_READ_MIDDLE,
						 .psn = psn,
						 .payload = longer,
						 .length = lengths[i]});
	assert_int_equal(f->dones, 0);
	assert_int_equal(f->port.counters.frames_malformed, 28);
	assert_memory_equal(f->page[0], before, SESSION_PAGE);
}

static void completions_may_post(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 4096, 0, 16);
	f->chain = true;
	for (uint32_t i = 0; i < 16; i++)
		fixture_read(f, i);
	for (uint32_t psn = 0; psn < 200; psn++)
		fixture_respond(f, psn, 0, 1);
	assert_int_equal(f->dones, 200);
	f->chain = false;
	for (uint32_t psn = 200; !qp_idle(&f->qp) && psn < 300; psn++)
		fixture_respond(f, psn, 0, 1);
	assert_true(qp_idle(&f->qp));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(messages_have_the_right_packets),
		fixture_test(a_write_sends_what_it_was_given),
		fixture_test(psn_wraps_in_every_message),
		fixture_test(a_response_acknowledges_what_came_before),
		fixture_test(a_sequence_nak_goes_back_once),
		fixture_test(a_read_is_asked_again_whole),
		fixture_test(opcodes_do_not_place),
		fixture_test(a_lost_response_is_seen_by_the_next),
		fixture_test(an_ack_beyond_a_read_means_its_response_was_lost),
		fixture_test(reads_stay_within_the_granted_depth),
		fixture_test(writes_are_bounded_and_buffers_come_back),
		fixture_test(an_ack_behind_is_a_duplicate),
		fixture_test(an_impossible_ack_completes_nothing_and_kills),
		fixture_test(fatal_naks_break_one_and_lose_the_rest),
		fixture_test(unknown_syndromes_are_not_believed),
		fixture_test(nothing_is_placed_after_the_end),
		fixture_test(responses_of_a_wrong_length_are_not_believed),
		fixture_test(completions_may_post),
	};

	return cmocka_run_group_tests_name("qp", tests, NULL, NULL);
}
