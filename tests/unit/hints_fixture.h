/* SPDX-License-Identifier: MIT */
/* The engine's machine (far_fixture.h) with a budget of pins, and the words of tests of hints. */
#ifndef ANNEX_TESTS_HINTS_FIXTURE_H
#define ANNEX_TESTS_HINTS_FIXTURE_H

#include "tests/unit/far_fixture.h"

#define OUT      32u /* pages 0 to OUT - 1 are REMOTE, each with its number plus 1 in it */
#define FILL     2000u /* pages from here to FILL_END are read, to press */
#define FILL_END 4000u

const struct far_counters *hints_counters(void);
/* The page in the window: its entry, and what that says. */
uint64_t hints_entry(uint32_t page);
bool hints_present(uint32_t page);
bool hints_accessed(uint32_t page);
struct far_pins hints_pins(void);
/* Gives the engine a hint of one range. */
enum far_hint_result hints_give(enum far_hint kind, uint32_t page, uint32_t pages);
/* One turn, without time going on. */
void hints_turn(void);
/* Until everything is done that was asked for and can be done; then there are frames to spare. */
void hints_rest(void);
/* The same, which must be taken and done. */
void hints_ask(enum far_hint kind, uint32_t page, uint32_t pages);
void hints_write_page(uint32_t page);
/* Reads so many pages that nobody has written. */
void hints_press(uint32_t pages);
/* Pages 0 to OUT - 1. */
void hints_make_remote(void);
/* Frames are taken until only the reserve is left that faults live on. */
void hints_use_frames(uint32_t first);

#define hints_case(name) cmocka_unit_test_setup_teardown(name, fixture_setup_pin, fixture_teardown)
#define hints_case_plain(name)                                                                     \
	cmocka_unit_test_setup_teardown(name, fixture_setup_pin_plain, fixture_teardown)

#endif
