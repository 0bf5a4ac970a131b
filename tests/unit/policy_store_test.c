/* SPDX-License-Identifier: MIT */
/* The memory server's store: failed and torn writes, crashes, restarts, and what is forgotten. */
#include <errno.h>
#include "tests/unit/policy_fixture.h"

static void store_failure_stops_leases_only(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 4);

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
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 2), *other;

	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_NONE);
	assert_int_equal(fixture_lease(f, link, 1), RPC_ERROR_NONE);
	other = fixture_attached(f, "b", 8, 0x80, 2);
	assert_int_equal(fixture_lease(f, other, 0), RPC_ERROR_NONE);
	assert_int_equal(fixture_lease(f, other, 1), RPC_ERROR_NONE);
	/* Nothing is free but what an ended session left. */
	link = fixture_attached(f, "c", 7, 0x71, 2);
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

	fixture_attached(f, "a", 8, 0x80, 1);
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
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 1);

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

/* The record "to be zeroed" reaches the disk, "free" does not, and then the server crashes. */
static void slot_to_be_zeroed_at_start(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 4);
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
	assert_int_equal(fixture_list(f, link, states, 16), 0);
	fixture_trace_clear(f);
	assert_false(policy_turn(f->policy));
	fixture_trace_is(f, "zero 0;store 0=0;");
	assert_int_equal(f->memory[0], 0);
}

static void restart_keeps_everything(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 4);
	uint32_t states[16] = {0};

	assert_int_equal(fixture_lease(f, link, 3), RPC_ERROR_NONE);
	f->memory[0] = 0xaa;
	fixture_restart(f, false);
	fixture_trace_is(f, "");
	link = fixture_connect(f, "b", 7, 0x70);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 4, 7), RPC_ERROR_NONE);
	assert_int_equal(fixture_list(f, link, states, 16), 1);
	assert_int_equal(states[3], RPC_EXTENT_HELD);
	assert_int_equal(f->memory[0], 0xaa);
	fixture_trace_is(f, "scratch;expose 0;");
}

static void session_without_extents_survives(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link;

	fixture_attached(f, "a", 7, 0x70, 4);
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
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 2);
	uint32_t states[16] = {0};
	struct policy_totals totals;

	assert_int_equal(fixture_lease(f, link, 3), RPC_ERROR_NONE);
	fixture_restart(f, true);
	fixture_trace_is(f, "store 0=3;store header;");
	/* Another restart, now with the same pool, must not make zeros of them. */
	fixture_restart(f, false);
	link = fixture_connect(f, "b", 7, 0x70);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 2, 7), RPC_ERROR_NONE);
	assert_int_equal(fixture_list(f, link, states, 16), 1);
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
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 2);
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
	assert_int_equal(fixture_list(f, link, states, 16), 2);
	assert_int_equal(states[3], RPC_EXTENT_LOST);
	assert_int_equal(states[4], RPC_EXTENT_LOST);
}

static void smaller_pool_loses_its_tail(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 4);
	uint32_t states[16] = {0};

	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(fixture_lease(f, link, i), RPC_ERROR_NONE);
	f->config.slots = 2;
	fixture_restart(f, false);
	link = fixture_connect(f, "b", 7, 0x70);
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_RESUME, 4, 7), RPC_ERROR_NONE);
	assert_int_equal(fixture_list(f, link, states, 16), 4);
	assert_int_equal(states[1], RPC_EXTENT_HELD);
	assert_int_equal(states[2], RPC_EXTENT_LOST);
	assert_int_equal(fixture_release(f, link, 3), RPC_ERROR_NONE);
	assert_int_equal(fixture_lease(f, link, 3), RPC_ERROR_POOL);
	assert_int_equal(policy_forget(f->policy, 7), 0);
	link = fixture_attached(f, "c", 8, 0x80, 2);
	assert_int_equal(fixture_lease(f, link, 0), RPC_ERROR_NONE);
	assert_int_equal(fixture_lease(f, link, 1), RPC_ERROR_NONE);
}

/* At once for everybody outside; the slots are zeroed in the server's own time. */
static void forget_frees_everything(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 4);
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
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 4);
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
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, FIXTURE_SLOTS);

	for (uint32_t i = 0; i < FIXTURE_SLOTS; i++) {
		assert_int_equal(fixture_lease(f, link, i), RPC_ERROR_NONE);
		f->memory[i] = 0xaa;
	}
	assert_int_equal(policy_forget(f->policy, 7), 0);
	link = fixture_attached(f, "b", 8, 0x80, FIXTURE_SLOTS);
	for (uint32_t i = 0; i < FIXTURE_SLOTS; i++) {
		assert_int_equal(fixture_lease(f, link, i), RPC_ERROR_NONE);
		assert_int_equal(f->memory[i], 0);
	}
	fixture_trace_clear(f);
	assert_false(policy_turn(f->policy));
	fixture_trace_is(f, "store session;");
}

static void store_nonsense_is_refused(void **state)
{
	struct fixture *f = *state;
	struct policy_link *link = fixture_attached(f, "a", 7, 0x70, 4);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixture_test(store_failure_stops_leases_only),
		fixture_test(torn_lease),
		fixture_test(torn_session),
		fixture_test(torn_release),
		fixture_test(slot_to_be_zeroed_at_start),
		fixture_test(restart_keeps_everything),
		fixture_test(session_without_extents_survives),
		fixture_test(reboot_loses_extents),
		fixture_test(crash_while_recording_losses),
		fixture_test(smaller_pool_loses_its_tail),
		fixture_test(forget_frees_everything),
		fixture_test(forgotten_stays_so_over_a_crash),
		fixture_test(forgotten_slots_are_leased_again),
		fixture_test(store_nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
