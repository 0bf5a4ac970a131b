/* SPDX-License-Identifier: MIT */
/* The agent's pins, each with what it must and must not do, and what hints are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "far/pcache.h"
#include "tests/unit/hints_fixture.h"

static void pinned_stays_while_others_go(void **state)
{
	for (uint32_t page = 0; page < 8; page++)
		hints_write_page(page);
	hints_ask(FAR_HINT_PIN, 2, 3);
	assert_int_equal(hints_pins().pinned, 3);
	hints_press(600);
	for (uint32_t page = 0; page < 8; page++)
		assert_int_equal(hints_present(page), page >= 2 && page < 5);
	assert_int_equal(fixture_peek(3), 4);
	hints_ask(FAR_HINT_UNPIN, 0, 8);
	assert_int_equal(hints_pins().pinned, 0);
	assert_int_equal(hints_counters()->pins_released, 3);
	/* Two rounds of the hand, which follows these pages where there are no A bits. */
	hints_press(2 * (FILL_END - FILL));
	assert_int_equal(fixture_state(3), PAGE_REMOTE);
}

static void all_that_can_be_pinned_leaves_enough(void **state)
{
	hints_ask(FAR_HINT_PIN, 0, FIXTURE_PIN);
	assert_int_equal(hints_pins().pinned, FIXTURE_PIN);
	hints_press(600);
	for (uint32_t page = 0; page < FIXTURE_PIN; page++)
		assert_true(hints_present(page));
}

static void zero_page_waits_for_its_lease(void **state)
{
	assert_int_equal(hints_give(FAR_HINT_PIN, 10, 2), FAR_HINT_OK);
	hints_turn();
	assert_int_equal(fixture_state(10), PAGE_ZERO);
	assert_true(far_deadline(fixture.far) < UINT64_MAX);
	fixture_turns(1);
	assert_int_equal(hints_pins().pinning, 2);
	fixture_grant();
	hints_turn();
	assert_int_equal(hints_pins().pinned, 2);
	assert_int_equal(hints_pins().pinning, 0);
	assert_int_equal(fixture_peek(11), 0);
	assert_int_equal(fixture.session.reads, 0);
	assert_int_equal(hints_counters()->hint_fills, 2);
}

static void remote_page_is_read_and_pinned(void **state)
{
	hints_make_remote();
	assert_int_equal(hints_give(FAR_HINT_PIN, 4, 2), FAR_HINT_OK);
	assert_true(far_busy(fixture.far));
	hints_turn();
	assert_int_equal(fixture_state(4), PAGE_FILLING);
	assert_int_equal(hints_pins().pinned, 2);
	far_verify(fixture.far);
	assert_int_equal(fixture_answer_reads(SESSION_OK), 2);
	assert_int_equal(fixture_peek(5), 6);
	assert_int_equal(hints_counters()->prefetch_fills, 0);
	hints_press(600);
	assert_int_equal(fixture_peek(4), 5);
}

static void victims_are_taken_back(void **state)
{
	hints_write_page(0);
	hints_write_page(1);
	hints_ask(FAR_HINT_COLD, 0, 2);
	for (uint32_t page = FILL; fixture_state(0) != PAGE_UNSETTLED && page < FILL + 600;
		page++) {
		if (!fixture_fault(0, page, false))
			fixture_turns(1);
		fixture_resume(0);
		hints_turn();
		fixture.now += 300000;
	}
	assert_int_equal(fixture_state(0), PAGE_UNSETTLED);
	hints_ask(FAR_HINT_PIN, 0, 1);
	assert_int_equal(fixture_state(0), PAGE_RESIDENT);
	assert_int_equal(fixture_peek(0), 1);
	assert_int_equal(hints_pins().pinned, 1);
	/* The other one has gone on: to be written, then clean, and is pinned as that. */
	for (unsigned i = 0; i < 50 && fixture_state(1) != PAGE_VICTIM_CLEAN; i++)
		hints_rest();
	assert_int_equal(fixture_state(1), PAGE_VICTIM_CLEAN);
	fixture.session.reads = 0;
	hints_ask(FAR_HINT_PIN, 1, 1);
	assert_int_equal(fixture.session.reads, 0);
	assert_int_equal(fixture_peek(1), 2);
	hints_press(600);
	assert_true(hints_present(0) && hints_present(1));
}

static void clean_victim_below_the_low_mark_is_the_faults(void **state)
{
	hints_make_remote();
	hints_ask(FAR_HINT_PREFETCH, 0, 1);
	assert_true(hints_present(0));
	for (uint32_t page = 6000; fixture_state(0) != PAGE_VICTIM_CLEAN; page++)
		fixture_press(0, page, 1);
	fixture.far->low = FIXTURE_FRAMES / 4;
	assert_int_equal(hints_give(FAR_HINT_PREFETCH, 0, 1), FAR_HINT_OK);
	hints_turn();
	assert_int_equal(fixture_state(0), PAGE_VICTIM_CLEAN);
	assert_int_equal(hints_counters()->hint_dropped, 1);
	assert_int_equal(hints_give(FAR_HINT_PIN, 0, 1), FAR_HINT_OK);
	hints_turn();
	assert_int_equal(hints_pins().pinning, 1);
	hints_rest();
	assert_int_equal(hints_pins().pinned, 1);
}

static void page_being_filled_is_pinned_on_arrival(void **state)
{
	hints_make_remote();
	assert_false(fixture_fault(0, 3, false));
	hints_ask(FAR_HINT_PIN, 3, 1);
	assert_int_equal(hints_pins().pinned, 1);
	assert_true(fixture_done(0));
	fixture_resume(0);
	hints_press(600);
	assert_int_equal(fixture_peek(3), 4);
}

/* One that a stream has asked for would be kept as a victim, the marker at least. */
static void page_of_a_stream_is_pinned_too(void **state)
{
	hints_make_remote();
	fixture.far->prefetch_max = fixture.far->prefetch_limit = 8;
	assert_false(fixture_fault(0, 10, false));
	fixture_answer_reads(SESSION_OK);
	fixture_resume(0);
	assert_false(fixture_fault(0, 11, false));
	assert_int_equal(fixture_state(12), PAGE_FILLING);
	assert_int_equal(hints_give(FAR_HINT_PIN, 12, 2), FAR_HINT_OK);
	hints_turn();
	far_verify(fixture.far);
	fixture_answer_reads(SESSION_OK);
	fixture_resume(0);
	assert_true(hints_present(12) && hints_present(13));
	assert_int_equal(hints_pins().pinned, 2);
	assert_int_equal(hints_counters()->prefetch_hits, 2);
	hints_press(600);
	assert_int_equal(fixture_peek(12), 13);
	assert_int_equal(fixture_peek(13), 14);
}

static void page_being_cleaned_can_be_pinned(void **state)
{
	uint32_t page = 0;

	for (uint32_t i = 0; i < 200; i++)
		hints_write_page(i);
	for (uint32_t i = 0; i < 400 && fixture_state(page) != PAGE_CLEANING; i++) {
		fixture_answer_writes(SESSION_OK);
		fixture_press(0, 4096 + i, 1);
		fixture_turns(30);
		for (page = 0; page < 199 && fixture_state(page) != PAGE_CLEANING; page++)
			;
	}
	assert_int_equal(fixture_state(page), PAGE_CLEANING);
	hints_ask(FAR_HINT_PIN, page, 1);
	assert_int_equal(fixture_state(page), PAGE_RESIDENT);
	hints_press(600);
	assert_int_equal(fixture_peek(page), page + 1);
}

static void unpin_acts_in_order(void **state)
{
	fixture_press(0, 0, 8);
	assert_int_equal(hints_give(FAR_HINT_PIN, 0, 8), FAR_HINT_OK);
	assert_int_equal(hints_give(FAR_HINT_UNPIN, 2, 2), FAR_HINT_OK);
	assert_int_equal(hints_give(FAR_HINT_PIN, 3, 1), FAR_HINT_OK);
	assert_int_equal(hints_give(FAR_HINT_UNPIN, 20, 5), FAR_HINT_OK);
	assert_int_equal(hints_pins().queued, 16);
	hints_rest();
	assert_int_equal(hints_pins().pinned, 7);
	assert_int_equal(hints_counters()->pins_released, 2);
}

static void budget_is_exact(void **state)
{
	struct far_hint_range two[] = {
		{FIXTURE_BASE, 10}, {FIXTURE_BASE + 100 * PAGE_SIZE, FIXTURE_PIN - 9}};

	assert_int_equal(hints_pins().budget, FIXTURE_PIN);
	assert_int_equal(far_hint(fixture.far, FAR_HINT_PIN, two, 2), FAR_HINT_OVER_BUDGET);
	assert_int_equal(hints_pins().queued, 0);
	two[1].pages--;
	assert_int_equal(far_hint(fixture.far, FAR_HINT_PIN, two, 2), FAR_HINT_OK);
	assert_int_equal(hints_give(FAR_HINT_PIN, 500, 1), FAR_HINT_OVER_BUDGET);
	hints_rest();
	assert_int_equal(hints_pins().pinned, FIXTURE_PIN);
	assert_int_equal(hints_give(FAR_HINT_PIN, 500, 1), FAR_HINT_OVER_BUDGET);
	assert_int_equal(hints_give(FAR_HINT_PREFETCH, 500, 1), FAR_HINT_OK);
	hints_ask(FAR_HINT_UNPIN, 0, 1);
	assert_int_equal(hints_give(FAR_HINT_PIN, 500, 2), FAR_HINT_OVER_BUDGET);
	hints_ask(FAR_HINT_PIN, 500, 1);
	assert_int_equal(hints_pins().pinned, FIXTURE_PIN);
}

static void pinned_twice_counts_once(void **state)
{
	hints_ask(FAR_HINT_PIN, 0, 10);
	hints_ask(FAR_HINT_PIN, 5, 10);
	assert_int_equal(hints_pins().pinned, 15);
	hints_ask(FAR_HINT_UNPIN, 0, 15);
	hints_ask(FAR_HINT_UNPIN, 0, 15);
	assert_int_equal(hints_pins().pinned, 0);
	assert_int_equal(hints_counters()->pins_released, 15);
}

static void full_queue_is_busy(void **state)
{
	struct far_hint_range two[] = {{FIXTURE_BASE, 1}, {FIXTURE_BASE, 1}};

	for (unsigned i = 0; i < ENGINE_HINTS - 1; i++)
		assert_int_equal(hints_give(FAR_HINT_COLD, i, 1), FAR_HINT_OK);
	assert_int_equal(far_hint(fixture.far, FAR_HINT_PIN, two, 2), FAR_HINT_BUSY);
	assert_int_equal(hints_pins().pinning, 0);
	assert_int_equal(hints_give(FAR_HINT_PIN, 0, 1), FAR_HINT_OK);
	assert_int_equal(hints_give(FAR_HINT_COLD, 0, 1), FAR_HINT_BUSY);
	far_verify(fixture.far);
	hints_rest();
	assert_int_equal(hints_pins().pinned, 1);
	assert_int_equal(hints_give(FAR_HINT_COLD, 0, 1), FAR_HINT_OK);
}

static void bad_ranges_are_refused(void **state)
{
	uint64_t end = FIXTURE_BASE + (uint64_t)FIXTURE_PAGES * PAGE_SIZE;
	struct far_hint_range bad[] = {
		{FIXTURE_BASE, 0},
		{FIXTURE_BASE + 8, 1},
		{FIXTURE_BASE - PAGE_SIZE, 1},
		{FIXTURE_BASE - PAGE_SIZE, 2},
		{end, 1},
		{end - PAGE_SIZE, 2},
		{end - PAGE_SIZE, UINT32_MAX},
		{FIXTURE_BASE, FIXTURE_PAGES + 1},
		{-(uint64_t)PAGE_SIZE, 2},
		{0, 1},
		{FIXTURE_BASE + (1ull << 44), 1},
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct far_hint_range range[] = {{FIXTURE_BASE, 1}, bad[i], {FIXTURE_BASE, 1}};

		for (enum far_hint kind = FAR_HINT_PIN; kind <= FAR_HINT_COLD; kind++)
			assert_int_equal(far_hint(fixture.far, kind, range, 3), FAR_HINT_BAD_RANGE);
	}
	assert_int_equal(hints_pins().queued, 0);
	assert_int_equal(hints_pins().pinning, 0);
	assert_int_equal(hints_counters()->hints, 0);
	assert_int_equal(far_hint(fixture.far, FAR_HINT_PIN, NULL, 0), FAR_HINT_OK);
	assert_int_equal(hints_give(FAR_HINT_COLD, 0, FIXTURE_PAGES), FAR_HINT_OK);
	fixture_turns(FIXTURE_PAGES / 64);
	hints_ask(FAR_HINT_PIN, FIXTURE_PAGES - 1, 1);
	assert_int_equal(hints_pins().pinned, 1);
}

static void turns_are_short(void **state)
{
	assert_int_equal(hints_give(FAR_HINT_COLD, 0, 1000), FAR_HINT_OK);
	hints_turn();
	assert_in_range(hints_pins().queued, 1000 - 64, 999);
	hints_rest();
	hints_make_remote();
	assert_int_equal(hints_give(FAR_HINT_PIN, 1000, 50), FAR_HINT_OK);
	hints_turn();
	assert_in_range(hints_pins().pinned, 1, 32);
}

static void a_session_ends_in_short_turns(void **state)
{
	hints_ask(FAR_HINT_PIN, 0, 60);
	assert_int_equal(hints_give(FAR_HINT_COLD, 0, 100), FAR_HINT_OK);
	assert_int_equal(hints_give(FAR_HINT_PIN, 100, 4), FAR_HINT_OK);
	far_hint_forget(fixture.far);
	assert_int_equal(hints_pins().queued, 0);
	assert_int_equal(hints_pins().pinning, 0);
	/* The next session has the whole budget at once, and none of its pins is released. */
	assert_int_equal(hints_give(FAR_HINT_PIN, 200, FIXTURE_PIN + 1), FAR_HINT_OVER_BUDGET);
	assert_int_equal(hints_give(FAR_HINT_PIN, 30, FIXTURE_PIN), FAR_HINT_OK);
	far_verify(fixture.far);
	hints_turn();
	assert_true(hints_pins().pinned > 0);
	assert_true(far_busy(fixture.far));
	hints_rest();
	assert_int_equal(hints_pins().pinned, FIXTURE_PIN);
	assert_int_equal(hints_counters()->pins_released, 60);
	far_hint_forget(fixture.far);
	hints_rest();
	assert_int_equal(hints_pins().pinned, 0);
	assert_int_equal(hints_counters()->pins_released, 60 + FIXTURE_PIN);
	hints_press(600);
	assert_false(hints_present(40));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		hints_case(pinned_stays_while_others_go),
		hints_case_plain(pinned_stays_while_others_go),
		hints_case(all_that_can_be_pinned_leaves_enough),
		hints_case(zero_page_waits_for_its_lease),
		hints_case(remote_page_is_read_and_pinned),
		hints_case_plain(remote_page_is_read_and_pinned),
		hints_case(victims_are_taken_back),
		hints_case(clean_victim_below_the_low_mark_is_the_faults),
		hints_case(page_being_filled_is_pinned_on_arrival),
		hints_case(page_of_a_stream_is_pinned_too),
		hints_case_plain(page_of_a_stream_is_pinned_too),
		hints_case(page_being_cleaned_can_be_pinned),
		hints_case(unpin_acts_in_order),
		hints_case(budget_is_exact),
		hints_case(pinned_twice_counts_once),
		hints_case(full_queue_is_busy),
		hints_case(bad_ranges_are_refused),
		hints_case(turns_are_short),
		hints_case(a_session_ends_in_short_turns),
	};

	return cmocka_run_group_tests_name("hint", tests, NULL, NULL);
}
