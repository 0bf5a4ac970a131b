/* SPDX-License-Identifier: MIT */
/* The agent's hints of cold pages and of ones soon wanted, and what reads and servers do to hints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "far/pcache.h"
#include "far/reclaim.h"
#include "tests/unit/hints_fixture.h"

/* Pages 0 to 99 are touched again and again, 50 to 59 are told to be cold. */
static void cold_goes_before_warm(void **state)
{
	uint32_t cold = 0, warm = 0;

	for (uint32_t page = 0; page < 100; page++)
		hints_write_page(page);
	fixture_press(0, 100, 70); /* now none of them is recent */
	for (uint32_t page = 0; page < 100; page++)
		fixture_peek(page);
	hints_ask(FAR_HINT_COLD, 50, 10);
	assert_false(hints_accessed(50));
	fixture_peek(52);
	fixture_poke(53, 54);
	for (uint32_t page = FILL; page < FILL + 100 && hints_counters()->evictions < 8; page++) {
		fixture_press(0, page, 1);
		fixture_answer_writes(SESSION_OK);
	}
	for (uint32_t page = 0; page < 100; page++) {
		if (hints_present(page))
			continue;
		cold += page >= 50 && page < 60;
		warm += page < 50 || page >= 60;
	}
	assert_int_equal(cold, 8);
	assert_int_equal(warm, 0);
	assert_true(hints_present(52) && hints_present(53));
}

/* The first one cannot be had yet: what is behind it can, and later it goes as well. */
static void recent_page_holds_up_no_other(void **state)
{
	fixture_press(0, 0, 100);
	hints_use_frames(FILL);
	fixture_touch(0, 20, false);
	hints_ask(FAR_HINT_COLD, 20, 4);
	for (uint32_t page = FILL + 1000; page < FILL + 1020; page++)
		fixture_press(0, page, 1);
	assert_true(hints_present(20));
	assert_int_equal(fixture.far->frame[pcache_mapped(fixture.far, hints_entry(20))].recent, 1);
	for (uint32_t page = 21; page < 24; page++)
		assert_false(hints_present(page));
	fixture_press(0, FILL + 1020, 64);
	assert_false(hints_present(20));
}

/* The service core sleeps, though the reserve is almost low and pages are listed. */
static void recent_pages_are_no_work(void **state)
{
	uint32_t end = FILL;

	/* Slowly, so that the low mark stays where it is. */
	for (; pcache_reserve(fixture.far) > fixture.far->low + 1; end++) {
		fixture_press(0, end, 1);
		fixture_turns(4);
	}
	hints_ask(FAR_HINT_COLD, end - 20, 20);
	assert_int_equal(fixture.far->list[LIST_PASSED].count, 20);
	fixture_turns(1);
	assert_in_range(
		pcache_reserve(fixture.far), fixture.far->low, fixture.far->low * 3 / 2 - 1);
	for (unsigned i = 0; i < 10; i++) {
		fixture_turns(1);
		assert_false(far_busy(fixture.far));
		assert_true(reclaim_deadline(fixture.far) == UINT64_MAX);
	}
}

static void pinned_is_not_cold(void **state)
{
	const struct list *passed = &fixture.far->list[LIST_PASSED];

	fixture_press(0, 0, 80);
	hints_ask(FAR_HINT_PIN, 0, 4);
	hints_ask(FAR_HINT_COLD, 0, 8);
	assert_true(hints_accessed(3));
	assert_false(hints_accessed(4));
	assert_int_equal(passed->count, 4);
	/* Frames are free in plenty, but what is cold is known to be so when they are not. */
	assert_true(fixture.far->frame[passed->head].epoch <= fixture.far->settled);
	hints_ask(FAR_HINT_PIN, 4, 1);
	assert_int_equal(passed->count, 3);
	hints_press(600);
	assert_true(hints_present(4));
	assert_false(hints_present(5));
}

static void prefetched_counts_as_touched(void **state)
{
	hints_make_remote();
	assert_int_equal(hints_give(FAR_HINT_PREFETCH, 0, 4), FAR_HINT_OK);
	hints_turn();
	assert_int_equal(fixture_answer_reads(SESSION_OK), 4);
	for (uint32_t page = 0; page < 4; page++)
		assert_true(hints_accessed(page));
	assert_int_equal(hints_pins().pinned, 0);
	assert_int_equal(hints_counters()->hint_fills, 4);
	assert_int_equal(hints_counters()->remote_fills, 0);
	for (uint32_t page = 0; page < 4; page++)
		assert_int_equal(fixture_peek(page), page + 1);
	/* What was cold and is wanted again is warm. */
	assert_int_equal(hints_give(FAR_HINT_COLD, 0, 4), FAR_HINT_OK);
	hints_turn();
	assert_int_equal(fixture.far->list[LIST_PASSED].count, 4);
	assert_int_equal(hints_give(FAR_HINT_PREFETCH, 0, 2), FAR_HINT_OK);
	hints_turn();
	assert_int_equal(fixture.far->list[LIST_PASSED].count, 2);
	assert_true(hints_accessed(1));
	assert_false(hints_accessed(2));
	hints_press(600);
	assert_int_equal(fixture_state(0), PAGE_REMOTE);
}

static void prefetch_evicts_nothing_warm(void **state)
{
	uint64_t before;

	hints_make_remote();
	hints_use_frames(6000);
	before = hints_counters()->evictions;
	assert_int_equal(hints_give(FAR_HINT_PREFETCH, 0, 4), FAR_HINT_OK);
	hints_turn();
	assert_int_equal(hints_pins().queued, 0);
	assert_int_equal(hints_counters()->hint_dropped, 4);
	assert_int_equal(hints_counters()->evictions, before);
	assert_int_equal(fixture_state(0), PAGE_REMOTE);
}

static void prefetch_takes_the_frames_of_the_cold(void **state)
{
	hints_make_remote();
	hints_use_frames(6000);
	for (uint32_t page = 6000; hints_present(page); page++)
		fixture_peek(page);
	/* Those of before are no more recent, and a few of them are cold. */
	for (uint32_t page = 7000; page < 7070; page++)
		fixture_press(0, page, 1);
	hints_rest();
	hints_use_frames(6500);
	assert_int_equal(fixture.far->list[LIST_PASSED].count, 0);
	assert_int_equal(hints_give(FAR_HINT_COLD, 7000, 6), FAR_HINT_OK);
	assert_int_equal(hints_give(FAR_HINT_PREFETCH, 0, 4), FAR_HINT_OK);
	for (unsigned i = 0; i < 20; i++) {
		fixture_turns(1);
		fixture_answer_reads(SESSION_OK);
	}
	assert_int_equal(hints_counters()->hint_dropped, 0);
	for (uint32_t page = 0; page < 4; page++)
		assert_int_equal(fixture_peek(page), page + 1);
	for (uint32_t page = 7006; page < 7070; page++)
		assert_true(hints_present(page));
}

static void pin_makes_reclaim_run(void **state)
{
	hints_make_remote();
	hints_use_frames(6000);
	assert_int_equal(hints_give(FAR_HINT_PIN, 0, OUT), FAR_HINT_OK);
	hints_turn();
	assert_int_equal(hints_pins().pinned, 0);
	assert_int_equal(hints_pins().pinning, OUT);
	for (unsigned i = 0; i < 100 && hints_pins().pinning > 0; i++)
		hints_rest();
	assert_int_equal(hints_pins().pinned, OUT);
	assert_int_equal(hints_counters()->hint_dropped, 0);
	for (uint32_t page = 0; page < OUT; page++)
		assert_int_equal(fixture_peek(page), page + 1);
}

static void hints_leave_reads_to_faults(void **state)
{
	hints_make_remote();
	assert_int_equal(hints_give(FAR_HINT_PIN, 0, OUT), FAR_HINT_OK);
	hints_turn();
	assert_true(session_reads_free(&fixture.session) >= FIXTURE_READS / 4);
	assert_true(hints_pins().pinning > 0);
	assert_false(fixture_fault(0, OUT - 1, false));
	assert_int_equal(fixture_state(OUT - 1), PAGE_FILLING);
	hints_rest();
	fixture_resume(0);
	assert_int_equal(hints_pins().pinned, OUT);
}

static void server_away_holds_up_nobody(void **state)
{
	hints_make_remote();
	fixture_lose();
	assert_int_equal(hints_give(FAR_HINT_PIN, 0, 4), FAR_HINT_OK);
	assert_int_equal(hints_give(FAR_HINT_PREFETCH, 4, 4), FAR_HINT_OK);
	assert_int_equal(hints_give(FAR_HINT_PIN, 5000, 1), FAR_HINT_OK);
	assert_int_equal(hints_give(FAR_HINT_UNPIN, 0, 4), FAR_HINT_OK);
	hints_turn();
	assert_int_equal(hints_pins().queued, 0);
	assert_int_equal(hints_pins().pinned, 0);
	assert_int_equal(hints_counters()->hint_dropped, 9);
	for (uint32_t page = 0; page < 8; page++)
		assert_int_equal(fixture_state(page), PAGE_REMOTE);
}

static void failed_read_is_no_content_and_no_pin(void **state)
{
	hints_make_remote();
	assert_int_equal(hints_give(FAR_HINT_PIN, 0, 2), FAR_HINT_OK);
	assert_int_equal(hints_give(FAR_HINT_PREFETCH, 2, 1), FAR_HINT_OK);
	hints_turn();
	assert_false(fixture_fault(0, 1, false));
	fixture_lose();
	assert_int_equal(fixture_state(0), PAGE_REMOTE);
	assert_int_equal(fixture_state(2), PAGE_REMOTE);
	/* A vCPU waits for this one, so it is read again, and pinned then. */
	assert_int_equal(fixture_state(1), PAGE_FILLING);
	assert_int_equal(hints_pins().pinned, 1);
	assert_int_equal(hints_counters()->hint_dropped, 2);
	far_verify(fixture.far);
	fixture.session.ready = true;
	far_session_events.extent(fixture.far, 0, 0, RPC_EXTENT_HELD, 0x7000000000ull, 77);
	fixture_ready();
	hints_rest();
	fixture_resume(0);
	assert_int_equal(fixture_peek(1), 2);
	assert_int_equal(hints_pins().pinned, 1);
	/* Another content than was written is none either. */
	*fixture_remote(3) ^= 1;
	assert_int_equal(hints_give(FAR_HINT_PIN, 3, 1), FAR_HINT_OK);
	hints_turn();
	fixture_answer_reads(SESSION_OK);
	assert_int_equal(fixture_state(3), PAGE_REMOTE);
	assert_int_equal(hints_pins().pinned, 1);
	*fixture_remote(3) ^= 1;
}

static void what_waits_too_long_is_dropped(void **state)
{
	assert_int_equal(hints_give(FAR_HINT_PIN, 5, 3), FAR_HINT_OK);
	assert_int_equal(hints_give(FAR_HINT_COLD, 0, 1), FAR_HINT_OK);
	fixture_turns(1900); /* nobody grants the lease */
	assert_int_equal(hints_pins().pinning, 3);
	fixture_turns(200);
	assert_int_equal(hints_pins().queued, 0);
	assert_int_equal(hints_counters()->hint_dropped, 3);
	/* The next one has its own time. */
	assert_int_equal(hints_give(FAR_HINT_PIN, 5, 3), FAR_HINT_OK);
	fixture_turns(10);
	assert_int_equal(hints_pins().pinning, 3);
	fixture_grant();
	hints_turn();
	assert_int_equal(hints_pins().pinned, 3);
}

static void read_without_an_answer_ends_the_pin(void **state)
{
	hints_make_remote();
	assert_int_equal(hints_give(FAR_HINT_PIN, 0, 1), FAR_HINT_OK);
	hints_turn();
	assert_false(fixture_fault(0, 0, false));
	fixture_turns(2100);
	assert_int_equal(hints_counters()->fill_abandoned, 1);
	assert_int_equal(hints_pins().pinned, 0);
	hints_rest();
	fixture_resume(0);
	assert_int_equal(fixture_peek(0), 1);
}

static void samples_are_the_newest_fills(void **state)
{
	uint64_t gpa[100];

	hints_make_remote();
	assert_int_equal(far_samples(fixture.far, gpa, 100), 0);
	hints_ask(FAR_HINT_PREFETCH, 20, 2);
	for (uint32_t page = 3; page < 9; page++) {
		assert_false(fixture_fault(0, page, false));
		fixture_answer_reads(SESSION_OK);
		fixture_resume(0);
	}
	assert_int_equal(far_samples(fixture.far, gpa, 4), 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(gpa[i], FIXTURE_BASE + (5 + i) * PAGE_SIZE);
	assert_int_equal(far_samples(fixture.far, gpa, 4), 0);
	for (unsigned i = 0; i < 70; i++)
		fixture.far->sample[fixture.far->counters.remote_fills++ % ENGINE_SAMPLES] = i;
	assert_int_equal(far_samples(fixture.far, gpa, 100), ENGINE_SAMPLES);
	assert_int_equal(gpa[0], FIXTURE_BASE + (70 - ENGINE_SAMPLES) * PAGE_SIZE);
	assert_int_equal(gpa[ENGINE_SAMPLES - 1], FIXTURE_BASE + 69 * PAGE_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		hints_case(cold_goes_before_warm),
		hints_case(recent_page_holds_up_no_other),
		hints_case(recent_pages_are_no_work),
		hints_case(pinned_is_not_cold),
		hints_case(prefetched_counts_as_touched),
		hints_case(prefetch_evicts_nothing_warm),
		hints_case(prefetch_takes_the_frames_of_the_cold),
		hints_case(pin_makes_reclaim_run),
		hints_case(hints_leave_reads_to_faults),
		hints_case(server_away_holds_up_nobody),
		hints_case(failed_read_is_no_content_and_no_pin),
		hints_case(what_waits_too_long_is_dropped),
		hints_case(read_without_an_answer_ends_the_pin),
		hints_case(samples_are_the_newest_fills),
	};

	return cmocka_run_group_tests_name("hint_cold", tests, NULL, NULL);
}
