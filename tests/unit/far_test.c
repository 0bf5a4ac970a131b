/* SPDX-License-Identifier: MIT */
/* The engine, one rule at a time: pages, faults, reclaim. Servers: far_server_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "far/pcache.h"
#include "tests/host/host.h"
#include "tests/unit/far_fixture.h"

static void entries_keep_the_vendors_bits_clear(void **state)
{
	const uint32_t values[] = {0, 1, 0x7fff, 0x8000, 0x80000000, 0xffffffff};

	for (unsigned s = PAGE_REMOTE; s < PAGE_RESIDENT; s++) {
		for (unsigned i = 0; i < 6; i++) {
			uint64_t entry = page_entry(s, values[i]);

			assert_int_equal(entry & PAGE_ENTRY_CLEAR, 0);
			assert_int_equal(page_entry_state(entry), s);
			assert_int_equal(page_entry_value(entry), values[i]);
			assert_true(page_entry_valid(entry));
			/* L1TF: what a CPU of 44 address bits takes for the address */
			assert_true((entry & 0xffffffff000ull) >= 0xffff8000000ull);
		}
	}
	assert_int_equal(page_entry(PAGE_ZERO, 0), 0);
	assert_true(page_entry_valid(0));
	assert_false(page_entry_valid(page_entry(PAGE_RESIDENT, 1)));
	assert_false(page_entry_valid(page_entry(PAGE_REMOTE, 1) | 1));
	assert_false(page_entry_valid(page_entry(PAGE_REMOTE, 1) | 1ull << 10));
	assert_false(page_entry_valid(page_entry(PAGE_REMOTE, 1) & ~(1ull << 40)));
	assert_false(page_entry_valid(1ull << PAGE_ENTRY_LOW_SHIFT));
}

static const char *refusal(void (*change)(struct far_config *c))
{
	struct far_config c = fixture.config;
	const char *reason = NULL;

	change(&c);
	assert_null(far_start(&c, &reason));
	assert_non_null(reason);
	return reason;
}

static void no_servers(struct far_config *c)
{
	c->servers = 0;
}

static void too_few_frames(struct far_config *c)
{
	c->range[0].frames = FIXTURE_CPUS * FAR_FRAMES_PER_CPU - 1;
}

static void odd_window(struct far_config *c)
{
	c->window.pages = 511;
}

static void odd_frames(struct far_config *c)
{
	c->range[0].hpa += 8;
}

static void far_away_frames(struct far_config *c)
{
	c->range[0].hpa = 1ull << 52;
}

static void more_pins_than_half(struct far_config *c)
{
	c->pin = FIXTURE_FRAMES / 2 + 1;
}

static void pins_below_the_floor(struct far_config *c)
{
	c->pin = 1;
}

static void start_refuses_what_cannot_work(void **state)
{
	assert_non_null(strstr(refusal(no_servers), "server"));
	assert_non_null(strstr(refusal(too_few_frames), "128 frames"));
	assert_non_null(strstr(refusal(odd_window), "2 MiB"));
	assert_non_null(strstr(refusal(odd_frames), "aligned"));
	assert_non_null(strstr(refusal(far_away_frames), "address"));
	assert_non_null(strstr(refusal(more_pins_than_half), "half"));
	assert_non_null(strstr(refusal(pins_below_the_floor), "leaves less"));
}

static void first_touch_is_zero_and_asks_for_the_lease(void **state)
{
	memset(fixture.memory, 0xff, FIXTURE_FRAMES * PAGE_SIZE);
	fixture_touch(0, 5, false);
	assert_int_equal(fixture_state(5), PAGE_RESIDENT);
	assert_int_equal(fixture_peek(5), 0);
	assert_int_equal(fixture.session.reads, 0);
	fixture_turns(1);
	assert_int_equal(fixture.session.leases, 1);
	assert_int_equal(fixture.session.last_lease, 0);
	fixture_touch(0, 6, true);
	fixture_turns(1);
	assert_int_equal(fixture.session.leases, 1);
	fixture_touch(1, 4096, true);
	fixture_turns(1);
	assert_int_equal(fixture.session.last_lease, 1);
}

static void present_page_is_no_work(void **state)
{
	fixture_touch(0, 5, false);
	fixture_touch(1, 5, true);
	assert_int_equal(far_counters(fixture.far)->fault_present, 1);
}

static void dirty_page_goes_out_and_comes_back(void **state)
{
	fixture_make_remote(0x1234);
	assert_int_equal(*(uint64_t *)(void *)(fixture_remote(0) + 8), 0x1234);
	assert_false(fixture_fault(0, 0, false));
	assert_int_equal(fixture_state(0), PAGE_FILLING);
	fixture_answer_reads(SESSION_OK);
	fixture_resume(0);
	assert_int_equal(fixture_peek(0), 0x1234);
}

static void clean_untouched_page_needs_no_write(void **state)
{
	fixture_touch(0, 0, false);
	fixture_turns(1);
	fixture_grant();
	for (unsigned i = 1; i < 600 && fixture_state(0) != PAGE_ZERO; i++)
		fixture_press(0, i, 1);
	assert_int_equal(fixture_state(0), PAGE_ZERO);
	assert_int_equal(fixture.session.writes, 0);
	fixture_touch(0, 0, false);
	assert_int_equal(fixture_peek(0), 0);
}

static void page_written_back_to_zero_sends_nothing(void **state)
{
	fixture_touch(0, 0, true);
	fixture_poke(0, 0);
	fixture_turns(1);
	fixture_grant();
	for (unsigned i = 1; i < 600 && fixture_state(0) != PAGE_ZERO; i++)
		fixture_press(0, i, 1);
	assert_int_equal(fixture_state(0), PAGE_ZERO);
	assert_int_equal(fixture.session.writes, 0);
	assert_true(far_counters(fixture.far)->zero_elided > 0);
}

static void failed_and_corrupt_fills_are_not_mapped(void **state)
{
	fixture_make_remote(0x77);
	fixture_fault(0, 0, false);
	fixture_answer_reads(SESSION_BROKEN);
	assert_false(fixture_done(0));
	assert_int_equal(fixture_state(0), PAGE_FILLING);
	fixture_turns(1);
	fixture_remote(0)[100] ^= 1;
	fixture_answer_reads(SESSION_OK);
	assert_false(fixture_done(0));
	assert_int_equal(far_counters(fixture.far)->fill_corrupt, 1);
	fixture_remote(0)[100] ^= 1;
	fixture_turns(1);
	fixture_answer_reads(SESSION_OK);
	fixture_resume(0);
	assert_int_equal(fixture_peek(0), 0x77);
}

static void corrupt_for_good_stops_the_guest(void **state)
{
	fixture_make_remote(0x77);
	fixture_fault(0, 0, false);
	fixture_remote(0)[9] ^= 1;
	assert_true(host_expect_panic(({
		for (unsigned i = 0; i < 2000; i++) {
			fixture_answer_reads(SESSION_OK);
			fixture_turns(1);
		}
	})));
	assert_int_equal(host_panic_kind(), HOST_PANIC_GUEST);
	assert_non_null(strstr(host_panic_text(), "m0"));
	fixture.far->frame[fixture.far->waiter[0].frame].list = LIST_NONE;
}

static void two_waiters_share_one_read(void **state)
{
	uint32_t reads;

	fixture_make_remote(0x99);
	reads = fixture.session.reads;
	assert_false(fixture_fault(0, 0, false));
	assert_false(fixture_fault(1, 0, true));
	assert_int_equal(fixture.session.reads, reads + 1);
	fixture_answer_reads(SESSION_OK);
	assert_true(fixture_done(0) && fixture_done(1));
}

static void old_acknowledgement_only_frees_its_record(void **state)
{
	fixture_make_writing(0x1);
	fixture_touch(1, 0, true);
	assert_int_equal(far_counters(fixture.far)->victim_hits, 1);
	assert_true(fixture.window.leaf[0] & fixture.window.format->dirty);
	fixture_poke(0, 0x2);
	fixture_answer_writes(SESSION_OK);
	assert_int_equal(far_counters(fixture.far)->writeback_stale, 1);
	assert_int_equal(fixture_state(0), PAGE_RESIDENT);
	assert_true(fixture.far->frame[pcache_mapped(fixture.far, fixture.window.leaf[0])].dirty);
}

static void batch_waits_for_the_vcpu_in_the_guest(void **state)
{
	uint64_t epoch;

	fixture_touch(0, 0, true);
	fixture_poke(0, 1);
	fixture_turns(1);
	fixture_grant();
	shootdown_enter(&fixture.shootdown, 1, &epoch);
	shootdown_flushed(&fixture.shootdown, 1, epoch);
	for (unsigned i = 1; i < 250 && fixture.kicks == 0; i++)
		fixture_press(0, i, 1);
	assert_true(fixture.kicks > 0);
	fixture_turns(5);
	assert_int_equal(fixture.session.writes, 0);
	assert_true(fixture.far->settled < fixture.far->raised);
	assert_true(far_busy(fixture.far));
	epoch = fixture.far->raised;
	shootdown_leave(&fixture.shootdown, 1);
	fixture_turns(1);
	assert_true(fixture.far->settled >= epoch);
}

static void one_shootdown_for_a_batch(void **state)
{
	fixture_turns(1);
	for (unsigned i = 0; i < 600; i++) {
		fixture_press(0, i, 1);
		fixture_grant();
		fixture_answer_writes(SESSION_OK);
	}
	assert_true(far_counters(fixture.far)->evictions > 300);
	assert_true(far_counters(fixture.far)->evictions >= 3 * far_counters(fixture.far)->batches);
	assert_int_equal(far_counters(fixture.far)->fault_waits, 0);
}

static void last_mapped_frames_stay(void **state)
{
	fixture_press(0, 0, 64);
	fixture_grant();
	fixture_press(1, 4096, 600);
	for (uint32_t page = 0; page < 64; page++)
		assert_int_equal(fixture_state(page), PAGE_RESIDENT);
	fixture_press(0, 64, 64);
	fixture_press(1, 5000, 600);
	for (uint32_t page = 0; page < 64; page++)
		assert_int_not_equal(fixture_state(page), PAGE_RESIDENT);
}

static void accessed_pages_outlive_cold_ones(void **state)
{
	unsigned kept = 0;

	fixture_press(0, 0, 40);
	fixture_grant();
	fixture_press(0, 64, 100);
	for (unsigned i = 0; i < 100; i++) {
		for (uint32_t page = 0; page < 40; page++) {
			if (fixture_state(page) == PAGE_RESIDENT)
				fixture_peek(page);
		}
		fixture_press(0, 4096 + i, 1);
	}
	for (uint32_t page = 0; page < 40; page++)
		kept += fixture_state(page) == PAGE_RESIDENT;
	assert_int_equal(kept, 40);
}

static void empty_regions_are_skipped(void **state)
{
	uint64_t a = fixture.window.format->accessed;

	fixture_touch(0, 512 * 3, false);
	assert_true(fixture.window.upper[3] & a);
	assert_false(fixture.window.upper[2] & a);
	fixture_press(0, 4096, 900);
	fixture_grant();
	assert_int_equal(fixture_state(512 * 3), PAGE_ZERO);
	assert_false(fixture.window.upper[3] & a);
}

static void watermarks_follow_the_rate(void **state)
{
	uint32_t total, free, low, high, calm;

	far_frames(fixture.far, &total, &free, &calm, &high);
	assert_int_equal(total, FIXTURE_FRAMES);
	assert_int_equal(free, FIXTURE_FRAMES);
	fixture_press(0, 0, 1);
	for (unsigned i = 0; i < 200; i++) {
		if (fixture_fault(0, i, false))
			fixture_resume(0);
		if (i % 40 == 39)
			fixture_turns(1);
	}
	far_frames(fixture.far, &total, &free, &low, &high);
	assert_true(low > calm && low <= FIXTURE_FRAMES / 8);
	assert_true(high > low && high <= FIXTURE_FRAMES / 4);
	fixture_grant();
	fixture_turns(200);
	far_frames(fixture.far, &total, &free, &low, &high);
	assert_true(low < 2 * calm);
}

static void cleaning_survives_a_write_during_it(void **state)
{
	uint32_t page = ENGINE_NONE;

	fixture_press(0, 0, 1);
	for (unsigned i = 0; i < 200; i++) {
		fixture_touch(0, i, true);
		fixture_poke(i, i + 1);
	}
	fixture_turns(1);
	for (unsigned i = 0; i < 400 && page == ENGINE_NONE; i++) {
		fixture_press(0, 4096 + i, 1);
		fixture_turns(30);
		for (uint32_t p = 0; p < 200; p++) {
			if (fixture_state(p) == PAGE_CLEANING)
				page = p;
		}
		if (page == ENGINE_NONE)
			fixture_answer_writes(SESSION_OK);
	}
	assert_int_not_equal(page, ENGINE_NONE);
	assert_false(fixture.window.leaf[page] & fixture.window.format->writable);
	fixture_touch(1, page, true);
	assert_int_equal(fixture_state(page), PAGE_RESIDENT);
	assert_true(fixture.window.leaf[page] & fixture.window.format->dirty);
	fixture_answer_writes(SESSION_OK);
	assert_true(
		fixture.far->frame[pcache_mapped(fixture.far, fixture.window.leaf[page])].dirty);
}

static void no_dirty_bits_means_write_faults(void **state)
{
	fixture_touch(0, 0, false);
	assert_false(fixture.window.leaf[0] & fixture.window.format->writable);
	fixture_touch(0, 0, true);
	assert_true(fixture.window.leaf[0] & fixture.window.format->writable);
	fixture_touch(0, 1, true);
	assert_true(fixture.window.leaf[1] & fixture.window.format->writable);
	assert_true(fixture.far->frame[pcache_mapped(fixture.far, fixture.window.leaf[1])].dirty);
}

static void no_accessed_bits_still_reclaims(void **state)
{
	for (unsigned i = 0; i < 600; i++) {
		fixture_press(0, i, 1);
		fixture_grant();
		fixture_answer_writes(SESSION_OK);
	}
	assert_true(far_counters(fixture.far)->evictions > 300);
}

static void double_free_is_noticed(void **state)
{
	uint32_t frame;

	fixture_touch(0, 0, false);
	frame = pcache_mapped(fixture.far, fixture.window.leaf[0]);
	assert_true(host_expect_panic(pcache_append(fixture.far, LIST_FREE, 200)));
	assert_int_equal(fixture.far->frame[frame].list, LIST_NONE);
}

static void describe_names_page_and_frame(void **state)
{
	char text[200];

	fixture_touch(0, 3, true);
	far_describe(fixture.far, FIXTURE_BASE + 3 * PAGE_SIZE, text, sizeof(text));
	assert_non_null(strstr(text, "far page 3: RESIDENT"));
	far_describe(fixture.far, FIXTURE_BASE + 4 * PAGE_SIZE, text, sizeof(text));
	assert_non_null(strstr(text, "ZERO"));
	far_describe(fixture.far, 0, text, sizeof(text));
	assert_non_null(strstr(text, "not in the far window"));
}

#define test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define test_plain(name)                                                                           \
	cmocka_unit_test_setup_teardown(name, fixture_setup_plain, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_keep_the_vendors_bits_clear),
		test(start_refuses_what_cannot_work),
		test(first_touch_is_zero_and_asks_for_the_lease),
		test(present_page_is_no_work),
		test(dirty_page_goes_out_and_comes_back),
		test(clean_untouched_page_needs_no_write),
		test(page_written_back_to_zero_sends_nothing),
		test(failed_and_corrupt_fills_are_not_mapped),
		test(corrupt_for_good_stops_the_guest),
		test(two_waiters_share_one_read),
		test(old_acknowledgement_only_frees_its_record),
		test(batch_waits_for_the_vcpu_in_the_guest),
		test(one_shootdown_for_a_batch),
		test(last_mapped_frames_stay),
		test(accessed_pages_outlive_cold_ones),
		test(empty_regions_are_skipped),
		test(watermarks_follow_the_rate),
		test(cleaning_survives_a_write_during_it),
		test_plain(no_dirty_bits_means_write_faults),
		test_plain(no_accessed_bits_still_reclaims),
		test(double_free_is_noticed),
		test(describe_names_page_and_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
