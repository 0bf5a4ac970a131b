/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "lib/event.h"

static void oldest_first_and_only_the_last(void **state)
{
	struct event_row row[EVENT_KEPT];

	assert_int_equal(event_last(row), 0);
	event_record(EVENT_FAULT, 1, 2);
	event_record(EVENT_MAP, 3, 4);
	assert_int_equal(event_last(row), 2);
	assert_int_equal(row[0].event, EVENT_FAULT);
	assert_int_equal(row[0].a, 1);
	assert_int_equal(row[1].b, 4);
	for (uint64_t i = 0; i < 100; i++)
		event_record(EVENT_WRITE, i, 0);
	assert_int_equal(event_last(row), EVENT_KEPT);
	for (unsigned i = 0; i < EVENT_KEPT; i++) {
		assert_int_equal(row[i].a, 100 - EVENT_KEPT + i);
		assert_int_equal(row[i].sequence, 102 - EVENT_KEPT + i);
	}
}

static void every_event_has_a_name(void **state)
{
	for (unsigned i = 0; i < EVENT_COUNT; i++)
		assert_non_null(event_name((enum event)i));
	assert_string_equal(event_name(EVENT_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(oldest_first_and_only_the_last),
		cmocka_unit_test(every_event_has_a_name),
	};

	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
