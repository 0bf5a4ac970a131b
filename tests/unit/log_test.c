/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "lib/log.h"
#include "machine/clock.h"
#include "machine/console.h"

static bool dies; /* the next line's writer, in the middle of it */
static jmp_buf stopped;

uint64_t clock_now(void)
{
	return 12345678900;
}

void console_write(const char *text, size_t length)
{
	if (dies) {
		dies = false;
		longjmp(stopped, 1);
	}
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

/* A CPU that was stopped while it wrote: the report can still be logged, once somebody says so. */
static void the_lock_of_a_stopped_cpu_is_taken_over(void **state)
{
	char line[LOG_WIDTH];
	uint64_t next;

	dies = true;
	if (!setjmp(stopped))
		log_info("never ends");
	next = log_next();
	log_info("lost");
	assert_int_equal(log_next(), next);
	log_take_over();
	log_info("kept");
	assert_int_equal(log_next(), next + 1);
	assert_true(log_line(next, line, sizeof(line)) > 0);
	assert_non_null(strstr(line, "kept"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_time_and_level),
		cmocka_unit_test(levels_are_dropped),
		cmocka_unit_test(hostile_text_is_cut_and_made_printable),
		cmocka_unit_test(old_lines_go),
		cmocka_unit_test(the_lock_of_a_stopped_cpu_is_taken_over),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
