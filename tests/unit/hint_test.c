/* SPDX-License-Identifier: MIT */
/* Hints of the guest's agent, each with what it must and must not do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "far/pcache.h"
#include "tests/unit/far_fixture.h"

#define OUT      32u /* pages 0 to OUT - 1 are REMOTE, each with its number plus 1 in it */
#define FILL     2000u /* pages from here to FILL_END are read, to press */
#define FILL_END 4000u

static const struct far_counters *counters(void)
{
	return far_counters(fixture.far);
}

static uint64_t entry(uint32_t page)
{
	return fixture.window.leaf[page];
}

static bool present(uint32_t page)
{
	return slat_present(fixture.window.format, entry(page));
}

static bool accessed(uint32_t page)
{
	return present(page) && (entry(page) & fixture.window.format->accessed);
}

static struct far_pins pins(void)
{
	struct far_pins p;

	far_pins(fixture.far, &p);
	return p;
}

static enum far_hint_result hint(enum far_hint kind, uint32_t page, uint32_t pages)
{
	struct far_hint_range range = {FIXTURE_BASE + (uint64_t)page * PAGE_SIZE, pages};

	return far_hint(fixture.far, kind, &range, 1);
}

/* One turn, without time going on. */
static void turn(void)
{
	far_reclaim(fixture.far, fixture.now);
}

/* Until everything is done that was asked for and can be done; then there are frames to spare. */
static void rest(void)
{
	for (unsigned i = 0; i < 20; i++) {
		fixture_turns(1);
		fixture_grant();
		fixture_answer_writes(SESSION_OK);
		fixture_answer_reads(SESSION_OK);
	}
	fixture.far->low = 4;
}

static void ask(enum far_hint kind, uint32_t page, uint32_t pages)
{
	assert_int_equal(hint(kind, page, pages), FAR_HINT_OK);
	rest();
	assert_int_equal(pins().queued, 0);
}

static void write_page(uint32_t page)
{
	fixture_touch(0, page, true);
	fixture_poke(page, page + 1);
	fixture_turns(1);
	fixture_grant();
}

/* Reads so many pages that nobody has written. */
static void press(uint32_t pages)
{
	static uint32_t at;

	for (; pages > 0; pages--, at = (at + 1) % (FILL_END - FILL)) {
		fixture_press(0, FILL + at, 1);
		fixture_answer_writes(SESSION_OK);
	}
	rest();
}

static void make_remote(void)
{
	for (uint32_t page = 0; page < OUT; page++)
		write_page(page);
	press(600);
	for (uint32_t page = 0; page < OUT; page++)
		assert_int_equal(fixture_state(page), PAGE_REMOTE);
}

/* Frames are taken until only the reserve is left that faults live on. */
static void use_frames(uint32_t first)
{
	fixture_press(0, first++, 1);
	fixture_turns(1);
	for (; pcache_reserve(fixture.far) > fixture.far->low; first++)
		fixture_touch(0, first, false);
}

static void pinned_stays_while_others_go(void **state)
{
	for (uint32_t page = 0; page < 8; page++)
		write_page(page);
	ask(FAR_HINT_PIN, 2, 3);
	assert_int_equal(pins().pinned, 3);
	press(600);
	for (uint32_t page = 0; page < 8; page++)
		assert_int_equal(present(page), page >= 2 && page < 5);
	assert_int_equal(fixture_peek(3), 4);
	ask(FAR_HINT_UNPIN, 0, 8);
	assert_int_equal(pins().pinned, 0);
	assert_int_equal(counters()->pins_released, 3);
	/* Two rounds of the hand, which follows these pages where there are no A bits. */
	press(2 * (FILL_END - FILL));
	assert_int_equal(fixture_state(3), PAGE_REMOTE);
}

static void all_that_can_be_pinned_leaves_enough(void **state)
{
	ask(FAR_HINT_PIN, 0, FIXTURE_PIN);
	assert_int_equal(pins().pinned, FIXTURE_PIN);
	press(600);
	for (uint32_t page = 0; page < FIXTURE_PIN; page++)
		assert_true(present(page));
}

static void zero_page_waits_for_its_lease(void **state)
{
	assert_int_equal(hint(FAR_HINT_PIN, 10, 2), FAR_HINT_OK);
	turn();
	assert_int_equal(fixture_state(10), PAGE_ZERO);
	assert_true(far_deadline(fixture.far) < UINT64_MAX);
	fixture_turns(1);
	assert_int_equal(pins().pinning, 2);
	fixture_grant();
	turn();
	assert_int_equal(pins().pinned, 2);
	assert_int_equal(pins().pinning, 0);
	assert_int_equal(fixture_peek(11), 0);
	assert_int_equal(fixture.session.reads, 0);
	assert_int_equal(counters()->hint_fills, 2);
}

static void remote_page_is_read_and_pinned(void **state)
{
	make_remote();
	assert_int_equal(hint(FAR_HINT_PIN, 4, 2), FAR_HINT_OK);
	assert_true(far_busy(fixture.far));
	turn();
	assert_int_equal(fixture_state(4), PAGE_FILLING);
	assert_int_equal(pins().pinned, 2);
	far_verify(fixture.far);
	assert_int_equal(fixture_answer_reads(SESSION_OK), 2);
	assert_int_equal(fixture_peek(5), 6);
	assert_int_equal(counters()->prefetch_fills, 0);
	press(600);
	assert_int_equal(fixture_peek(4), 5);
}

static void victims_are_taken_back(void **state)
{
	write_page(0);
	write_page(1);
	ask(FAR_HINT_COLD, 0, 2);
	for (uint32_t page = FILL; fixture_state(0) != PAGE_UNSETTLED && page < FILL + 600;
		page++) {
		if (!fixture_fault(0, page, false))
			fixture_turns(1);
		fixture_resume(0);
		turn();
		fixture.now += 300000;
	}
	assert_int_equal(fixture_state(0), PAGE_UNSETTLED);
	ask(FAR_HINT_PIN, 0, 1);
	assert_int_equal(fixture_state(0), PAGE_RESIDENT);
	assert_int_equal(fixture_peek(0), 1);
	assert_int_equal(pins().pinned, 1);
	/* The other one has gone on: to be written, then clean, and is pinned as that. */
	for (unsigned i = 0; i < 50 && fixture_state(1) != PAGE_VICTIM_CLEAN; i++)
		rest();
	assert_int_equal(fixture_state(1), PAGE_VICTIM_CLEAN);
	fixture.session.reads = 0;
	ask(FAR_HINT_PIN, 1, 1);
	assert_int_equal(fixture.session.reads, 0);
	assert_int_equal(fixture_peek(1), 2);
	press(600);
	assert_true(present(0) && present(1));
}

static void clean_victim_below_the_low_mark_is_the_faults(void **state)
{
	make_remote();
	ask(FAR_HINT_PREFETCH, 0, 1);
	assert_true(present(0));
	for (uint32_t page = 6000; fixture_state(0) != PAGE_VICTIM_CLEAN; page++)
		fixture_press(0, page, 1);
	fixture.far->low = FIXTURE_FRAMES / 4;
	assert_int_equal(hint(FAR_HINT_PREFETCH, 0, 1), FAR_HINT_OK);
	turn();
	assert_int_equal(fixture_state(0), PAGE_VICTIM_CLEAN);
	assert_int_equal(counters()->hint_dropped, 1);
	assert_int_equal(hint(FAR_HINT_PIN, 0, 1), FAR_HINT_OK);
	turn();
	assert_int_equal(pins().pinning, 1);
	rest();
	assert_int_equal(pins().pinned, 1);
}

static void page_being_filled_is_pinned_on_arrival(void **state)
{
	make_remote();
	assert_false(fixture_fault(0, 3, false));
	ask(FAR_HINT_PIN, 3, 1);
	assert_int_equal(pins().pinned, 1);
	assert_true(fixture_done(0));
	fixture_resume(0);
	press(600);
	assert_int_equal(fixture_peek(3), 4);
}

/* One that a stream has asked for would be kept as a victim, the marker at least. */
static void page_of_a_stream_is_pinned_too(void **state)
{
	make_remote();
	fixture.far->prefetch_max = fixture.far->prefetch_limit = 8;
	assert_false(fixture_fault(0, 10, false));
	fixture_answer_reads(SESSION_OK);
	fixture_resume(0);
	assert_false(fixture_fault(0, 11, false));
	assert_int_equal(fixture_state(12), PAGE_FILLING);
	assert_int_equal(hint(FAR_HINT_PIN, 12, 2), FAR_HINT_OK);
	turn();
	far_verify(fixture.far);
	fixture_answer_reads(SESSION_OK);
	fixture_resume(0);
	assert_true(present(12) && present(13));
	assert_int_equal(pins().pinned, 2);
	assert_int_equal(counters()->prefetch_hits, 2);
	press(600);
	assert_int_equal(fixture_peek(12), 13);
	assert_int_equal(fixture_peek(13), 14);
}

static void page_being_cleaned_can_be_pinned(void **state)
{
	uint32_t page = 0;

	for (uint32_t i = 0; i < 200; i++)
		write_page(i);
	for (uint32_t i = 0; i < 400 && fixture_state(page) != PAGE_CLEANING; i++) {
		fixture_answer_writes(SESSION_OK);
		fixture_press(0, 4096 + i, 1);
		fixture_turns(30);
		for (page = 0; page < 199 && fixture_state(page) != PAGE_CLEANING; page++)
			;
	}
	assert_int_equal(fixture_state(page), PAGE_CLEANING);
	ask(FAR_HINT_PIN, page, 1);
	assert_int_equal(fixture_state(page), PAGE_RESIDENT);
	press(600);
	assert_int_equal(fixture_peek(page), page + 1);
}

static void unpin_acts_in_order(void **state)
{
	fixture_press(0, 0, 8);
	assert_int_equal(hint(FAR_HINT_PIN, 0, 8), FAR_HINT_OK);
	assert_int_equal(hint(FAR_HINT_UNPIN, 2, 2), FAR_HINT_OK);
	assert_int_equal(hint(FAR_HINT_PIN, 3, 1), FAR_HINT_OK);
	assert_int_equal(hint(FAR_HINT_UNPIN, 20, 5), FAR_HINT_OK);
	assert_int_equal(pins().queued, 16);
	rest();
	assert_int_equal(pins().pinned, 7);
	assert_int_equal(counters()->pins_released, 2);
}

static void budget_is_exact(void **state)
{
	struct far_hint_range two[] = {
		{FIXTURE_BASE, 10}, {FIXTURE_BASE + 100 * PAGE_SIZE, FIXTURE_PIN - 9}};

	assert_int_equal(pins().budget, FIXTURE_PIN);
	assert_int_equal(far_hint(fixture.far, FAR_HINT_PIN, two, 2), FAR_HINT_OVER_BUDGET);
	assert_int_equal(pins().queued, 0);
	two[1].pages--;
	assert_int_equal(far_hint(fixture.far, FAR_HINT_PIN, two, 2), FAR_HINT_OK);
	assert_int_equal(hint(FAR_HINT_PIN, 500, 1), FAR_HINT_OVER_BUDGET);
	rest();
	assert_int_equal(pins().pinned, FIXTURE_PIN);
	assert_int_equal(hint(FAR_HINT_PIN, 500, 1), FAR_HINT_OVER_BUDGET);
	assert_int_equal(hint(FAR_HINT_PREFETCH, 500, 1), FAR_HINT_OK);
	ask(FAR_HINT_UNPIN, 0, 1);
	assert_int_equal(hint(FAR_HINT_PIN, 500, 2), FAR_HINT_OVER_BUDGET);
	ask(FAR_HINT_PIN, 500, 1);
	assert_int_equal(pins().pinned, FIXTURE_PIN);
}

static void pinned_twice_counts_once(void **state)
{
	ask(FAR_HINT_PIN, 0, 10);
	ask(FAR_HINT_PIN, 5, 10);
	assert_int_equal(pins().pinned, 15);
	ask(FAR_HINT_UNPIN, 0, 15);
	ask(FAR_HINT_UNPIN, 0, 15);
	assert_int_equal(pins().pinned, 0);
	assert_int_equal(counters()->pins_released, 15);
}

static void full_queue_is_busy(void **state)
{
	struct far_hint_range two[] = {{FIXTURE_BASE, 1}, {FIXTURE_BASE, 1}};

	for (unsigned i = 0; i < ENGINE_HINTS - 1; i++)
		assert_int_equal(hint(FAR_HINT_COLD, i, 1), FAR_HINT_OK);
	assert_int_equal(far_hint(fixture.far, FAR_HINT_PIN, two, 2), FAR_HINT_BUSY);
	assert_int_equal(pins().pinning, 0);
	assert_int_equal(hint(FAR_HINT_PIN, 0, 1), FAR_HINT_OK);
	assert_int_equal(hint(FAR_HINT_COLD, 0, 1), FAR_HINT_BUSY);
	far_verify(fixture.far);
	rest();
	assert_int_equal(pins().pinned, 1);
	assert_int_equal(hint(FAR_HINT_COLD, 0, 1), FAR_HINT_OK);
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
	assert_int_equal(pins().queued, 0);
	assert_int_equal(pins().pinning, 0);
	assert_int_equal(counters()->hints, 0);
	assert_int_equal(far_hint(fixture.far, FAR_HINT_PIN, NULL, 0), FAR_HINT_OK);
	assert_int_equal(hint(FAR_HINT_COLD, 0, FIXTURE_PAGES), FAR_HINT_OK);
	fixture_turns(FIXTURE_PAGES / 64);
	ask(FAR_HINT_PIN, FIXTURE_PAGES - 1, 1);
	assert_int_equal(pins().pinned, 1);
}

static void turns_are_short(void **state)
{
	assert_int_equal(hint(FAR_HINT_COLD, 0, 1000), FAR_HINT_OK);
	turn();
	assert_in_range(pins().queued, 1000 - 64, 999);
	rest();
	make_remote();
	assert_int_equal(hint(FAR_HINT_PIN, 1000, 50), FAR_HINT_OK);
	turn();
	assert_in_range(pins().pinned, 1, 32);
}

static void a_session_ends_in_short_turns(void **state)
{
	ask(FAR_HINT_PIN, 0, 60);
	assert_int_equal(hint(FAR_HINT_COLD, 0, 100), FAR_HINT_OK);
	assert_int_equal(hint(FAR_HINT_PIN, 100, 4), FAR_HINT_OK);
	far_hint_forget(fixture.far);
	assert_int_equal(pins().queued, 0);
	assert_int_equal(pins().pinning, 0);
	/* The next session has the whole budget at once, and none of its pins is released. */
	assert_int_equal(hint(FAR_HINT_PIN, 200, FIXTURE_PIN + 1), FAR_HINT_OVER_BUDGET);
	assert_int_equal(hint(FAR_HINT_PIN, 30, FIXTURE_PIN), FAR_HINT_OK);
	far_verify(fixture.far);
	turn();
	assert_true(pins().pinned > 0);
	assert_true(far_busy(fixture.far));
	rest();
	assert_int_equal(pins().pinned, FIXTURE_PIN);
	assert_int_equal(counters()->pins_released, 60);
	far_hint_forget(fixture.far);
	rest();
	assert_int_equal(pins().pinned, 0);
	assert_int_equal(counters()->pins_released, 60 + FIXTURE_PIN);
	press(600);
	assert_false(present(40));
}

/* Pages 0 to 99 are touched again and again, 50 to 59 are told to be cold. */
static void cold_goes_before_warm(void **state)
{
	uint32_t cold = 0, warm = 0;

	for (uint32_t page = 0; page < 100; page++)
		write_page(page);
	fixture_press(0, 100, 70); /* now none of them is recent */
	for (uint32_t page = 0; page < 100; page++)
		fixture_peek(page);
	ask(FAR_HINT_COLD, 50, 10);
	assert_false(accessed(50));
	fixture_peek(52);
	fixture_poke(53, 54);
	for (uint32_t page = FILL; page < FILL + 100 && counters()->evictions < 8; page++) {
		fixture_press(0, page, 1);
		fixture_answer_writes(SESSION_OK);
	}
	for (uint32_t page = 0; page < 100; page++) {
		if (present(page))
			continue;
		cold += page >= 50 && page < 60;
		warm += page < 50 || page >= 60;
	}
	assert_int_equal(cold, 8);
	assert_int_equal(warm, 0);
	assert_true(present(52) && present(53));
}

/* The first one cannot be had yet: what is behind it can, and later it goes as well. */
static void recent_page_holds_up_no_other(void **state)
{
	fixture_press(0, 0, 100);
	use_frames(FILL);
	fixture_touch(0, 20, false);
	ask(FAR_HINT_COLD, 20, 4);
	for (uint32_t page = FILL + 1000; page < FILL + 1020; page++)
		fixture_press(0, page, 1);
	assert_true(present(20));
	assert_int_equal(fixture.far->frame[pcache_mapped(fixture.far, entry(20))].recent, 1);
	for (uint32_t page = 21; page < 24; page++)
		assert_false(present(page));
	fixture_press(0, FILL + 1020, 64);
	assert_false(present(20));
}

static void pinned_is_not_cold(void **state)
{
	const struct list *passed = &fixture.far->list[LIST_PASSED];

	fixture_press(0, 0, 80);
	ask(FAR_HINT_PIN, 0, 4);
	ask(FAR_HINT_COLD, 0, 8);
	assert_true(accessed(3));
	assert_false(accessed(4));
	assert_int_equal(passed->count, 4);
	/* Frames are free in plenty, but what is cold is known to be so when they are not. */
	assert_true(fixture.far->frame[passed->head].epoch <= fixture.far->settled);
	ask(FAR_HINT_PIN, 4, 1);
	assert_int_equal(passed->count, 3);
	press(600);
	assert_true(present(4));
	assert_false(present(5));
}

static void prefetched_counts_as_touched(void **state)
{
	make_remote();
	assert_int_equal(hint(FAR_HINT_PREFETCH, 0, 4), FAR_HINT_OK);
	turn();
	assert_int_equal(fixture_answer_reads(SESSION_OK), 4);
	for (uint32_t page = 0; page < 4; page++)
		assert_true(accessed(page));
	assert_int_equal(pins().pinned, 0);
	assert_int_equal(counters()->hint_fills, 4);
	assert_int_equal(counters()->remote_fills, 0);
	for (uint32_t page = 0; page < 4; page++)
		assert_int_equal(fixture_peek(page), page + 1);
	/* What was cold and is wanted again is warm. */
	assert_int_equal(hint(FAR_HINT_COLD, 0, 4), FAR_HINT_OK);
	turn();
	assert_int_equal(fixture.far->list[LIST_PASSED].count, 4);
	assert_int_equal(hint(FAR_HINT_PREFETCH, 0, 2), FAR_HINT_OK);
	turn();
	assert_int_equal(fixture.far->list[LIST_PASSED].count, 2);
	assert_true(accessed(1));
	assert_false(accessed(2));
	press(600);
	assert_int_equal(fixture_state(0), PAGE_REMOTE);
}

static void prefetch_evicts_nothing_warm(void **state)
{
	uint64_t before;

	make_remote();
	use_frames(6000);
	before = counters()->evictions;
	assert_int_equal(hint(FAR_HINT_PREFETCH, 0, 4), FAR_HINT_OK);
	turn();
	assert_int_equal(pins().queued, 0);
	assert_int_equal(counters()->hint_dropped, 4);
	assert_int_equal(counters()->evictions, before);
	assert_int_equal(fixture_state(0), PAGE_REMOTE);
}

static void prefetch_takes_the_frames_of_the_cold(void **state)
{
	make_remote();
	use_frames(6000);
	for (uint32_t page = 6000; present(page); page++)
		fixture_peek(page);
	/* Those of before are no more recent, and a few of them are cold. */
	for (uint32_t page = 7000; page < 7070; page++)
		fixture_press(0, page, 1);
	rest();
	use_frames(6500);
	assert_int_equal(fixture.far->list[LIST_PASSED].count, 0);
	assert_int_equal(hint(FAR_HINT_COLD, 7000, 6), FAR_HINT_OK);
	assert_int_equal(hint(FAR_HINT_PREFETCH, 0, 4), FAR_HINT_OK);
	for (unsigned i = 0; i < 20; i++) {
		fixture_turns(1);
		fixture_answer_reads(SESSION_OK);
	}
	assert_int_equal(counters()->hint_dropped, 0);
	for (uint32_t page = 0; page < 4; page++)
		assert_int_equal(fixture_peek(page), page + 1);
	for (uint32_t page = 7006; page < 7070; page++)
		assert_true(present(page));
}

static void pin_makes_reclaim_run(void **state)
{
	make_remote();
	use_frames(6000);
	assert_int_equal(hint(FAR_HINT_PIN, 0, OUT), FAR_HINT_OK);
	turn();
	assert_int_equal(pins().pinned, 0);
	assert_int_equal(pins().pinning, OUT);
	for (unsigned i = 0; i < 100 && pins().pinning > 0; i++)
		rest();
	assert_int_equal(pins().pinned, OUT);
	assert_int_equal(counters()->hint_dropped, 0);
	for (uint32_t page = 0; page < OUT; page++)
		assert_int_equal(fixture_peek(page), page + 1);
}

static void hints_leave_reads_to_faults(void **state)
{
	make_remote();
	assert_int_equal(hint(FAR_HINT_PIN, 0, OUT), FAR_HINT_OK);
	turn();
	assert_true(session_reads_free(&fixture.session) >= FIXTURE_READS / 4);
	assert_true(pins().pinning > 0);
	assert_false(fixture_fault(0, OUT - 1, false));
	assert_int_equal(fixture_state(OUT - 1), PAGE_FILLING);
	rest();
	fixture_resume(0);
	assert_int_equal(pins().pinned, OUT);
}

static void server_away_holds_up_nobody(void **state)
{
	make_remote();
	fixture_lose();
	assert_int_equal(hint(FAR_HINT_PIN, 0, 4), FAR_HINT_OK);
	assert_int_equal(hint(FAR_HINT_PREFETCH, 4, 4), FAR_HINT_OK);
	assert_int_equal(hint(FAR_HINT_PIN, 5000, 1), FAR_HINT_OK);
	assert_int_equal(hint(FAR_HINT_UNPIN, 0, 4), FAR_HINT_OK);
	turn();
	assert_int_equal(pins().queued, 0);
	assert_int_equal(pins().pinned, 0);
	assert_int_equal(counters()->hint_dropped, 9);
	for (uint32_t page = 0; page < 8; page++)
		assert_int_equal(fixture_state(page), PAGE_REMOTE);
}

static void failed_read_is_no_content_and_no_pin(void **state)
{
	make_remote();
	assert_int_equal(hint(FAR_HINT_PIN, 0, 2), FAR_HINT_OK);
	assert_int_equal(hint(FAR_HINT_PREFETCH, 2, 1), FAR_HINT_OK);
	turn();
	assert_false(fixture_fault(0, 1, false));
	fixture_lose();
	assert_int_equal(fixture_state(0), PAGE_REMOTE);
	assert_int_equal(fixture_state(2), PAGE_REMOTE);
	/* A vCPU waits for this one, so it is read again, and pinned then. */
	assert_int_equal(fixture_state(1), PAGE_FILLING);
	assert_int_equal(pins().pinned, 1);
	assert_int_equal(counters()->hint_dropped, 2);
	far_verify(fixture.far);
	fixture.session.ready = true;
	far_session_events.extent(fixture.far, 0, 0, RPC_EXTENT_HELD, 0x7000000000ull, 77);
	fixture_ready();
	rest();
	fixture_resume(0);
	assert_int_equal(fixture_peek(1), 2);
	assert_int_equal(pins().pinned, 1);
	/* Another content than was written is none either. */
	*fixture_remote(3) ^= 1;
	assert_int_equal(hint(FAR_HINT_PIN, 3, 1), FAR_HINT_OK);
	turn();
	fixture_answer_reads(SESSION_OK);
	assert_int_equal(fixture_state(3), PAGE_REMOTE);
	assert_int_equal(pins().pinned, 1);
	*fixture_remote(3) ^= 1;
}

static void what_waits_too_long_is_dropped(void **state)
{
	assert_int_equal(hint(FAR_HINT_PIN, 5, 3), FAR_HINT_OK);
	assert_int_equal(hint(FAR_HINT_COLD, 0, 1), FAR_HINT_OK);
	fixture_turns(1900); /* nobody grants the lease */
	assert_int_equal(pins().pinning, 3);
	fixture_turns(200);
	assert_int_equal(pins().queued, 0);
	assert_int_equal(counters()->hint_dropped, 3);
	/* The next one has its own time. */
	assert_int_equal(hint(FAR_HINT_PIN, 5, 3), FAR_HINT_OK);
	fixture_turns(10);
	assert_int_equal(pins().pinning, 3);
	fixture_grant();
	turn();
	assert_int_equal(pins().pinned, 3);
}

static void read_without_an_answer_ends_the_pin(void **state)
{
	make_remote();
	assert_int_equal(hint(FAR_HINT_PIN, 0, 1), FAR_HINT_OK);
	turn();
	assert_false(fixture_fault(0, 0, false));
	fixture_turns(2100);
	assert_int_equal(counters()->fill_abandoned, 1);
	assert_int_equal(pins().pinned, 0);
	rest();
	fixture_resume(0);
	assert_int_equal(fixture_peek(0), 1);
}

static void samples_are_the_newest_fills(void **state)
{
	uint64_t gpa[100];

	make_remote();
	assert_int_equal(far_samples(fixture.far, gpa, 100), 0);
	ask(FAR_HINT_PREFETCH, 20, 2);
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

#define test(name)  cmocka_unit_test_setup_teardown(name, fixture_setup_pin, fixture_teardown)
#define plain(name) cmocka_unit_test_setup_teardown(name, fixture_setup_pin_plain, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(pinned_stays_while_others_go),
		plain(pinned_stays_while_others_go),
		test(all_that_can_be_pinned_leaves_enough),
		test(zero_page_waits_for_its_lease),
		test(remote_page_is_read_and_pinned),
		plain(remote_page_is_read_and_pinned),
		test(victims_are_taken_back),
		test(clean_victim_below_the_low_mark_is_the_faults),
		test(page_being_filled_is_pinned_on_arrival),
		test(page_of_a_stream_is_pinned_too),
		plain(page_of_a_stream_is_pinned_too),
		test(page_being_cleaned_can_be_pinned),
		test(unpin_acts_in_order),
		test(budget_is_exact),
		test(pinned_twice_counts_once),
		test(full_queue_is_busy),
		test(bad_ranges_are_refused),
		test(turns_are_short),
		test(a_session_ends_in_short_turns),
		test(cold_goes_before_warm),
		test(recent_page_holds_up_no_other),
		test(pinned_is_not_cold),
		test(prefetched_counts_as_touched),
		test(prefetch_evicts_nothing_warm),
		test(prefetch_takes_the_frames_of_the_cold),
		test(pin_makes_reclaim_run),
		test(hints_leave_reads_to_faults),
		test(server_away_holds_up_nobody),
		test(failed_read_is_no_content_and_no_pin),
		test(what_waits_too_long_is_dropped),
		test(read_without_an_answer_ends_the_pin),
		test(samples_are_the_newest_fills),
	};

	return cmocka_run_group_tests_name("hint", tests, NULL, NULL);
}
