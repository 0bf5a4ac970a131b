/* SPDX-License-Identifier: MIT */
/* The memory server's policy and messages that are wrong: one by one, then at random. */
#include <stdlib.h>
#include "tests/unit/policy_fixture.h"

#define FUZZ_MESSAGES 200000u
#define FUZZ_LINKS    6u

/* Sends raw bytes; returns the error code of the answer. */
static enum rpc_error send_raw(
	struct fixture *f, struct policy_link *link, const void *message, size_t length)
{
	uint8_t out[RPC_MESSAGE_MAX];
	unsigned lines = f->log_lines;
	struct answer a;
	size_t got = policy_message(f->policy, link, message, length, out);

	memcpy(&a.header, out, sizeof(a.header));
	a.length = got - sizeof(a.header);
	memcpy(a.body, out + sizeof(a.header), a.length);
	if (fixture_error(&a) != RPC_ERROR_NONE)
		assert_true(f->log_lines > lines);
	return fixture_error(&a);
}

static void messages_are_checked(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 4);
	uint8_t message[RPC_MESSAGE_MAX + 1] = {0};
	const struct rpc_header good = {be32_make(RPC_MAGIC), be16_make(1), be16_make(RPC_PING),
		be32_make(1), be32_make(0), be64_make(100), {0}};
	struct rpc_header bad = good;

	assert_int_equal(send_raw(f, link, &good, 0), RPC_ERROR_MALFORMED);
	assert_int_equal(send_raw(f, link, &good, sizeof(good) - 1), RPC_ERROR_MALFORMED);
	memcpy(message, &good, sizeof(good));
	assert_int_equal(send_raw(f, link, message, sizeof(message)), RPC_ERROR_MALFORMED);
	assert_int_equal(send_raw(f, link, message, sizeof(good) + 1), RPC_ERROR_MALFORMED);
	bad.magic = be32_make(7);
	assert_int_equal(send_raw(f, link, &bad, sizeof(bad)), RPC_ERROR_MALFORMED);
	bad = good;
	bad.version = be16_make(2);
	assert_int_equal(send_raw(f, link, &bad, sizeof(bad)), RPC_ERROR_VERSION);
	bad = good;
	bad.type = be16_make(0);
	assert_int_equal(send_raw(f, link, &bad, sizeof(bad)), RPC_ERROR_MALFORMED);
	bad.type = be16_make(6);
	assert_int_equal(send_raw(f, link, &bad, sizeof(bad)), RPC_ERROR_MALFORMED);
	bad.type = be16_make(RPC_ANSWER | RPC_PING);
	assert_int_equal(send_raw(f, link, &bad, sizeof(bad)), RPC_ERROR_MALFORMED);
	bad.type = be16_make(RPC_ERROR);
	assert_int_equal(send_raw(f, link, &bad, sizeof(bad)), RPC_ERROR_MALFORMED);
	bad.type = be16_make(RPC_LEASE);
	assert_int_equal(send_raw(f, link, &bad, sizeof(bad)), RPC_ERROR_MALFORMED);
	bad = good;
	bad.length = be32_make(0xffffffff);
	assert_int_equal(send_raw(f, link, &bad, sizeof(bad)), RPC_ERROR_MALFORMED);
	/* It lives on; a counter is good once. */
	assert_int_equal(send_raw(f, link, &good, sizeof(good)), RPC_ERROR_NONE);
	assert_int_equal(send_raw(f, link, &good, sizeof(good)), RPC_ERROR_MALFORMED);
	bad = good;
	bad.counter = be64_make(99);
	assert_int_equal(send_raw(f, link, &bad, sizeof(bad)), RPC_ERROR_MALFORMED);
}

static uint64_t random_state;

static uint32_t random_next(uint32_t below)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((random_state >> 33) % below);
}

/* A message that is right but for a few random changes. */
static size_t fuzz_message(struct fixture *f, uint8_t *message)
{
	static const uint32_t sizes[] = {0, sizeof(struct rpc_attach), sizeof(struct rpc_list),
		sizeof(struct rpc_index), sizeof(struct rpc_index), 0, 16};
	uint32_t type = random_next(7), length = sizes[type];
	struct rpc_header header = {be32_make(RPC_MAGIC), be16_make(1), be16_make((uint16_t)type),
		be32_make(++f->id), be32_make(length), be64_make(++f->counter), {0}};
	size_t total = sizeof(header) + length;

	memcpy(message, &header, sizeof(header));
	memset(message + sizeof(header), 0, RPC_MESSAGE_MAX - sizeof(header));
	if (type == RPC_ATTACH) {
		struct rpc_attach attach = {be32_make(1 + random_next(2)), be32_make(24),
			be32_make(1 + random_next(5)), be32_make(0),
			{(uint8_t)(random_next(8) == 0)}};

		memcpy(message + sizeof(header), &attach, sizeof(attach));
	} else if (length >= 4) {
		message[sizeof(header) + 3] = (uint8_t)random_next(6);
	}
	if (random_next(4) == 0) {
		for (uint32_t i = random_next(4); i < 4; i++)
			message[random_next(sizeof(header) + 40)] ^=
				(uint8_t)(1u << random_next(8));
	}
	if (random_next(16) == 0)
		total = random_next(RPC_MESSAGE_MAX + 1);
	return total;
}

static struct policy_link *fuzz_links[FUZZ_LINKS];

static void fuzz_destroy(void *context, void *link_context)
{
	fuzz_links[(uintptr_t)link_context] = NULL;
}

static void fuzz_check(struct fixture *f)
{
	struct policy_totals totals;
	unsigned exposed = 0;

	policy_totals(f->policy, &totals);
	for (unsigned i = 0; i < FIXTURE_SLOTS; i++)
		exposed += f->exposed[i] != 0;
	assert_true(exposed <= totals.leased);
	assert_true(totals.leased + totals.lost + totals.dirty <= FIXTURE_SLOTS);
	assert_true(totals.promised <= FIXTURE_SLOTS);
}

static void fuzz_restart(struct fixture *f, const struct policy_ops *ops)
{
	fixture_stop(f);
	memset(fuzz_links, 0, sizeof(fuzz_links));
	memset(f->exposed, 0, sizeof(f->exposed));
	f->store_errors = 0;
	f->config.pool[0] += (uint8_t)random_next(2);
	fixture_load(f, ops);
}

static void fuzz_connect(struct fixture *f, uint32_t pick, uint64_t session)
{
	struct rpc_welcome welcome;
	struct rpc_refusal refusal;
	struct rpc_hello hello = {be32_make(RPC_MAGIC), be16_make(1), be16_make(1),
		be64_make(1 + random_next(2)), be64_make(session), {0}};

	if (random_next(8) == 0)
		((uint8_t *)&hello)[random_next(24)] ^= 1;
	fuzz_links[pick] = policy_connect(
		f->policy, &hello, sizeof(hello), (void *)(uintptr_t)pick, &welcome, &refusal);
}

static void fuzz_send(struct fixture *f, uint32_t pick)
{
	uint8_t message[RPC_MESSAGE_MAX], out[RPC_MESSAGE_MAX];
	size_t length = fuzz_message(f, message), got;
	uint8_t *exact = malloc(length + 1); /* unaligned, and reading beyond it is seen */

	assert_non_null(exact);
	memcpy(exact + 1, message, length);
	got = policy_message(f->policy, fuzz_links[pick], exact + 1, length, out);
	free(exact);
	assert_true(got >= sizeof(struct rpc_header) && got <= RPC_MESSAGE_MAX);
}

/* Random messages of several tenants and sessions, with failing stores and restarts. */
static void fuzz_messages(void **state)
{
	struct fixture *f = *state;
	struct policy_ops ops = fixture_ops;

	ops.destroy = fuzz_destroy;
	random_state = 1;
	fuzz_restart(f, &ops);
	for (unsigned i = 0; i < FUZZ_MESSAGES; i++) {
		uint32_t pick = random_next(FUZZ_LINKS);

		if (random_next(2000) == 0)
			fuzz_restart(f, &ops);
		if (random_next(64) == 0)
			f->store_errors = (int)random_next(3);
		f->store_tears = random_next(2);
		fixture_trace_clear(f);
		if (!fuzz_links[pick]) {
			fuzz_connect(f, pick, 1 + i / 4096 + random_next(2));
		} else if (random_next(200) == 0) {
			policy_unlinked(f->policy, fuzz_links[pick]);
			fuzz_links[pick] = NULL;
		} else {
			fuzz_send(f, pick);
		}
		if (random_next(16) == 0)
			policy_turn(f->policy);
		if (random_next(5000) == 0)
			policy_forget(f->policy, 1 + random_next(2));
		fuzz_check(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(messages_are_checked),
		fixture_test(fuzz_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
