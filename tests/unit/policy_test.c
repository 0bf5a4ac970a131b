/* SPDX-License-Identifier: MIT */
/* Every rule and every error of the memory server's policy: sessions, promises, leases. */
#include <errno.h>
#include "tests/unit/policy_fixture.h"

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
	fixture_attached(f, "b", 8, 0x80, 3);
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
	link = fixture_attached(f, "a", 7, 0x70, 100);
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

	fixture_attached(f, "a", 7, 0x70, 2);
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
	struct policy_link *old = fixture_attached(f, "a", 7, 0x70, 4), *link;

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
	struct policy_link *old = fixture_attached(f, "a", 7, 0x70, 2), *link;

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
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 4);
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
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 4);

	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(fixture_lease(f, link, i), RPC_ERROR_NONE);
	memset(f->memory, 0xaa, sizeof(f->memory));
	link = fixture_attached(f, "b", 7, 0x71, 4);
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
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 4);

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
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 1);
	struct answer a = fixture_ask(f, link, RPC_PING, NULL, 0);

	assert_int_equal(fixture_error(&a), RPC_ERROR_NONE);
	assert_int_equal(a.length, 0);
}

static void lease_is_durable_before_named(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 4);
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
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 1);

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

static void release_order(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 4);
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

static void list_is_sorted(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 4);
	uint32_t states[16] = {0};

	assert_int_equal(fixture_list(f, link, states, 16), 0);
	assert_int_equal(fixture_lease(f, link, 9), RPC_ERROR_NONE);
	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_NONE);
	assert_int_equal(fixture_lease(f, link, 4), RPC_ERROR_NONE);
	assert_int_equal(fixture_list(f, link, states, 16), 3);
	assert_int_equal(states[0], RPC_EXTENT_HELD);
	assert_int_equal(states[4], RPC_EXTENT_HELD);
	assert_int_equal(states[9], RPC_EXTENT_HELD);
}

static void ended_sessions_make_room(void **state)
{
	struct fixture *f = *state;
	struct policy_session_info info;
	struct policy_link *link;
	unsigned known = 0;

	link = fixture_attached(f, "a", 7, 1, 4);
	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_NONE);
	for (uint64_t i = 2; i <= 2 * POLICY_SESSIONS; i++)
		fixture_attached(f, "a", 7, i, 4);
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
		fixture_attached(f, "a", i, 1, 1);
	link = fixture_connect(f, "b", 5000, 1);
	f->counter = 0;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, 1, 1), RPC_ERROR_RESOURCES);
}

static void session_info_tells(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 4);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(hello_is_checked),
		fixture_test(versions_are_negotiated),
		fixture_test(links_are_bounded),
		fixture_test(attach_fresh),
		fixture_test(attach_is_checked),
		fixture_test(promise_names_numbers),
		fixture_test(quota_names_numbers),
		fixture_test(overcommit_promises_more),
		fixture_test(tenant_belongs_to_one_domain),
		fixture_test(fresh_ends_older_sessions),
		fixture_test(refused_fresh_ends_nothing),
		fixture_test(crash_while_ending),
		fixture_test(lease_zeroes_what_is_left),
		fixture_test(attach_fences_older_queue_pairs),
		fixture_test(nothing_before_attach),
		fixture_test(ping_is_answered),
		fixture_test(lease_is_durable_before_named),
		fixture_test(lease_limits),
		fixture_test(release_order),
		fixture_test(list_is_sorted),
		fixture_test(ended_sessions_make_room),
		fixture_test(too_many_sessions),
		fixture_test(session_info_tells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
