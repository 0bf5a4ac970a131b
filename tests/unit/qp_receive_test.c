/* SPDX-License-Identifier: MIT */
/* One queue pair and what its server asks for: messages are taken, our memory is not given. */
#include "unit/qp_fixture.h"

static void congested_packets_are_told_to_the_peer(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 4096, 0, 16);
	fixture_read(f, 0);
	f->tap.sent = 0;
	for (unsigned i = 0; i < 3; i++)
		fixture_input(f, (struct wire_packet){.opcode = WIRE_READ_ONLY,
					 .psn = 0,
					 .congested = true,
					 .payload = f->data,
					 .length = SESSION_PAGE});
	assert_int_equal(f->tap.sent, 1); /* once in 50 us */
	assert_int_equal(fixture_sent(f, 0).opcode, WIRE_CNP);
	assert_true(fixture_sent(f, 0).becn);
}

static void message_in(struct fixture *f, uint32_t psn, unsigned opcode, uint32_t length)
{
	fixture_input(f, (struct wire_packet){.opcode = opcode,
				 .psn = psn,
				 .ack_request = true,
				 .payload = f->data,
				 .length = length});
}

static void server_sends_are_taken_in_order(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 1024, 0, 16);
	message_in(f, EXPECTED, WIRE_SEND_ONLY, 100);
	assert_int_equal(f->messages, 1);
	assert_memory_equal(f->message, f->data, 100);
	assert_int_equal(fixture_sent(f, 0).syndrome, 0x1f);
	assert_int_equal(fixture_sent(f, 0).psn, EXPECTED);
	assert_int_equal(fixture_sent(f, 0).msn, 1);
	f->tap.sent = 0;
	message_in(f, EXPECTED, WIRE_SEND_ONLY, 100); /* again: our ACK was lost */
	assert_int_equal(f->messages, 1);
	assert_int_equal(fixture_sent(f, 0).psn, EXPECTED);
	f->tap.sent = 0;
	message_in(f, EXPECTED + 2, WIRE_SEND_ONLY, 100);
	message_in(f, EXPECTED + 3, WIRE_SEND_ONLY, 100);
	assert_int_equal(f->messages, 1);
	assert_int_equal(f->tap.sent, 1); /* one NAK per gap */
	assert_int_equal(fixture_sent(f, 0).syndrome, WIRE_SYNDROME_SEQUENCE);
	assert_int_equal(fixture_sent(f, 0).psn, EXPECTED + 1);
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

		fixture_open(f, 1024, 0, 16);
		f->tap.sent = 0;
		message_in(f, EXPECTED, requests[i], 100);
		assert_int_equal(f->tap.sent, 1);
		assert_int_equal(fixture_sent(f, 0).syndrome, WIRE_SYNDROME_INVALID);
		message_in(f, EXPECTED, WIRE_SEND_ONLY, 100);
		assert_int_equal(f->messages, 0);
		qp_close(&f->qp, f->now);
	}
}

static void an_oversized_message_is_refused(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 4096, 0, 16);
	message_in(f, EXPECTED, WIRE_SEND_ONLY, RPC_MESSAGE_MAX + 4);
	assert_int_equal(f->messages, 0);
	assert_int_equal(fixture_sent(f, 0).syndrome, WIRE_SYNDROME_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(congested_packets_are_told_to_the_peer),
		fixture_test(server_sends_are_taken_in_order),
		fixture_test(our_memory_is_nobodys),
		fixture_test(an_oversized_message_is_refused),
	};

	return cmocka_run_group_tests_name("qp_receive", tests, NULL, NULL);
}
