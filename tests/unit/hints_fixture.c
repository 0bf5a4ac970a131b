/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "far/pcache.h"
#include "tests/unit/hints_fixture.h"

const struct far_counters *hints_counters(void)
{
	return far_counters(fixture.far);
}

uint64_t hints_entry(uint32_t page)
{
	return fixture.window.leaf[page];
}

bool hints_present(uint32_t page)
{
	return slat_present(fixture.window.format, hints_entry(page));
}

bool hints_accessed(uint32_t page)
{
	return hints_present(page) && (hints_entry(page) & fixture.window.format->accessed);
}

struct far_pins hints_pins(void)
{
	struct far_pins p;

	far_pins(fixture.far, &p);
	return p;
}

enum far_hint_result hints_give(enum far_hint kind, uint32_t page, uint32_t pages)
{
	struct far_hint_range range = {FIXTURE_BASE + (uint64_t)page * PAGE_SIZE, pages};

	return far_hint(fixture.far, kind, &range, 1);
}

void hints_turn(void)
{
	far_reclaim(fixture.far, fixture.now);
}

void hints_rest(void)
{
	for (unsigned i = 0; i < 20; i++) {
		fixture_turns(1);
		fixture_grant();
		fixture_answer_writes(SESSION_OK);
		fixture_answer_reads(SESSION_OK);
	}
	fixture.far->low = 4;
}

void hints_ask(enum far_hint kind, uint32_t page, uint32_t pages)
{
	assert_int_equal(hints_give(kind, page, pages), FAR_HINT_OK);
	hints_rest();
	assert_int_equal(hints_pins().queued, 0);
}

void hints_write_page(uint32_t page)
{
	fixture_touch(0, page, true);
	fixture_poke(page, page + 1);
	fixture_turns(1);
	fixture_grant();
}

void hints_press(uint32_t pages)
{
	static uint32_t at;

	for (; pages > 0; pages--, at = (at + 1) % (FILL_END - FILL)) {
		fixture_press(0, FILL + at, 1);
		fixture_answer_writes(SESSION_OK);
	}
	hints_rest();
}

void hints_make_remote(void)
{
	for (uint32_t page = 0; page < OUT; page++)
		hints_write_page(page);
	hints_press(600);
	for (uint32_t page = 0; page < OUT; page++)
		assert_int_equal(fixture_state(page), PAGE_REMOTE);
}

void hints_use_frames(uint32_t first)
{
	fixture_press(0, first++, 1);
	fixture_turns(1);
	for (; pcache_reserve(fixture.far) > fixture.far->low; first++)
		fixture_touch(0, first, false);
}
