/* SPDX-License-Identifier: MIT */
/* One queue pair and time: when it sends again, when it waits, when it gives up. */
#include "unit/qp_fixture.h"

static void lost_request_is_sent_again_by_the_timer(void **state)
{
	struct fixture *f = *state;
	uint64_t due;

	fixture_open(f, 4096, 10, 16);
	fixture_write(f, 1);
	fixture_read(f, 2);
	f->tap.sent = 0;
	due = qp_deadline(&f->qp, f->now);
	assert_true(due > f->now && due <= f->now + S);
	fixture_turn(f, due - 1);
	assert_int_equal(f->tap.sent, 0);
	for (unsigned i = 0; i < 12; i++)
		fixture_turn(f, due + i * 60 * MS);
	assert_int_equal(f->port.counters.timeouts, 3); /* 100 ms, then twice as long each time */
	fixture_expect_sent(f, 0, WIRE_WRITE_ONLY, 10);
	fixture_ack(f, 10, 0x1f);
	fixture_respond(f, 11, 0, 1);
	assert_int_equal(f->dones, 2);
	assert_int_equal(qp_deadline(&f->qp, f->now), UINT64_MAX);
}

static void rnr_waits_as_long_as_it_says(void **state)
{
	struct fixture *f = *state;
	uint64_t at;

	fixture_open(f, 4096, 0, 16);
	assert_true(qp_send(&f->qp, f->data, 64, f->now));
	fixture_write(f, 1);
	f->tap.sent = 0;
	fixture_ack(f, 0, WIRE_SYNDROME_RNR | 24); /* 40.96 ms */
	at = f->now;
	fixture_ack(
		f, 0, WIRE_SYNDROME_SEQUENCE); /* what was behind it draws this: the wait stands */
	fixture_turn(f, at + 40 * MS);
	assert_int_equal(f->tap.sent, 0);
	assert_true(qp_deadline(&f->qp, f->now) <= at + 41 * MS);
	fixture_turn(f, at + 41 * MS);
	assert_true(f->tap.sent >= 1);
	fixture_expect_sent(f, 0, WIRE_SEND_ONLY, 0);
	assert_int_equal(f->port.counters.rnr_naks, 1);
}

/* One WRITE whose acknowledgement takes that long. */
static void round_trip(struct fixture *f, uint32_t psn, uint64_t rtt)
{
	uint64_t end = f->now + rtt;

	f->tap.sent = f->dones = 0;
	fixture_write(f, 0);
	while (qp_deadline(&f->qp, f->now) < end)
		fixture_turn(f, qp_deadline(&f->qp, f->now));
	f->now = end;
	fixture_ack(f, psn, 0x1f);
	assert_int_equal(f->dones, 1);
}

/* The machine gets slow: each packet is sent twice at first, but not for ever. */
static void a_longer_round_trip_is_learned(void **state)
{
	struct fixture *f = *state;
	uint64_t before;
	uint32_t psn = 0;

	fixture_open(f, 4096, 0, 16);
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

	fixture_open(f, 4096, 0, 16);
	fixture_turn(f, start + 60 * S); /* idle is no silence */
	assert_null(f->qp.death);
	start = f->now;
	fixture_write(f, 0);
	while (f->qp.death == NULL && f->now < start + 20 * S)
		fixture_turn(f, qp_deadline(&f->qp, f->now));
	assert_int_equal(f->now, start + QP_GIVE_UP_NS);
	assert_int_equal(f->dones, 0);
	qp_close(&f->qp, f->now);
	fixture_expect_done(f, 0, 0, SESSION_LOST);
}

static void a_gap_of_the_clock_restarts_deadlines(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 4096, 0, 16);
	fixture_write(f, 0);
	f->now += 30 * S;
	qp_shift(&f->qp, 30 * S, f->now);
	qp_turn(&f->qp, f->now);
	assert_null(f->qp.death);
	assert_int_equal(f->port.counters.timeouts, 0);
	fixture_ack(f, 0, 0x1f);
	assert_int_equal(f->dones, 1);
	assert_int_equal(f->qp.rto.smoothed, 0); /* the gap is no round trip */
}

static void a_full_ring_holds_back_without_loss(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 1024, 0, 16);
	f->tap.full = 3;
	fixture_write(f, 0); /* first packet refused */
	assert_int_equal(f->tap.sent, 0);
	assert_true(qp_deadline(&f->qp, f->now) < f->now + MS);
	for (unsigned i = 0; i < 5; i++)
		fixture_turn(f, f->now + 20000);
	assert_int_equal(f->tap.sent, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(fixture_sent(f, i).psn, i);
	assert_int_equal(f->port.counters.retransmissions, 0);
}

static void congestion_slows_down_and_recovers(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 4096, 0, 16);
	for (unsigned i = 0; i < 16; i++)
		fixture_read(f, i);
	fixture_input(f, (struct wire_packet){.opcode = WIRE_CNP, .becn = true});
	assert_int_equal(f->port.counters.cnps, 1);
	assert_int_equal(f->qp.window, 8);
	for (unsigned i = 0; i < 10; i++)
		fixture_respond(f, i, 0, 1);
	f->tap.sent = 0;
	for (unsigned i = 0; i < 10; i++)
		fixture_read(f, i);
	assert_in_range(f->tap.sent, 0, 5); /* 6 under way, 8 allowed, and a little growth */
	fixture_turn(f, f->now + 9 * MS);
	assert_int_equal(f->tap.sent, 10);
	assert_int_equal(f->port.counters.retransmissions, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(lost_request_is_sent_again_by_the_timer),
		fixture_test(rnr_waits_as_long_as_it_says),
		fixture_test(a_longer_round_trip_is_learned),
		fixture_test(gives_up_by_elapsed_time),
		fixture_test(a_gap_of_the_clock_restarts_deadlines),
		fixture_test(a_full_ring_holds_back_without_loss),
		fixture_test(congestion_slows_down_and_recovers),
	};

	return cmocka_run_group_tests_name("qp_pace", tests, NULL, NULL);
}
