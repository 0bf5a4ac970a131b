/* SPDX-License-Identifier: MIT */
/* The connection manager's active side, message by message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "fabric/cm.h"
#include "unit/fabric_tap.h"

#define MS        1000000ull
#define S         1000000000ull
#define SERVER_ID 0x5eed1234u
#define SERVER    0x0a000002u

struct fixture {
	struct tap tap;
	struct port port;
	struct cm cm;
	uint64_t now;
};

static int set_up(void **state)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0, 0, 0, 1};
	struct fixture *f = calloc(1, sizeof(*f));
	struct fabric_config c = {.nic = &f->tap.nic,
		.address = 0x0a000001,
		.prefix = 24,
		.mtu = 9000,
		.random = {7}};

	tap_init(&f->tap, mac, 9000);
	port_init(&f->port, &c);
	f->now = 1000 * S;
	cm_init(&f->cm, &f->port);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static void connect(struct fixture *f)
{
	struct cm_parameters p = {
		.port = 7471, .mtu = 4096, .queue_pair = 0xabcdef, .psn = 0x123456, .reads = 16};

	p.path = (struct wire_path){.source = 0x0a000001, .destination = SERVER};
	p.hello[0] = 0x42;
	cm_connect(&f->cm, &p, f->now);
}

static struct mad sent(struct fixture *f, unsigned i)
{
	struct wire_packet p;
	struct mad m;

	assert_true(i < f->tap.sent);
	assert_int_equal(f->tap.out[i].length, 322);
	assert_int_equal(wire_decode(f->tap.out[i].data, 322, &p), WIRE_OK);
	assert_int_equal(p.opcode, WIRE_DATAGRAM);
	assert_int_equal(p.queue_pair, 1);
	assert_int_equal(p.queue_key, WIRE_QP1_KEY);
	assert_int_equal(p.source_queue_pair, 1);
	assert_true(mad_decode(p.payload, p.length, &m));
	return m;
}

static const uint8_t zeros[MAD_REPLY];

static enum cm_outcome give(struct fixture *f, struct mad m)
{
	m.transaction = f->cm.transaction;
	if (m.remote_id == 0)
		m.remote_id = f->cm.local_id;
	if (m.data == NULL)
		m.data = zeros;
	if (!cm_wants(&f->cm, &m, SERVER))
		return CM_NOTHING;
	return cm_input(&f->cm, &m, f->now);
}

static enum cm_outcome give_rep(struct fixture *f)
{
	return give(f, (struct mad){.attribute = MAD_REP,
			       .local_id = SERVER_ID,
			       .queue_pair = 0x11,
			       .psn = 0x777,
			       .responder_resources = 8});
}

static void request_is_repeated_until_given_up(void **state)
{
	struct fixture *f = *state;
	enum cm_outcome outcome = CM_NOTHING;
	uint64_t start = f->now;
	struct mad first;

	connect(f);
	first = sent(f, 0);
	assert_int_equal(first.attribute, MAD_REQ);
	assert_int_equal(first.queue_pair, 0xabcdef);
	assert_int_equal(first.psn, 0x123456);
	assert_int_equal(first.initiator_depth, 16);
	assert_int_equal(first.responder_resources, 0);
	assert_int_equal(first.mtu_code, 5);
	assert_int_equal(first.data[0], 0x42);
	assert_int_not_equal(first.local_id, 0);
	while (outcome == CM_NOTHING) {
		assert_true(cm_deadline(&f->cm) > f->now);
		f->now = cm_deadline(&f->cm);
		outcome = cm_turn(&f->cm, f->now);
	}
	assert_int_equal(outcome, CM_SILENT);
	assert_int_equal(f->now - start, CM_GIVE_UP_NS);
	assert_in_range(f->tap.sent, 9, 12);
	for (unsigned i = 1; i < f->tap.sent; i++) /* identical, but for the datagram's own PSN */
		assert_memory_equal(f->tap.out[i].data + 62, f->tap.out[0].data + 62, MAD_BYTES);
	assert_int_equal(cm_deadline(&f->cm), UINT64_MAX);
	assert_int_equal(give_rep(f), CM_NOTHING);
}

static void a_full_ring_is_tried_again_soon(void **state)
{
	struct fixture *f = *state;

	f->tap.full = 1;
	connect(f);
	assert_int_equal(f->tap.sent, 0);
	assert_true(cm_deadline(&f->cm) <= f->now);
	cm_turn(&f->cm, f->now);
	assert_int_equal(f->tap.sent, 1);
}

static void accepted_and_confirmed_each_time(void **state)
{
	struct fixture *f = *state;
	struct mad m;

	connect(f);
	assert_int_equal(give_rep(f), CM_ACCEPTED);
	assert_int_equal(f->cm.accepted.queue_pair, 0x11);
	assert_int_equal(f->cm.accepted.psn, 0x777);
	assert_int_equal(f->cm.accepted.reads, 8);
	m = sent(f, 1);
	assert_int_equal(m.attribute, MAD_RTU);
	assert_int_equal(m.transaction, f->cm.transaction);
	assert_int_equal(m.local_id, f->cm.local_id);
	assert_int_equal(m.remote_id, SERVER_ID);
	assert_int_equal(give_rep(f), CM_NOTHING); /* our RTU was lost */
	assert_int_equal(sent(f, 2).attribute, MAD_RTU);
	assert_int_equal(cm_deadline(&f->cm), UINT64_MAX);
}

static void each_attempt_has_its_own_numbers(void **state)
{
	struct fixture *f = *state;
	uint32_t id;

	connect(f);
	id = f->cm.local_id;
	connect(f);
	assert_int_not_equal(f->cm.local_id, id);
	/* The answer to the first attempt is not the second's. */
	assert_int_equal(give(f, (struct mad){.attribute = MAD_REP, .remote_id = id}), CM_NOTHING);
	assert_int_equal(f->cm.state, CM_REQUESTED);
	assert_int_equal(give_rep(f), CM_ACCEPTED);
}

static void rejections_carry_reason_and_data(void **state)
{
	struct fixture *f = *state;
	uint8_t data[MAD_REFUSAL] = {1, 2, 3};

	connect(f);
	assert_int_equal(give(f, (struct mad){.attribute = MAD_REJ,
					 .reason = MAD_REJECT_CONSUMER,
					 .data = data}),
		CM_REJECTED);
	assert_int_equal(f->cm.rejected.reason, MAD_REJECT_CONSUMER);
	assert_int_equal(f->cm.rejected.data[2], 3);
	assert_int_equal(f->cm.state, CM_IDLE);
	connect(f);
	assert_int_equal(give(f, (struct mad){.attribute = MAD_REJ, .reason = MAD_REJECT_STALE}),
		CM_REJECTED);
	assert_string_not_equal(cm_reason(MAD_REJECT_STALE), cm_reason(MAD_REJECT_SERVICE));
}

static void patience_when_the_server_asks_for_it(void **state)
{
	struct fixture *f = *state;

	connect(f);
	give(f, (struct mad){.attribute = MAD_MRA, .service_timeout = 22}); /* 17 s */
	f->now += 15 * S;
	assert_int_equal(cm_turn(&f->cm, f->now), CM_NOTHING);
	assert_int_equal(f->tap.sent, 1); /* it has our request: no repetition */
	assert_int_equal(give_rep(f), CM_ACCEPTED);
	connect(f);
	give(f, (struct mad){.attribute = MAD_MRA, .service_timeout = 31}); /* 2 h: not that much */
	assert_int_equal(cm_turn(&f->cm, f->now + CM_SLOW_NS), CM_SILENT);
}

static void disconnects_are_answered(void **state)
{
	struct fixture *f = *state;
	struct mad dreq = {.attribute = MAD_DREQ, .local_id = SERVER_ID};

	connect(f);
	assert_int_equal(give(f, dreq), CM_NOTHING); /* not while there is no connection */
	give_rep(f);
	dreq.local_id = 5;
	assert_int_equal(give(f, dreq), CM_NOTHING); /* another connection's */
	dreq.local_id = SERVER_ID;
	f->tap.sent = 0;
	assert_int_equal(give(f, dreq), CM_DISCONNECTED);
	assert_int_equal(sent(f, 0).attribute, MAD_DREP);
	assert_int_equal(sent(f, 0).remote_id, SERVER_ID);
	assert_int_equal(f->cm.state, CM_IDLE);
}

static void our_own_end_is_told(void **state)
{
	struct fixture *f = *state;
	struct mad m;

	cm_close(&f->cm);
	assert_int_equal(f->tap.sent, 0);
	connect(f);
	give_rep(f);
	f->tap.sent = 0;
	cm_close(&f->cm);
	m = sent(f, 0);
	assert_int_equal(m.attribute, MAD_DREQ);
	assert_int_equal(m.remote_queue_pair, 0x11);
	assert_int_equal(m.remote_id, SERVER_ID);
	cm_close(&f->cm);
	assert_int_equal(f->tap.sent, 1);
}

static void strangers_are_answered_without_state(void **state)
{
	struct fixture *f = *state;
	struct wire_packet p = {
		.source = 0x0a000009, .destination = 0x0a000001, .source_mac = {2, 2, 2, 2, 2, 2}};
	struct mad m = {.attribute = MAD_DREQ, .transaction = 99, .local_id = 4, .remote_id = 5};

	cm_stranger(&f->port, &p, &m);
	assert_int_equal(sent(f, 0).attribute, MAD_DREP);
	assert_int_equal(sent(f, 0).transaction, 99);
	assert_int_equal(sent(f, 0).local_id, 5);
	assert_int_equal(sent(f, 0).remote_id, 4);
	m.attribute = MAD_REP;
	cm_stranger(&f->port, &p, &m);
	assert_int_equal(sent(f, 1).attribute, MAD_REJ);
	assert_int_equal(sent(f, 1).reason, MAD_REJECT_COMM_ID);
	m.attribute = MAD_REJ;
	cm_stranger(&f->port, &p, &m);
	m.attribute = MAD_DREP;
	cm_stranger(&f->port, &p, &m);
	assert_int_equal(f->tap.sent, 2); /* answers to answers would go on for ever */
}

static void only_the_server_is_believed(void **state)
{
	struct fixture *f = *state;
	struct mad m = {.attribute = MAD_REP, .local_id = 1};

	connect(f);
	m.remote_id = f->cm.local_id;
	assert_false(cm_wants(&f->cm, &m, SERVER + 1));
	m.remote_id ^= 1;
	assert_false(cm_wants(&f->cm, &m, SERVER));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(request_is_repeated_until_given_up),
		TEST(a_full_ring_is_tried_again_soon),
		TEST(accepted_and_confirmed_each_time),
		TEST(each_attempt_has_its_own_numbers),
		TEST(rejections_carry_reason_and_data),
		TEST(patience_when_the_server_asks_for_it),
		TEST(disconnects_are_answered),
		TEST(our_own_end_is_told),
		TEST(strangers_are_answered_without_state),
		TEST(only_the_server_is_believed),
	};

	return cmocka_run_group_tests_name("cm", tests, NULL, NULL);
}
