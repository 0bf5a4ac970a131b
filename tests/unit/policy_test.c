/* SPDX-License-Identifier: MIT */
/* Every rule and every error of the memory server's policy, and a fuzzer of its messages. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/unit/policy_fixture.h"

#define FUZZ_MESSAGES 200000u

static struct fixture fixture;

static int setup(void **state)
{
	fixture_start(&fixture);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	fixture_stop(&fixture);
	return 0;
}

/* A session that is attached, its trace cleared. */
static struct policy_link *attached(
	struct fixture *f, const char *name, uint64_t tenant, uint64_t session, uint32_t extents)
{
	struct policy_link *link = fixture_connect(f, name, tenant, session);

	f->counter = 0;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, extents, (uint8_t)tenant),
		RPC_ERROR_NONE);
	fixture_trace_clear(f);
	return link;
}

static enum rpc_error refused(struct fixture *f, const struct rpc_hello *hello, size_t length)
{
	struct rpc_welcome welcome;
	struct rpc_refusal refusal;
	unsigned lines = f->log_lines;

	assert_null(policy_connect(f->policy, hello, length, NULL, &welcome, &refusal));
	assert_int_equal(be32_get(refusal.magic), RPC_MAGIC);
	assert_non_null(memchr(refusal.text, 0, sizeof(refusal.text)));
	assert_true(strlen(refusal.text) > 0);
	assert_int_equal(f->log_lines, lines + 1);
	return be32_get(refusal.code);
}

static void hello_is_checked(void **state)
{
	struct fixture *f = *state;
	const struct rpc_hello good = {
		be32_make(RPC_MAGIC), be16_make(1), be16_make(1), be64_make(1), be64_make(2), {0}};
	struct rpc_hello bad = good;

	assert_int_equal(refused(f, &good, 55), RPC_ERROR_MALFORMED);
	assert_int_equal(refused(f, NULL, 0), RPC_ERROR_MALFORMED);
	bad.magic = be32_make(1);
	assert_int_equal(refused(f, &bad, 56), RPC_ERROR_MALFORMED);
	bad = good;
	bad.session = be64_make(0);
	assert_int_equal(refused(f, &bad, 56), RPC_ERROR_MALFORMED);
	bad = good;
	bad.version_low = be16_make(3);
	bad.version_high = be16_make(2);
	assert_int_equal(refused(f, &bad, 56), RPC_ERROR_MALFORMED);
}

static void versions_are_negotiated(void **state)
{
	struct fixture *f = *state;
	struct rpc_hello hello = {
		be32_make(RPC_MAGIC), be16_make(2), be16_make(9), be64_make(1), be64_make(2), {0}};
	struct rpc_welcome welcome;
	struct rpc_refusal refusal;

	assert_int_equal(refused(f, &hello, 56), RPC_ERROR_VERSION);
	hello.version_low = be16_make(0);
	hello.version_high = be16_make(0);
	assert_int_equal(refused(f, &hello, 56), RPC_ERROR_VERSION);
	/* A newer VMM that still speaks ours; private data may be padded. */
	hello.version_low = be16_make(1);
	hello.version_high = be16_make(9);
	assert_non_null(policy_connect(f->policy, &hello, 56, "a", &welcome, &refusal));
	assert_int_equal(be16_get(welcome.version), RPC_VERSION);
}

static void links_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct rpc_hello hello = {
		be32_make(RPC_MAGIC), be16_make(1), be16_make(1), be64_make(1), be64_make(1), {0}};
	struct policy_totals totals;

	/* One session that never gets through: its oldest queue pair goes. */
	fixture_connect(f, "a", 1, 1);
	fixture_connect(f, "b", 1, 1);
	fixture_connect(f, "c", 1, 1);
	fixture_connect(f, "d", 1, 1);
	fixture_trace_is(f, "");
	fixture_connect(f, "e", 1, 1);
	fixture_trace_is(f, "destroy a;");
	for (uint64_t i = 2; i < 5000; i++) {
		struct rpc_welcome welcome;
		struct rpc_refusal refusal;

		hello.session = be64_make(i);
		if (policy_connect(f->policy, &hello, 56, "x", &welcome, &refusal))
			continue;
		assert_int_equal(be32_get(refusal.code), RPC_ERROR_RESOURCES);
		policy_totals(f->policy, &totals);
		assert_int_equal(totals.links, 4096);
		return;
	}
	fail_msg("no bound");
}

static void attach_fresh(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = fixture_connect(f, "a", 7, 0x70);
	struct rpc_attach attach = {
		be32_make(RPC_ATTACH_FRESH), be32_make(24), be32_make(3), be32_make(0), {9}};
	struct rpc_attached attached;
	struct answer a;

	assert_false(policy_attached(link));
	a = fixture_ask(f, link, RPC_ATTACH, &attach, sizeof(attach));
	assert_int_equal(fixture_error(&a), RPC_ERROR_NONE);
	assert_int_equal(a.length, sizeof(attached));
	memcpy(&attached, a.body, sizeof(attached));
	assert_int_equal(attached.pool[0], 1);
	assert_int_equal(be64_get(attached.scratch_address), 0x5000);
	assert_int_equal(be32_get(attached.scratch_rkey), 0x55);
	assert_int_equal(be32_get(attached.extents_promised), 3);
	assert_int_equal(be32_get(attached.extents_held), 0);
	assert_int_equal(be64_get(attached.pool_free), RPC_EXTENT_SIZE);
	assert_int_equal(be64_get(attached.seal_address), 0);
	assert_int_equal(be64_get(a.header.counter), 1);
	assert_true(policy_attached(link));
	fixture_trace_is(f, "store session;scratch;");
	/* Asked again, the same answer, and nothing is promised twice. */
	a = fixture_ask(f, link, RPC_ATTACH, &attach, sizeof(attach));
	assert_int_equal(fixture_error(&a), RPC_ERROR_NONE);
	assert_int_equal(be64_get(a.header.counter), 2);
	fixture_trace_is(f, "scratch;");
}

static void attach_is_checked(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = fixture_connect(f, "a", 7, 0x70);
	const struct rpc_attach good = {
		be32_make(RPC_ATTACH_FRESH), be32_make(24), be32_make(3), be32_make(0), {9}};
	struct rpc_attach bad = good;
	struct answer a;

	bad.mode = be32_make(3);
	a = fixture_ask(f, link, RPC_ATTACH, &bad, sizeof(bad));
	assert_int_equal(fixture_error(&a), RPC_ERROR_MALFORMED);
	bad = good;
	bad.extent_shift = be32_make(21);
	a = fixture_ask(f, link, RPC_ATTACH, &bad, sizeof(bad));
	assert_int_equal(fixture_error(&a), RPC_ERROR_MALFORMED);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, 0, 9), RPC_ERROR_MALFORMED);
	assert_int_equal(
		fixture_attach(f, link, RPC_ATTACH_FRESH, 0xffffffff, 9), RPC_ERROR_MALFORMED);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 3, 9), RPC_ERROR_UNKNOWN);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, 3, 9), RPC_ERROR_NONE);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 2, 9), RPC_ERROR_MALFORMED);
	f->scratch_error = ENOMEM;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 3, 9), RPC_ERROR_RESOURCES);
}

static void promise_names_numbers(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = fixture_connect(f, "a", 7, 0x70);
	struct rpc_attach attach = {
		be32_make(RPC_ATTACH_FRESH), be32_make(24), be32_make(5), be32_make(0), {9}};
	struct rpc_error_body error;
	struct answer a = fixture_ask(f, link, RPC_ATTACH, &attach, sizeof(attach));

	error = fixture_error_body(&a);
	assert_int_equal(be32_get(error.code), RPC_ERROR_POOL);
	assert_int_equal(be64_get(error.number[0]), 5 * RPC_EXTENT_SIZE);
	assert_int_equal(be64_get(error.number[1]), 4 * RPC_EXTENT_SIZE);
	assert_non_null(strstr(error.text, "80 MiB"));
	assert_non_null(strstr(error.text, "64 MiB"));
	attached(f, "b", 8, 0x80, 3);
	f->counter = 100;
	attach.extents = be32_make(2);
	a = fixture_ask(f, link, RPC_ATTACH, &attach, sizeof(attach));
	error = fixture_error_body(&a);
	assert_int_equal(be32_get(error.code), RPC_ERROR_POOL);
	assert_int_equal(be64_get(error.number[1]), RPC_EXTENT_SIZE);
}

static void quota_names_numbers(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link;
	struct rpc_attach attach = {
		be32_make(RPC_ATTACH_FRESH), be32_make(24), be32_make(3), be32_make(0), {9}};
	struct rpc_error_body error;
	struct answer a;

	f->config.quota = 2 * RPC_EXTENT_SIZE;
	fixture_restart(f, false);
	link = fixture_connect(f, "a", 7, 0x70);
	a = fixture_ask(f, link, RPC_ATTACH, &attach, sizeof(attach));
	error = fixture_error_body(&a);
	assert_int_equal(be32_get(error.code), RPC_ERROR_QUOTA);
	assert_int_equal(be64_get(error.number[0]), 3 * RPC_EXTENT_SIZE);
	assert_int_equal(be64_get(error.number[1]), 2 * RPC_EXTENT_SIZE);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, 2, 9), RPC_ERROR_NONE);
}

static void overcommit_promises_more(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link;

	f->config.overcommit = true;
	fixture_restart(f, false);
	link = attached(f, "a", 7, 0x70, 100);
	for (uint32_t i = 0; i < FIXTURE_SLOTS; i++)
		assert_int_equal(fixture_lease(f, link, i), RPC_ERROR_NONE);
	assert_int_equal(fixture_lease(f, link, 50), RPC_ERROR_POOL);
	assert_int_equal(fixture_release(f, link, 1), RPC_ERROR_NONE);
	assert_int_equal(fixture_lease(f, link, 50), RPC_ERROR_NONE);
}

static void tenant_belongs_to_one_domain(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link;

	attached(f, "a", 7, 0x70, 2);
	link = fixture_connect(f, "b", 7, 0x71);
	f->counter = 0;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, 2, 99), RPC_ERROR_DOMAIN);
	/* Nothing happened to the first, also not by a restart. */
	fixture_trace_is(f, "");
	fixture_restart(f, false);
	link = fixture_connect(f, "b", 7, 0x71);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, 2, 99), RPC_ERROR_DOMAIN);
	assert_int_equal(policy_forget(f->policy, 7), 0);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, 2, 99), RPC_ERROR_NONE);
}

static void fresh_ends_older_sessions(void **state)
{
	struct fixture *f = *state;
	struct policy_link *old = attached(f, "a", 7, 0x70, 4), *link;

	assert_int_equal(fixture_lease(f, old, 5), RPC_ERROR_NONE);
	assert_int_equal(fixture_lease(f, old, 6), RPC_ERROR_NONE);
	f->memory[0] = 0xaa;
	f->memory[1] = 0xbb;
	fixture_trace_clear(f);
	link = fixture_connect(f, "b", 7, 0x71);
	f->counter = 0;
	/* Its own promise is no obstacle: the whole pool was the older session's. */
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, 4, 7), RPC_ERROR_NONE);
	fixture_trace_is(
		f, "destroy a;conceal 0;conceal 1;store session;end 70;store session;scratch;");
	assert_true(policy_turn(f->policy));
	assert_false(policy_turn(f->policy));
	fixture_trace_is(f, "zero 0;store 0=0;zero 1;store 1=0;");
	/* The ended one is told so, whatever it asks for, also after a restart. */
	old = fixture_connect(f, "c", 7, 0x70);
	f->counter = 0;
	assert_int_equal(fixture_attach(f, old, RPC_ATTACH_RESUME, 4, 7), RPC_ERROR_ENDED);
	assert_int_equal(fixture_attach(f, old, RPC_ATTACH_FRESH, 4, 7), RPC_ERROR_ENDED);
	fixture_restart(f, false);
	old = fixture_connect(f, "c", 7, 0x70);
	assert_int_equal(fixture_attach(f, old, RPC_ATTACH_RESUME, 4, 7), RPC_ERROR_ENDED);
	fixture_trace_is(f, "");
}

static void refused_fresh_ends_nothing(void **state)
{
	struct fixture *f = *state;
	struct policy_link *old = attached(f, "a", 7, 0x70, 2), *link;

	link = fixture_connect(f, "b", 7, 0x71);
	f->counter = 0;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, 5, 7), RPC_ERROR_POOL);
	fixture_trace_is(f, "");
	f->counter = 10;
	assert_int_equal(fixture_lease(f, old, 0), RPC_ERROR_NONE);
}

static void crash_while_ending(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, 4);
	struct policy_totals totals;

	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_NONE);
	f->memory[0] = 0xaa;
	link = fixture_connect(f, "b", 7, 0x71);
	f->counter = 0;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, 4, 7), RPC_ERROR_NONE);
	/* Nothing was zeroed yet; the next process knows. */
	fixture_restart(f, false);
	policy_totals(f->policy, &totals);
	assert_int_equal(totals.dirty, 1);
	assert_false(policy_turn(f->policy));
	fixture_trace_is(f, "zero 0;store 0=0;");
	assert_int_equal(f->memory[0], 0);
}

static void lease_zeroes_what_is_left(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, 4);

	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(fixture_lease(f, link, i), RPC_ERROR_NONE);
	memset(f->memory, 0xaa, sizeof(f->memory));
	link = attached(f, "b", 7, 0x71, 4);
	/* No idle time came: a lease zeroes the slot itself, before it is anyone's. */
	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_NONE);
	fixture_trace_is(f, "zero 0;store 0=1;expose 0;");
	assert_int_equal(f->memory[0], 0);
	fixture_restart(f, false);
	link = fixture_connect(f, "c", 7, 0x71);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 4, 7), RPC_ERROR_NONE);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(fixture_lease(f, link, i), RPC_ERROR_NONE);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(f->memory[i], 0);
}

static void attach_fences_older_queue_pairs(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, 4);

	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_NONE);
	fixture_connect(f, "b", 7, 0x70);
	link = fixture_connect(f, "c", 7, 0x70);
	fixture_connect(f, "d", 7, 0x70);
	fixture_connect(f, "e", 8, 0x70);
	fixture_trace_clear(f);
	f->counter = 0;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 4, 7), RPC_ERROR_NONE);
	/* Newest first; the younger one and another tenant's are left alone. */
	fixture_trace_is(f, "destroy b;destroy a;scratch;");
}

static void nothing_before_attach(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = fixture_connect(f, "a", 7, 0x70);
	struct rpc_list list = {be32_make(0), be32_make(0)};
	struct answer a;

	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_ATTACH);
	assert_int_equal(fixture_release(f, link, 0), RPC_ERROR_ATTACH);
	a = fixture_ask(f, link, RPC_LIST, &list, sizeof(list));
	assert_int_equal(fixture_error(&a), RPC_ERROR_ATTACH);
	a = fixture_ask(f, link, RPC_PING, NULL, 0);
	assert_int_equal(fixture_error(&a), RPC_ERROR_ATTACH);
	fixture_trace_is(f, "");
}

static void ping_is_answered(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, 1);
	struct answer a = fixture_ask(f, link, RPC_PING, NULL, 0);

	assert_int_equal(fixture_error(&a), RPC_ERROR_NONE);
	assert_int_equal(a.length, 0);
}

static void lease_is_durable_before_named(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, 4);
	struct rpc_index index = {be32_make(9), be32_make(0)};
	struct rpc_extent extent;
	struct answer a = fixture_ask(f, link, RPC_LEASE, &index, sizeof(index));

	assert_int_equal(fixture_error(&a), RPC_ERROR_NONE);
	assert_int_equal(a.length, sizeof(extent));
	memcpy(&extent, a.body, sizeof(extent));
	assert_int_equal(be32_get(extent.index), 9);
	assert_int_equal(be32_get(extent.state), RPC_EXTENT_HELD);
	assert_int_equal(be64_get(extent.address), 0x1000000);
	assert_int_equal(be32_get(extent.rkey), 0x100);
	fixture_trace_is(f, "store 0=1;expose 0;");
	/* Asked again: the same extent. */
	a = fixture_ask(f, link, RPC_LEASE, &index, sizeof(index));
	assert_memory_equal(a.body, &extent, sizeof(extent));
	fixture_trace_is(f, "");
}

static void lease_limits(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, 1);

	assert_int_equal(fixture_lease(f, link, 0xffffffff), RPC_ERROR_EXTENT);
	assert_int_equal(fixture_lease(f, link, 1u << 24), RPC_ERROR_EXTENT);
	assert_int_equal(fixture_release(f, link, 1u << 24), RPC_ERROR_EXTENT);
	assert_int_equal(fixture_lease(f, link, 3), RPC_ERROR_NONE);
	assert_int_equal(fixture_lease(f, link, 4), RPC_ERROR_EXTENT);
	f->expose_error = ENOMEM;
	assert_int_equal(fixture_release(f, link, 3), RPC_ERROR_NONE);
	assert_int_equal(fixture_lease(f, link, 4), RPC_ERROR_RESOURCES);
	f->expose_error = 0;
	assert_int_equal(fixture_lease(f, link, 4), RPC_ERROR_NONE);
}

static void store_failure_stops_leases_only(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, 4);

	f->store_errors = 1;
	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_STORE);
	fixture_trace_is(f, "");
	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_NONE);
	fixture_trace_clear(f);
	f->memory[0] = 0xaa;
	/* A release that cannot be recorded keeps content and lease. */
	f->store_errors = 1;
	assert_int_equal(fixture_release(f, link, 0), RPC_ERROR_STORE);
	fixture_trace_is(f, "conceal 0;");
	assert_int_equal(f->memory[0], 0xaa);
	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_NONE);
	fixture_trace_is(f, "store 0=1;expose 0;");
	/* A session that cannot be recorded does not begin, one that cannot be ended does not. */
	f->store_errors = 1;
	link = fixture_connect(f, "b", 7, 0x71);
	f->counter = 0;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, 4, 7), RPC_ERROR_STORE);
	link = fixture_connect(f, "c", 7, 0x70);
	f->counter = 0;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 4, 7), RPC_ERROR_NONE);
	f->store_errors = 1;
	link = fixture_connect(f, "d", 8, 0x80);
	f->counter = 0;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 4, 8), RPC_ERROR_UNKNOWN);
}

/*
 * A lease's record arrives although its store failed, and another slot comes free before the lease
 * is asked for again: two records must never name one extent.
 */
static void torn_lease(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, 2), *other;

	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_NONE);
	assert_int_equal(fixture_lease(f, link, 1), RPC_ERROR_NONE);
	other = attached(f, "b", 8, 0x80, 2);
	assert_int_equal(fixture_lease(f, other, 0), RPC_ERROR_NONE);
	assert_int_equal(fixture_lease(f, other, 1), RPC_ERROR_NONE);
	/* Nothing is free but what an ended session left. */
	link = attached(f, "c", 7, 0x71, 2);
	f->store_errors = 1;
	f->store_tears = true;
	assert_int_equal(fixture_lease(f, link, 5), RPC_ERROR_STORE);
	f->counter = 100;
	assert_int_equal(fixture_release(f, other, 0), RPC_ERROR_NONE);
	fixture_trace_clear(f);
	assert_int_equal(fixture_lease(f, link, 5), RPC_ERROR_NONE);
	fixture_trace_is(f, "zero 0;store 0=1;expose 0;");
	fixture_restart(f, false);
	link = fixture_connect(f, "z", 7, 0x71);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 2, 7), RPC_ERROR_NONE);
	fixture_trace_clear(f);
	assert_int_equal(fixture_lease(f, link, 5), RPC_ERROR_NONE);
	fixture_trace_is(f, "expose 0;");
}

/* The same for a session. */
static void torn_session(void **state)
{
	struct fixture *f = *state;
	struct policy_session_info info;
	struct policy_link *link;

	attached(f, "a", 8, 0x80, 1);
	link = fixture_connect(f, "b", 7, 0x70);
	f->counter = 0;
	f->store_errors = 1;
	f->store_tears = true;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, 1, 7), RPC_ERROR_STORE);
	assert_int_equal(policy_forget(f->policy, 8), 0);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, 1, 7), RPC_ERROR_NONE);
	fixture_restart(f, false);
	assert_true(policy_session(f->policy, 0, &info));
	assert_int_equal(info.tenant, 7);
	assert_false(policy_session(f->policy, 1, &info));
}

/* A release that was refused for its store leaves an extent whose record must be made good. */
static void torn_release(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, 1);

	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_NONE);
	f->memory[0] = 0xaa;
	f->store_errors = 2;
	f->store_tears = true;
	assert_int_equal(fixture_release(f, link, 0), RPC_ERROR_STORE);
	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_STORE);
	fixture_trace_clear(f);
	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_NONE);
	fixture_trace_is(f, "store 0=1;expose 0;");
	fixture_restart(f, false);
	assert_false(policy_turn(f->policy));
	assert_int_equal(f->memory[0], 0xaa);
}

static void release_order(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, 4);
	struct policy_totals totals;

	assert_int_equal(fixture_lease(f, link, 2), RPC_ERROR_NONE);
	f->memory[0] = 0xaa;
	fixture_trace_clear(f);
	assert_int_equal(fixture_release(f, link, 2), RPC_ERROR_NONE);
	fixture_trace_is(f, "conceal 0;store 0=2;zero 0;store 0=0;");
	assert_int_equal(fixture_release(f, link, 2), RPC_ERROR_NONE);
	fixture_trace_is(f, "");
	policy_totals(f->policy, &totals);
	assert_int_equal(totals.leased, 0);
	assert_int_equal(totals.promised, 4);
	assert_int_equal(totals.releases, 1);
}

/* Reads a session's whole list; states[i] is the state of index i. */
static unsigned list_all(struct fixture *f, struct policy_link *link, uint32_t *states, size_t size)
{
	struct rpc_list list = {be32_make(0), be32_make(0)};
	struct rpc_listed listed;
	struct rpc_extent extent;
	unsigned total = 0, pages = 0;
	int64_t last = -1;

	do {
		struct answer a = fixture_ask(f, link, RPC_LIST, &list, sizeof(list));

		assert_int_equal(fixture_error(&a), RPC_ERROR_NONE);
		memcpy(&listed, a.body, sizeof(listed));
		assert_int_equal(
			a.length, sizeof(listed) + be32_get(listed.count) * sizeof(extent));
		for (uint32_t i = 0; i < be32_get(listed.count); i++) {
			memcpy(&extent, &a.body[sizeof(listed) + i * sizeof(extent)],
				sizeof(extent));
			assert_true(be32_get(extent.index) > last);
			last = be32_get(extent.index);
			if (last < (int64_t)size)
				states[last] = be32_get(extent.state);
			total++;
		}
		list.first = listed.next;
		assert_true(++pages < 100);
	} while (be32_get(listed.next) != RPC_LIST_END);
	return total;
}

/* The record "to be zeroed" reaches the disk, "free" does not, and then the server crashes. */
static void slot_to_be_zeroed_at_start(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, 4);
	uint32_t states[16] = {0};
	struct policy_totals totals;

	assert_int_equal(fixture_lease(f, link, 2), RPC_ERROR_NONE);
	f->memory[0] = 0xaa;
	f->stores_good = 1;
	f->store_errors = 1;
	assert_int_equal(fixture_release(f, link, 2), RPC_ERROR_NONE);
	policy_totals(f->policy, &totals);
	assert_int_equal(totals.dirty, 1);
	f->memory[0] = 0xaa; /* the zeros did not get there either */
	fixture_restart(f, false);
	policy_totals(f->policy, &totals);
	assert_int_equal(totals.dirty, 1);
	link = fixture_connect(f, "b", 7, 0x70);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 4, 7), RPC_ERROR_NONE);
	assert_int_equal(list_all(f, link, states, 16), 0);
	fixture_trace_clear(f);
	assert_false(policy_turn(f->policy));
	fixture_trace_is(f, "zero 0;store 0=0;");
	assert_int_equal(f->memory[0], 0);
}

static void list_is_sorted(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, 4);
	uint32_t states[16] = {0};

	assert_int_equal(list_all(f, link, states, 16), 0);
	assert_int_equal(fixture_lease(f, link, 9), RPC_ERROR_NONE);
	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_NONE);
	assert_int_equal(fixture_lease(f, link, 4), RPC_ERROR_NONE);
	assert_int_equal(list_all(f, link, states, 16), 3);
	assert_int_equal(states[0], RPC_EXTENT_HELD);
	assert_int_equal(states[4], RPC_EXTENT_HELD);
	assert_int_equal(states[9], RPC_EXTENT_HELD);
}

static void restart_keeps_everything(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, 4);
	uint32_t states[16] = {0};

	assert_int_equal(fixture_lease(f, link, 3), RPC_ERROR_NONE);
	f->memory[0] = 0xaa;
	fixture_restart(f, false);
	fixture_trace_is(f, "");
	link = fixture_connect(f, "b", 7, 0x70);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 4, 7), RPC_ERROR_NONE);
	assert_int_equal(list_all(f, link, states, 16), 1);
	assert_int_equal(states[3], RPC_EXTENT_HELD);
	assert_int_equal(f->memory[0], 0xaa);
	fixture_trace_is(f, "scratch;expose 0;");
}

static void session_without_extents_survives(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link;

	attached(f, "a", 7, 0x70, 4);
	fixture_restart(f, false);
	link = fixture_connect(f, "b", 7, 0x70);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 4, 7), RPC_ERROR_NONE);
	/* And so does its promise. */
	link = fixture_connect(f, "c", 8, 0x80);
	f->counter = 0;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, 1, 8), RPC_ERROR_POOL);
}

static void reboot_loses_extents(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, 2);
	uint32_t states[16] = {0};
	struct policy_totals totals;

	assert_int_equal(fixture_lease(f, link, 3), RPC_ERROR_NONE);
	fixture_restart(f, true);
	fixture_trace_is(f, "store 0=3;store header;");
	/* Another restart, now with the same pool, must not make zeros of them. */
	fixture_restart(f, false);
	link = fixture_connect(f, "b", 7, 0x70);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 2, 7), RPC_ERROR_NONE);
	assert_int_equal(list_all(f, link, states, 16), 1);
	assert_int_equal(states[3], RPC_EXTENT_LOST);
	assert_int_equal(fixture_lease(f, link, 3), RPC_ERROR_LOST);
	policy_totals(f->policy, &totals);
	assert_int_equal(totals.lost, 1);
	assert_int_equal(totals.leased, 0);
	/* Other extents can be had, and a lost one can be given back and leased anew. */
	assert_int_equal(fixture_lease(f, link, 4), RPC_ERROR_NONE);
	assert_int_equal(fixture_release(f, link, 3), RPC_ERROR_NONE);
	assert_int_equal(fixture_lease(f, link, 3), RPC_ERROR_NONE);
	policy_totals(f->policy, &totals);
	assert_int_equal(totals.lost, 0);
	assert_int_equal(totals.leased, 2);
}

static void crash_while_recording_losses(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, 2);
	uint8_t header[POLICY_RECORD_SIZE];
	uint32_t states[16] = {0};

	assert_int_equal(fixture_lease(f, link, 3), RPC_ERROR_NONE);
	assert_int_equal(fixture_lease(f, link, 4), RPC_ERROR_NONE);
	memcpy(header, f->store[0], sizeof(header));
	fixture_restart(f, true);
	memcpy(f->store[0], header, sizeof(header)); /* the last store had not arrived */
	fixture_restart(f, false);
	link = fixture_connect(f, "b", 7, 0x70);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 2, 7), RPC_ERROR_NONE);
	assert_int_equal(list_all(f, link, states, 16), 2);
	assert_int_equal(states[3], RPC_EXTENT_LOST);
	assert_int_equal(states[4], RPC_EXTENT_LOST);
}

static void smaller_pool_loses_its_tail(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, 4);
	uint32_t states[16] = {0};

	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(fixture_lease(f, link, i), RPC_ERROR_NONE);
	f->config.slots = 2;
	fixture_restart(f, false);
	link = fixture_connect(f, "b", 7, 0x70);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 4, 7), RPC_ERROR_NONE);
	assert_int_equal(list_all(f, link, states, 16), 4);
	assert_int_equal(states[1], RPC_EXTENT_HELD);
	assert_int_equal(states[2], RPC_EXTENT_LOST);
	assert_int_equal(fixture_release(f, link, 3), RPC_ERROR_NONE);
	assert_int_equal(fixture_lease(f, link, 3), RPC_ERROR_POOL);
	assert_int_equal(policy_forget(f->policy, 7), 0);
	link = attached(f, "c", 8, 0x80, 2);
	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_NONE);
	assert_int_equal(fixture_lease(f, link, 1), RPC_ERROR_NONE);
}

/* At once for everybody outside; the slots are zeroed in the server's own time. */
static void forget_frees_everything(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, 4);
	struct policy_session_info info;

	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_NONE);
	assert_int_equal(fixture_lease(f, link, 1), RPC_ERROR_NONE);
	f->memory[0] = 0xaa;
	f->memory[1] = 0xbb;
	fixture_trace_clear(f);
	assert_int_equal(policy_forget(f->policy, 8), ENOENT);
	f->store_errors = 1;
	assert_int_equal(policy_forget(f->policy, 7), ENOSPC);
	fixture_trace_is(f, "destroy a;conceal 0;conceal 1;");
	assert_true(policy_session(f->policy, 0, &info));
	assert_int_equal(policy_forget(f->policy, 7), 0);
	fixture_trace_is(f, "store session;end 70;");
	assert_false(policy_session(f->policy, 0, &info));
	assert_int_equal(policy_forget(f->policy, 7), ENOENT);
	link = fixture_connect(f, "b", 7, 0x70);
	f->counter = 0;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 4, 7), RPC_ERROR_UNKNOWN);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, 4, 7), RPC_ERROR_RESOURCES);
	/* Neither its promise nor its domain is in anybody's way. */
	link = fixture_connect(f, "c", 7, 0x71);
	f->counter = 0;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, 4, 99), RPC_ERROR_NONE);
	fixture_trace_clear(f);
	assert_true(policy_turn(f->policy));
	fixture_trace_is(f, "zero 0;store 0=0;");
	assert_false(policy_turn(f->policy));
	fixture_trace_is(f, "zero 1;store 1=0;store session;");
	assert_int_equal(f->memory[0] | f->memory[1], 0);
	assert_false(policy_turn(f->policy));
	fixture_trace_is(f, "");
	link = fixture_connect(f, "d", 8, 0x70);
	f->counter = 0;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 4, 7), RPC_ERROR_UNKNOWN);
}

static void forgotten_stays_so_over_a_crash(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, 4);
	struct policy_session_info info;

	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_NONE);
	f->memory[0] = 0xaa;
	assert_int_equal(policy_forget(f->policy, 7), 0);
	fixture_restart(f, false);
	assert_false(policy_session(f->policy, 0, &info));
	link = fixture_connect(f, "b", 7, 0x70);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 4, 7), RPC_ERROR_UNKNOWN);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, 4, 99), RPC_ERROR_RESOURCES);
	fixture_trace_clear(f);
	/* A store that fails leaves the record for a later turn. */
	f->stores_good = 1;
	f->store_errors = 1;
	assert_false(policy_turn(f->policy));
	fixture_trace_is(f, "zero 0;store 0=0;");
	assert_false(policy_turn(f->policy));
	fixture_trace_is(f, "store session;");
	assert_int_equal(f->memory[0], 0);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, 4, 99), RPC_ERROR_NONE);
	fixture_restart(f, false);
	assert_true(policy_session(f->policy, 0, &info));
	assert_false(policy_session(f->policy, 1, &info));
}

/* Who leases the last slot of a forgotten session zeroes it too. */
static void forgotten_slots_are_leased_again(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, FIXTURE_SLOTS);

	for (uint32_t i = 0; i < FIXTURE_SLOTS; i++) {
		assert_int_equal(fixture_lease(f, link, i), RPC_ERROR_NONE);
		f->memory[i] = 0xaa;
	}
	assert_int_equal(policy_forget(f->policy, 7), 0);
	link = attached(f, "b", 8, 0x80, FIXTURE_SLOTS);
	for (uint32_t i = 0; i < FIXTURE_SLOTS; i++) {
		assert_int_equal(fixture_lease(f, link, i), RPC_ERROR_NONE);
		assert_int_equal(f->memory[i], 0);
	}
	fixture_trace_clear(f);
	assert_false(policy_turn(f->policy));
	fixture_trace_is(f, "store session;");
}

static void ended_sessions_make_room(void **state)
{
	struct fixture *f = *state;
	struct policy_session_info info;
	struct policy_link *link;
	unsigned known = 0;

	link = attached(f, "a", 7, 1, 4);
	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_NONE);
	for (uint64_t i = 2; i <= 2 * POLICY_SESSIONS; i++)
		attached(f, "a", 7, i, 4);
	while (policy_session(f->policy, known, &info))
		known++;
	assert_int_equal(known, POLICY_SESSIONS);
	/* The first left an extent that is not zeroed yet, so its record had to stay. */
	link = fixture_connect(f, "b", 7, 1);
	f->counter = 0;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 4, 7), RPC_ERROR_ENDED);
	link = fixture_connect(f, "b", 7, 2);
	f->counter = 0;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 4, 7), RPC_ERROR_UNKNOWN);
	/* The youngest ended ones are still known as ended; the live one is alive. */
	link = fixture_connect(f, "b", 7, 2 * POLICY_SESSIONS - 1);
	f->counter = 0;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 4, 7), RPC_ERROR_ENDED);
	link = fixture_connect(f, "c", 7, 2 * POLICY_SESSIONS);
	f->counter = 0;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 4, 7), RPC_ERROR_NONE);
}

static void too_many_sessions(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link;

	f->config.overcommit = true;
	fixture_restart(f, false);
	for (uint64_t i = 1; i <= POLICY_SESSIONS; i++)
		attached(f, "a", i, 1, 1);
	link = fixture_connect(f, "b", 5000, 1);
	f->counter = 0;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, 1, 1), RPC_ERROR_RESOURCES);
}

static void session_info_tells(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, 4);
	struct policy_session_info info;

	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_NONE);
	assert_true(policy_session(f->policy, 0, &info));
	assert_int_equal(info.tenant, 7);
	assert_int_equal(info.session, 0x70);
	assert_int_equal(info.domain[0], 7);
	assert_int_equal(info.promised, 4);
	assert_int_equal(info.held, 1);
	assert_true(info.connected);
	assert_false(info.ended);
	policy_unlinked(f->policy, link);
	assert_true(policy_session(f->policy, 0, &info));
	assert_false(info.connected);
	assert_false(policy_session(f->policy, 1, &info));
}

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
	struct policy_link *link = attached(f, "a", 7, 0x70, 4);
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

static void store_nonsense_is_refused(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = attached(f, "a", 7, 0x70, 4);
	const uint64_t session = policy_record_place(POLICY_RECORD_SESSION);
	const uint64_t slot = policy_record_place(0);
	uint8_t record[POLICY_RECORD_SIZE];

	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_NONE);
	fixture_stop(f);
	f->policy = policy_new(&f->config, &(struct policy_ops){0}, f);
	/* No header, wrong place, wrong length, any flipped bit. */
	assert_int_equal(policy_load(f->policy, 0, f->store[slot], 64), EBADMSG);
	assert_int_equal(policy_load(f->policy, POLICY_RECORD_HEADER, f->store[0], 63), EBADMSG);
	assert_int_equal(policy_load(f->policy, POLICY_RECORD_HEADER, f->store[0], 64), 0);
	assert_int_equal(policy_load(f->policy, 1, f->store[slot], 64), EBADMSG);
	assert_int_equal(policy_load(f->policy, 0, f->store[session], 64), EBADMSG);
	for (unsigned bit = 0; bit < 8 * POLICY_RECORD_SIZE; bit++) {
		memcpy(record, f->store[session], sizeof(record));
		record[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		assert_int_equal(
			policy_load(f->policy, POLICY_RECORD_SESSION, record, 64), EBADMSG);
	}
	assert_int_equal(policy_load(f->policy, POLICY_RECORD_SESSION, f->store[session], 64), 0);
	assert_int_equal(
		policy_load(f->policy, POLICY_RECORD_SESSION, f->store[session], 64), EBADMSG);
	assert_int_equal(policy_load(f->policy, 0, f->store[slot], 64), 0);
	assert_int_equal(policy_load(f->policy, 0, f->store[slot], 64), EBADMSG);
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

#define FUZZ_LINKS 6u

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
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(hello_is_checked),
		TEST(versions_are_negotiated),
		TEST(links_are_bounded),
		TEST(attach_fresh),
		TEST(attach_is_checked),
		TEST(promise_names_numbers),
		TEST(quota_names_numbers),
		TEST(overcommit_promises_more),
		TEST(tenant_belongs_to_one_domain),
		TEST(fresh_ends_older_sessions),
		TEST(refused_fresh_ends_nothing),
		TEST(crash_while_ending),
		TEST(lease_zeroes_what_is_left),
		TEST(attach_fences_older_queue_pairs),
		TEST(nothing_before_attach),
		TEST(ping_is_answered),
		TEST(lease_is_durable_before_named),
		TEST(lease_limits),
		TEST(store_failure_stops_leases_only),
		TEST(torn_lease),
		TEST(torn_session),
		TEST(torn_release),
		TEST(release_order),
		TEST(slot_to_be_zeroed_at_start),
		TEST(list_is_sorted),
		TEST(restart_keeps_everything),
		TEST(session_without_extents_survives),
		TEST(reboot_loses_extents),
		TEST(crash_while_recording_losses),
		TEST(smaller_pool_loses_its_tail),
		TEST(forget_frees_everything),
		TEST(forgotten_stays_so_over_a_crash),
		TEST(forgotten_slots_are_leased_again),
		TEST(ended_sessions_make_room),
		TEST(too_many_sessions),
		TEST(session_info_tells),
		TEST(messages_are_checked),
		TEST(store_nonsense_is_refused),
		TEST(fuzz_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
