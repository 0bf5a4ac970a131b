/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "lib/histogram.h"

static void empty(void **state)
{
	static const struct histogram h;

	assert_int_equal(histogram_at(&h, 500), 0);
}

/* One value alone: what comes back is the value, or above it by at most an eighth. */
static void every_size_of_value(void **state)
{
	for (unsigned shift = 0; shift < 42; shift++)
		for (int delta = -1; delta <= 1; delta++) {
			uint64_t v = (1ull << shift) + (uint64_t)delta, at;
			struct histogram h = {0};

			histogram_add(&h, v);
			h.max = UINT64_MAX; /* take the bucket's bound alone */
			at = histogram_at(&h, 500);
			assert_true(at >= v);
			assert_true(at - v <= v / 8);
		}
}

static void percentiles(void **state)
{
	struct histogram h = {0};

	for (uint64_t v = 1; v <= 10000; v++)
		histogram_add(&h, v);
	assert_int_equal(h.count, 10000);
	assert_int_equal(h.max, 10000);
	assert_in_range(histogram_at(&h, 500), 5000, 5625);
	assert_in_range(histogram_at(&h, 990), 9900, 10000);
	assert_int_equal(histogram_at(&h, 1000), 10000);
	assert_int_equal(histogram_at(&h, 0), 1);
}

static void rare_values_show_at_their_rank(void **state)
{
	struct histogram h = {0};

	for (unsigned i = 0; i < 999; i++)
		histogram_add(&h, 100);
	histogram_add(&h, 1000000);
	assert_in_range(histogram_at(&h, 999), 100, 112);
	assert_int_equal(histogram_at(&h, 1000), 1000000);
}

static void values_beyond_the_last_bucket(void **state)
{
	struct histogram h = {0};

	histogram_add(&h, 1ull << 50);
	assert_int_equal(histogram_at(&h, 500), 1ull << 50);
	histogram_add(&h, UINT64_MAX);
	assert_int_equal(h.max, UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty),
		cmocka_unit_test(every_size_of_value),
		cmocka_unit_test(percentiles),
		cmocka_unit_test(rare_values_show_at_their_rank),
		cmocka_unit_test(values_beyond_the_last_bucket),
	};

	return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
