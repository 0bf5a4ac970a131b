/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "lib/log.h"
#include "machine/clock.h"

uint64_t clock_now(void)
{
	return 12345678900;
}

static void a_line_has_time_and_level(void **state)
{
	char line[LOG_WIDTH];
	uint64_t first = log_next();

	log_warning("server %s is %d", "peer", 3);
	assert_int_equal(log_next(), first + 1);
	assert_int_equal(log_line(first, line, sizeof(line)), 34);
	assert_string_equal(line, "12.345678 warning server peer is 3");
	assert_int_equal(log_line(first + 1, line, sizeof(line)), 0);
}

static void levels_are_dropped(void **state)
{
	uint64_t first = log_next();

	log_debug("not wanted");
	assert_int_equal(log_next(), first);
	log_level(LOG_DEBUG);
	log_debug("wanted");
	assert_int_equal(log_next(), first + 1);
	log_level(LOG_INFO);
}

static void hostile_text_is_cut_and_made_printable(void **state)
{
	char line[LOG_WIDTH], text[400];
	uint64_t first = log_next();

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	memcpy(text, "\033[2J\r\n\x80", 7);
	log_info("%s", text);
	assert_int_equal(log_line(first, line, sizeof(line)), LOG_WIDTH - 1);
	for (size_t i = 0; line[i]; i++)
		assert_in_range(line[i], ' ', '~');
	assert_int_equal(log_line(first, line, 8), 7);
	assert_int_equal(strlen(line), 7);
}

static void old_lines_go(void **state)
{
	char line[LOG_WIDTH];
	uint64_t first = log_next();

	for (unsigned i = 0; i <= LOG_LINES; i++)
		log_info("line %u", i);
	assert_int_equal(log_line(first, line, sizeof(line)), 0);
	assert_true(log_line(first + 1, line, sizeof(line)) > 0);
	assert_non_null(strstr(line, "line 1"));
	assert_int_equal(log_line(UINT64_MAX, line, sizeof(line)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_time_and_level),
		cmocka_unit_test(levels_are_dropped),
		cmocka_unit_test(hostile_text_is_cut_and_made_printable),
		cmocka_unit_test(old_lines_go),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
