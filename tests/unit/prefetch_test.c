/* SPDX-License-Identifier: MIT */
/* Streams of faults and what is filled ahead of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "far/pcache.h"
#include "tests/unit/far_fixture.h"

#define OUT 64u /* pages 0 to OUT - 1 are REMOTE, each with its number plus 1 in it */

static const struct far_counters *counters(void)
{
	return far_counters(fixture.far);
}

static uint64_t entry(uint32_t page)
{
	return fixture.window.leaf[page];
}

static bool untouched(uint32_t page)
{
	return slat_present(fixture.window.format, entry(page)) &&
	       !(entry(page) & fixture.window.format->accessed);
}

static void set_prefetch(uint32_t pages)
{
	fixture.far->prefetch_max = fixture.far->prefetch_limit = pages;
}

/* Reclaim fills the reserve. */
static void rest(void)
{
	for (unsigned i = 0; i < 20; i++) {
		fixture_turns(1);
		fixture_answer_writes(SESSION_OK);
	}
	fixture.far->low = 4;
}

/* Before prefetch is switched on. Frames enough are left to spare. */
static void make_remote(void)
{
	for (uint32_t page = 0; page < OUT; page++) {
		fixture_touch(0, page, true);
		fixture_poke(page, page + 1);
		fixture_turns(1);
		fixture_grant();
	}
	for (uint32_t page = 1000; page < 1900 && fixture_state(OUT - 1) != PAGE_REMOTE; page++) {
		fixture_press(0, page, 1);
		fixture_answer_writes(SESSION_OK);
	}
	for (uint32_t page = 0; page < OUT; page++)
		assert_int_equal(fixture_state(page), PAGE_REMOTE);
	rest();
	set_prefetch(8);
}

/* A fault that the server answers. */
static void fill(unsigned cpu, uint32_t page)
{
	if (!fixture_fault(cpu, page, false))
		fixture_answer_reads(SESSION_OK);
	fixture_resume(cpu);
	assert_int_equal(fixture_peek(page), page + 1);
}

static void two_faults_make_a_stream(void **state)
{
	make_remote();
	fill(0, 10);
	assert_int_equal(counters()->prefetch_fills, 0);
	assert_false(fixture_fault(0, 11, false));
	assert_int_equal(counters()->prefetch_fills, 2);
	assert_int_equal(fixture_state(12), PAGE_FILLING);
	assert_int_equal(fixture_state(13), PAGE_FILLING);
	assert_int_equal(fixture_state(14), PAGE_REMOTE);
	fixture_answer_reads(SESSION_OK);
	fixture_resume(0);
	/* The marker's touch is a fault, without the network; the page behind it is there. */
	assert_int_equal(fixture_state(12), PAGE_VICTIM_CLEAN);
	assert_true(untouched(13));
	fixture_touch(0, 12, false);
	assert_int_equal(counters()->victim_hits, 1);
	assert_int_equal(fixture_peek(12), 13);
	assert_int_equal(fixture_peek(13), 14);
	/* The next window is twice as long. */
	for (uint32_t page = 14; page < 18; page++)
		assert_int_equal(fixture_state(page), PAGE_FILLING);
	assert_int_equal(fixture_state(18), PAGE_REMOTE);
	fixture_answer_reads(SESSION_OK);
}

static void streams_go_down_too_and_end_at_the_window(void **state)
{
	make_remote();
	for (uint32_t page = 12; page > 0; page--)
		if (!slat_present(fixture.window.format, entry(page)))
			fill(0, page);
	assert_true(counters()->prefetch_fills >= 8);
	assert_int_equal(fixture_state(FIXTURE_PAGES - 1), PAGE_ZERO);
	fixture_touch(0, FIXTURE_PAGES - 2, false);
	fixture_turns(1);
	fixture_grant();
	fixture_touch(0, FIXTURE_PAGES - 1, false);
}

static void other_faults_make_none(void **state)
{
	make_remote();
	for (uint32_t i = 0; i < 12; i++) {
		fill(0, i * 3);
		rest();
	}
	fill(1, 31);
	assert_int_equal(counters()->prefetch_fills, 0);
	set_prefetch(0);
	fill(0, 37);
	fill(0, 38);
	assert_int_equal(counters()->prefetch_fills, 0);
}

static void fault_joins_a_prefetch(void **state)
{
	make_remote();
	fill(0, 10);
	assert_false(fixture_fault(0, 11, false));
	assert_false(fixture_fault(1, 13, true));
	assert_int_equal(counters()->prefetch_hits, 1);
	fixture_answer_reads(SESSION_OK);
	assert_true(fixture_done(1));
	fixture_resume(0);
	fixture_resume(1);
	assert_int_equal(fixture_peek(13), 14);
}

static void failed_prefetch_is_no_content(void **state)
{
	make_remote();
	fill(0, 10);
	assert_false(fixture_fault(0, 11, false));
	fixture_lose();
	assert_false(fixture_done(0));
	assert_int_equal(fixture_state(11), PAGE_FILLING);
	assert_int_equal(fixture_state(12), PAGE_REMOTE);
	assert_int_equal(fixture_state(13), PAGE_REMOTE);
	assert_int_equal(counters()->prefetch_wasted, 2);
	fixture.session.ready = true;
	far_session_events.extent(fixture.far, 0, 0, RPC_EXTENT_HELD, 0x7000000000ull, 77);
	fixture_ready();
	fixture_turns(1);
	fixture_answer_reads(SESSION_OK);
	fixture_resume(0);
	/* Another content than was written is none either. */
	fill(0, 20);
	assert_false(fixture_fault(0, 21, false));
	*fixture_remote(23) ^= 1;
	fixture_answer_reads(SESSION_OK);
	fixture_resume(0);
	assert_int_equal(fixture_state(22), PAGE_VICTIM_CLEAN);
	assert_int_equal(fixture_state(23), PAGE_REMOTE);
	assert_int_equal(counters()->fill_corrupt, 1);
	*fixture_remote(23) ^= 1;
}

static void faults_keep_frames_and_reads(void **state)
{
	make_remote();
	set_prefetch(32);
	rest();
	fixture.far->low = pcache_reserve(fixture.far) - 3;
	fill(0, 10);
	assert_false(fixture_fault(0, 11, false));
	assert_int_equal(counters()->prefetch_fills, 1);
	fixture.far->low = 4;
	fixture_answer_reads(SESSION_OK);
	fixture_resume(0);
	for (uint32_t page = 12; page < 36 && fixture_fault(0, page, false); page++)
		fixture_resume(0);
	assert_true(session_reads_free(&fixture.session) >= FIXTURE_READS / 4);
	while (fixture_answer_reads(SESSION_OK) > 0)
		far_serve(fixture.far, fixture.now);
	if (fixture_done(0))
		fixture_resume(0);
}

static void zeros_are_filled_ahead_and_go_back(void **state)
{
	set_prefetch(8);
	fixture_touch(0, 100, false);
	fixture_turns(1);
	fixture_grant();
	fixture_touch(0, 101, true);
	assert_int_equal(fixture_state(102), PAGE_ZERO); /* the marker */
	assert_true(untouched(103));
	assert_false(entry(103) & fixture.window.format->dirty);
	assert_int_equal(fixture_state(104), PAGE_ZERO);
	fixture_touch(0, 102, true);
	assert_int_equal(counters()->prefetch_zero_fills, 4);
	assert_int_equal(fixture_peek(103), 0);
	assert_true(untouched(105));
	set_prefetch(0);
	/* Never touched: ZERO again, and nothing is sent. */
	for (uint32_t page = 1000; page < 1900 && fixture_state(105) != PAGE_ZERO; page += 2) {
		fixture_press(0, page, 1);
		assert_int_equal(fixture_answer_writes(SESSION_OK), 0);
	}
	assert_int_equal(fixture_state(105), PAGE_ZERO);
	assert_true(counters()->prefetch_wasted >= 1);
}

static void no_zeros_ahead_without_a_lease(void **state)
{
	set_prefetch(8);
	fixture_touch(0, 100, false);
	fixture_touch(0, 101, false);
	fixture_touch(0, 102, false);
	assert_int_equal(counters()->prefetch_zero_fills, 0);
	fixture_turns(1);
	fixture_grant();
	fixture_touch(0, 103, false);
	assert_true(counters()->prefetch_zero_fills > 0);
}

static void without_a_bits_pages_are_kept_as_victims(void **state)
{
	make_remote();
	fill(0, 10);
	assert_false(fixture_fault(0, 11, false));
	fixture_answer_reads(SESSION_OK);
	fixture_resume(0);
	assert_int_equal(fixture_state(12), PAGE_VICTIM_CLEAN);
	assert_int_equal(fixture_state(13), PAGE_VICTIM_CLEAN);
	fill(0, 13);
}

static void what_is_wasted_makes_windows_short(void **state)
{
	make_remote();
	set_prefetch(32);
	for (unsigned i = 0; i < 4; i++) {
		rest();
		fill(0, 10 * i);
		assert_false(fixture_fault(0, 10 * i + 1, false));
		while (fixture.far->server[0].prefetching > 0)
			fixture_answer_reads(SESSION_BROKEN);
		fixture_turns(1);
		fixture_answer_reads(SESSION_OK);
		fixture_resume(0);
	}
	assert_true(fixture.far->prefetch_limit < 32);
}

/* Reads pages 0 to OUT - 1, most of them without a fault. */
static void scan(void)
{
	for (uint32_t page = 0; page < OUT; page++) {
		if (!slat_present(fixture.window.format, entry(page)))
			fill(0, page);
		while (fixture_answer_reads(SESSION_OK) > 0)
			far_serve(fixture.far, fixture.now);
		assert_int_equal(fixture_peek(page), page + 1);
		rest();
	}
}

static bool passed(uint32_t page)
{
	return fixture_state(page) == PAGE_RESIDENT &&
	       fixture.far->frame[pcache_mapped(fixture.far, entry(page))].list == LIST_PASSED;
}

static uint32_t gone(void)
{
	uint32_t count = 0;

	for (uint32_t page = 32; page < OUT; page++)
		count += fixture_state(page) != PAGE_RESIDENT;
	return count;
}

static void what_a_scan_has_read_goes_first(void **state)
{
	uint32_t kept = 0;

	make_remote();
	scan();
	while (kept < OUT && !passed(kept))
		kept++;
	assert_true(kept < OUT);
	fixture_poke(kept, kept + 1);
	for (uint32_t page = 2000; gone() < 8 && page < 2200; page += 2) {
		fixture_press(0, page, 1);
		rest();
	}
	assert_int_equal(fixture_state(kept), PAGE_RESIDENT);
	assert_true(gone() >= 8);
}

/* It is served anew each turn, and would look like the beginning of another stream each time. */
static void fault_that_waits_is_noted_once(void **state)
{
	set_prefetch(8);
	fixture_touch(0, 100, false);
	fixture.far->server[0].refusing = true;
	assert_false(fixture_fault(0, 101, false));
	for (unsigned i = 0; i < 5; i++)
		far_reclaim(fixture.far, fixture.now);
	assert_int_equal(fixture.far->waiter[0].wait, WAIT_LEASE);
	assert_int_equal(fixture.far->waiter[0].stream_at, 1);
	fixture_grant();
	fixture_turns(1);
	fixture_resume(0);
	assert_int_equal(fixture.far->waiter[0].stream_at, 1);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(two_faults_make_a_stream),
		test(streams_go_down_too_and_end_at_the_window),
		test(other_faults_make_none),
		test(fault_joins_a_prefetch),
		test(failed_prefetch_is_no_content),
		test(faults_keep_frames_and_reads),
		test(zeros_are_filled_ahead_and_go_back),
		test(no_zeros_ahead_without_a_lease),
		cmocka_unit_test_setup_teardown(without_a_bits_pages_are_kept_as_victims,
			fixture_setup_plain, fixture_teardown),
		test(what_is_wasted_makes_windows_short),
		test(what_a_scan_has_read_goes_first),
		test(fault_that_waits_is_noted_once),
	};

	return cmocka_run_group_tests_name("prefetch", tests, NULL, NULL);
}
