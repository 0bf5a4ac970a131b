/* SPDX-License-Identifier: MIT */
/* The engine and its servers: refused, slow, lost, away, back; leases, and what a guest is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "far/pcache.h"
#include "tests/host/host.h"
#include "tests/unit/far_fixture.h"

static void lost_write_is_sent_again(void **state)
{
	uint32_t writes;

	fixture_make_writing(0x42);
	writes = fixture.session.writes;
	fixture_lose();
	fixture_turns(3);
	assert_int_equal(fixture_state(0), PAGE_VICTIM_DIRTY);
	assert_int_equal(fixture.session.writes, writes);
	fixture.session.ready = true;
	far_session_events.extent(fixture.far, 0, 0, RPC_EXTENT_HELD, 0x7000000000ull, 78);
	fixture_ready();
	fixture_turns(1);
	assert_true(fixture.session.writes > writes);
	assert_true(far_counters(fixture.far)->writeback_retries > 0);
	fixture_answer_writes(SESSION_OK);
	assert_int_equal(fixture_state(0), PAGE_VICTIM_CLEAN);
}

static void lost_write_of_a_changed_page_is_not_sent_again(void **state)
{
	fixture_make_writing(0x42);
	fixture_lose();
	fixture_touch(1, 0, true);
	fixture_poke(0, 0x43);
	far_session_events.extent(fixture.far, 0, 0, RPC_EXTENT_HELD, 0x7000000000ull, 78);
	fixture_ready();
	fixture_turns(2);
	assert_int_equal(fixture.far->server[0].lost, 0);
	assert_int_equal(fixture_state(0), PAGE_RESIDENT);
}

static void refused_lease_stalls_first_touches(void **state)
{
	struct far_stall stall;

	fixture_touch(0, 0, true);
	fixture_turns(1);
	far_session_events.lease_refused(fixture.far, 0, 0, RPC_ERROR_POOL);
	assert_false(fixture_fault(0, 1, false));
	far_stall(fixture.far, &stall);
	assert_true(stall.stalled && !stall.hold);
	assert_string_equal(stall.reason, "pool full");
	fixture_turns(300);
	assert_int_equal(fixture.session.leases, 2);
	fixture_grant();
	fixture_turns(1);
	fixture_resume(0);
	far_stall(fixture.far, &stall);
	assert_false(stall.stalled);
}

static void few_pages_without_a_lease(void **state)
{
	struct far_stall stall;
	uint32_t page = 0;

	while (page < 200 && fixture_fault(0, page, true)) {
		fixture_resume(0);
		page++;
	}
	assert_int_equal(page, fixture.far->low);
	fixture_turns(1);
	far_stall(fixture.far, &stall);
	assert_false(stall.stalled);
	fixture_turns(260);
	far_stall(fixture.far, &stall);
	assert_string_equal(stall.reason, "server slow");
	fixture_grant();
	fixture_turns(1);
	fixture_resume(0);
	assert_int_equal(fixture.far->unleased, 0);
}

static void absent_server_stalls_and_is_waited_for(void **state)
{
	struct far_stall stall;

	fixture_make_remote(0x55);
	fixture_lose();
	assert_false(fixture_fault(0, 0, false));
	far_stall(fixture.far, &stall);
	assert_true(stall.stalled && !stall.hold);
	assert_string_equal(stall.reason, "server away");
	fixture_turns(5001);
	far_stall(fixture.far, &stall);
	assert_true(stall.hold);
	assert_true(far_deadline(fixture.far) > fixture.far->now);
	fixture.session.ready = true;
	far_session_events.extent(fixture.far, 0, 0, RPC_EXTENT_HELD, 0x7000000000ull, 79);
	fixture_ready();
	fixture_turns(1);
	fixture_answer_reads(SESSION_OK);
	fixture_resume(0);
	assert_int_equal(fixture_peek(0), 0x55);
}

static void silent_read_is_given_up(void **state)
{
	struct far_stall stall;

	fixture_make_remote(0x56);
	fixture_fault(0, 0, false);
	fixture_turns(240);
	far_stall(fixture.far, &stall);
	assert_false(stall.stalled);
	assert_true(far_deadline(fixture.far) <= fixture.now + 20000000);
	fixture_turns(20);
	far_stall(fixture.far, &stall);
	assert_true(stall.stalled);
	assert_string_equal(stall.reason, "server slow");
	/* A slow answer is still the answer: asked anew it would be as slow again. */
	assert_int_equal(fixture.session.abandoned, 0);
	fixture_turns(1750);
	assert_int_equal(fixture.session.abandoned, 1);
	fixture_turns(1);
	fixture_answer_reads(SESSION_OK);
	fixture_resume(0);
	assert_int_equal(fixture_peek(0), 0x56);
}

static void slow_answer_is_taken(void **state)
{
	struct far_stall stall;
	uint32_t reads;

	fixture_make_remote(0x61);
	reads = fixture.session.reads;
	fixture_fault(0, 0, false);
	fixture_turns(1900);
	assert_int_equal(fixture.session.reads, reads + 1);
	fixture_answer_reads(SESSION_OK);
	fixture_resume(0);
	assert_int_equal(fixture_peek(0), 0x61);
	far_stall(fixture.far, &stall);
	assert_false(stall.stalled);
}

/* The server goes away while the READ is under way, not before the fault. */
static void server_lost_under_a_read_stalls(void **state)
{
	struct far_stall stall;

	fixture_make_remote(0x62);
	fixture_fault(0, 0, false);
	fixture_lose();
	fixture_turns(1);
	far_stall(fixture.far, &stall);
	assert_true(stall.stalled && !stall.hold);
	assert_string_equal(stall.reason, "server away");
	fixture_turns(5001);
	far_stall(fixture.far, &stall);
	assert_true(stall.hold);
}

/* Pages 0.. dirty, the others clean, until no frame is left; no WRITE is answered. */
static void use_all_frames(uint32_t dirty)
{
	uint32_t page = 0;

	fixture_touch(0, 0, true);
	fixture_poke(0, 1);
	fixture_turns(1);
	fixture_grant();
	while (page++ < 400 && fixture_fault(0, page, page < dirty)) {
		fixture_resume(0);
		if (page < dirty)
			fixture_poke(page, page + 1);
		fixture_turns(1);
	}
	assert_in_range(page, 1, 399);
	assert_int_equal(fixture.far->waiter[0].wait, WAIT_FRAME);
}

static void fault_without_a_frame_stalls(void **state)
{
	struct far_stall stall;

	use_all_frames(400);
	fixture_turns(100);
	far_stall(fixture.far, &stall);
	assert_false(stall.stalled);
	fixture_turns(200);
	far_stall(fixture.far, &stall);
	assert_string_equal(stall.reason, "server slow");
	fixture_lose();
	fixture_turns(1);
	far_stall(fixture.far, &stall);
	assert_string_equal(stall.reason, "server away");
	fixture_turns(5001);
	far_stall(fixture.far, &stall);
	assert_true(stall.hold);
}

static void hung_writes_do_not_stop_reclaim(void **state)
{
	use_all_frames(40);
	assert_true(pcache_coming(fixture.far) >= fixture.far->low);
	fixture_turns(30);
	assert_true(fixture_done(0));
}

static void a_pause_is_nobodys_silence(void **state)
{
	fixture_make_remote(0x57);
	fixture_fault(0, 0, false);
	fixture.now += 3000000000ull;
	fixture_turns(1);
	assert_int_equal(fixture.session.abandoned, 0);
	fixture_answer_reads(SESSION_OK);
	fixture_resume(0);
}

static void lost_extent_with_remote_pages_stops_the_guest(void **state)
{
	fixture_make_remote(0x58);
	fixture_lose();
	assert_true(host_expect_panic(
		far_session_events.extent(fixture.far, 0, 0, RPC_EXTENT_LOST, 0, 0)));
	assert_int_equal(host_panic_kind(), HOST_PANIC_GUEST);
	assert_non_null(strstr(host_panic_text(), "m0"));
	assert_non_null(strstr(host_panic_text(), "extent 0"));
}

static void unnamed_extent_is_lost(void **state)
{
	fixture_make_remote(0x59);
	fixture_lose();
	fixture.session.ready = true;
	assert_true(host_expect_panic(fixture_ready()));
	assert_int_equal(host_panic_kind(), HOST_PANIC_GUEST);
}

static void named_in_a_failed_attach_is_not_held(void **state)
{
	fixture_make_remote(0x59);
	fixture_lose();
	far_session_events.extent(fixture.far, 0, 0, RPC_EXTENT_HELD, 0x7000000000ull, 80);
	far_session_events.lost(fixture.far, 0, fixture.now);
	fixture.session.ready = true;
	assert_true(host_expect_panic(fixture_ready()));
	assert_int_equal(host_panic_kind(), HOST_PANIC_GUEST);
}

static void lost_extent_with_everything_here_is_written_anew(void **state)
{
	fixture_make_writing(0x60);
	fixture_answer_writes(SESSION_OK);
	assert_int_equal(fixture_state(0), PAGE_VICTIM_CLEAN);
	fixture_lose();
	far_session_events.extent(fixture.far, 0, 0, RPC_EXTENT_LOST, 0, 0);
	fixture.session.ready = true;
	fixture_ready();
	assert_int_equal(fixture_state(0), PAGE_VICTIM_DIRTY);
	fixture_turns(1);
	assert_int_equal(fixture.session.releases, 1);
	far_session_events.released(fixture.far, 0, 0);
	fixture_turns(2);
	memset(fixture_remote(0), 0, PAGE_SIZE);
	fixture_grant();
	fixture_turns(2);
	assert_true(fixture_answer_writes(SESSION_OK) > 0);
	assert_int_equal(fixture_state(0), PAGE_VICTIM_CLEAN);
	assert_int_equal(*(uint64_t *)(void *)(fixture_remote(0) + 8), 0x60);
}

static void unused_extent_is_given_back(void **state)
{
	fixture_touch(0, 0, false);
	fixture_turns(1);
	fixture_grant();
	for (unsigned i = 0; i < 600 && fixture_state(0) != PAGE_ZERO; i++) {
		fixture_press(0, 4096 + i, 1);
		fixture_grant();
	}
	fixture_turns(200);
	assert_int_equal(fixture.session.releases, 1);
	assert_int_equal(fixture.session.last_release, 0);
	/* Named by a LIST while the RELEASE is still to be answered: not held. */
	far_session_events.extent(fixture.far, 0, 0, RPC_EXTENT_HELD, 0x7000000000ull, 81);
	assert_int_equal(fixture.far->extent[0].state, EXTENT_RELEASING);
	far_session_events.released(fixture.far, 0, 0);
	assert_int_equal(fixture.far->extent[0].state, EXTENT_NONE);
}

static void strange_extents_are_ignored(void **state)
{
	uint32_t total, leased, lost;

	far_session_events.extent(fixture.far, 0, 2, RPC_EXTENT_HELD, 0, 0);
	far_session_events.extent(fixture.far, 0, 0xffffffff, RPC_EXTENT_LOST, 0, 0);
	far_session_events.released(fixture.far, 0, 1);
	far_session_events.lease_refused(fixture.far, 0, 1, RPC_ERROR_POOL);
	far_extents(fixture.far, &total, &leased, &lost);
	assert_int_equal(total, 2);
	assert_int_equal(leased, 0);
	assert_int_equal(lost, 0);
}

static void ended_session_stops_the_guest(void **state)
{
	assert_true(host_expect_panic(
		far_session_events.ended(fixture.far, 0, RPC_ERROR_ENDED, "newer session")));
	assert_non_null(strstr(host_panic_text(), "newer session"));
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(lost_write_is_sent_again),
		test(lost_write_of_a_changed_page_is_not_sent_again),
		test(refused_lease_stalls_first_touches),
		test(few_pages_without_a_lease),
		test(absent_server_stalls_and_is_waited_for),
		test(silent_read_is_given_up),
		test(slow_answer_is_taken),
		test(server_lost_under_a_read_stalls),
		test(fault_without_a_frame_stalls),
		test(hung_writes_do_not_stop_reclaim),
		test(a_pause_is_nobodys_silence),
		test(lost_extent_with_remote_pages_stops_the_guest),
		test(unnamed_extent_is_lost),
		test(named_in_a_failed_attach_is_not_held),
		test(lost_extent_with_everything_here_is_written_anew),
		test(unused_extent_is_given_back),
		test(strange_extents_are_ignored),
		test(ended_session_stops_the_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
