/* SPDX-License-Identifier: MIT */
/* Sets of pages, and how they are packed into request words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "guest-agent/ranges.h"

#define SPACE 512u /* pages of the random sets */

static void adds_extend_the_last_range(void **state)
{
	struct ranges r = {0};

	ranges_add(&r, 10, 2);
	ranges_add(&r, 12, 3);
	ranges_add(&r, 20, 0);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.item[0].pages, 5);
	ranges_add(&r, 9, 1);
	assert_int_equal(r.count, 2);
	ranges_normalize(&r);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.item[0].first, 9);
	assert_int_equal(ranges_pages(&r), 6);
	ranges_free(&r);
}

static void words_hold_at_most_512_pages(void **state)
{
	struct ranges r = {0}, back = {0};
	struct ranges_cursor cursor = {0};
	uint64_t words[DOORBELL_WORDS];

	ranges_add(&r, 0x1000, 513);
	ranges_add(&r, 0x5000, 1);
	assert_int_equal(ranges_pack(&r, &cursor, words), 3);
	assert_true(words[0] == (0x1000ull << 12 | 511));
	assert_true(words[1] == 0x1200ull << 12);
	assert_true(words[2] == 0x5000ull << 12);
	assert_int_equal(words[3], 0);
	ranges_unpack(&back, words);
	ranges_normalize(&back);
	assert_int_equal(back.count, 2);
	assert_int_equal(back.item[0].pages, 513);
	assert_int_equal(ranges_pack(&r, &cursor, words), 0);
	ranges_free(&r);
	ranges_free(&back);
}

/* Ten words a request, all pages once, across requests. */
static void packing_goes_on_where_it_stopped(void **state)
{
	struct ranges r = {0}, back = {0};
	struct ranges_cursor cursor = {0};
	uint64_t words[DOORBELL_WORDS];
	unsigned n, requests = 0;

	ranges_add(&r, 1, 3000);
	for (unsigned i = 0; i < 40; i++)
		ranges_add(&r, 10000 + 3 * i, 2);
	while ((n = ranges_pack(&r, &cursor, words))) {
		assert_true(n == DOORBELL_WORDS || cursor.index == r.count);
		ranges_unpack(&back, words);
		requests++;
	}
	assert_int_equal(requests, 5); /* 6 words and 40 */
	ranges_normalize(&back);
	assert_int_equal(ranges_pages(&back), 3080);
	assert_int_equal(back.count, 41);
	ranges_free(&r);
	ranges_free(&back);
}

static void trimming_keeps_the_first_pages(void **state)
{
	struct ranges r = {0};

	ranges_add(&r, 10, 5);
	ranges_add(&r, 20, 5);
	ranges_trim(&r, 7);
	assert_int_equal(ranges_pages(&r), 7);
	assert_true(ranges_contains(&r, 21));
	assert_false(ranges_contains(&r, 22));
	ranges_trim(&r, 5);
	assert_int_equal(r.count, 1);
	ranges_trim(&r, 0);
	assert_int_equal(r.count, 0);
	ranges_free(&r);
}

static void random_set(struct ranges *r, unsigned char map[SPACE])
{
	unsigned count = (unsigned)rand() % 40;

	memset(map, 0, SPACE);
	ranges_clear(r);
	for (unsigned i = 0; i < count; i++) {
		unsigned first = (unsigned)rand() % SPACE;
		unsigned pages = 1 + (unsigned)rand() % (rand() % 4 ? 4 : 60);

		if (pages > SPACE - first)
			pages = SPACE - first;
		ranges_add(r, first, pages);
		memset(map + first, 1, pages);
	}
	ranges_normalize(r);
}

static void check_set(const struct ranges *r, const unsigned char map[SPACE])
{
	uint64_t pages = 0;

	for (unsigned i = 0; i < SPACE; i++) {
		assert_int_equal(ranges_contains(r, i), map[i]);
		pages += map[i];
	}
	assert_int_equal(ranges_pages(r), pages);
	for (size_t i = 1; i < r->count; i++)
		assert_true(r->item[i].first > r->item[i - 1].first + r->item[i - 1].pages);
}

/* Against a map of pages. */
static void random_sets_are_what_a_map_says(void **state)
{
	static unsigned char x[SPACE], y[SPACE], z[SPACE];
	struct ranges a = {0}, b = {0}, out = {0};

	srand(7);
	for (unsigned round = 0; round < 3000; round++) {
		random_set(&a, x);
		random_set(&b, y);
		check_set(&a, x);
		ranges_difference(&out, &a, &b);
		for (unsigned i = 0; i < SPACE; i++)
			z[i] = x[i] && !y[i];
		check_set(&out, z);
		ranges_intersection(&out, &a, &b);
		for (unsigned i = 0; i < SPACE; i++)
			z[i] = x[i] && y[i];
		check_set(&out, z);
		ranges_append(&a, &b);
		ranges_normalize(&a);
		for (unsigned i = 0; i < SPACE; i++)
			z[i] = x[i] || y[i];
		check_set(&a, z);
	}
	ranges_free(&a);
	ranges_free(&b);
	ranges_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adds_extend_the_last_range),
		cmocka_unit_test(words_hold_at_most_512_pages),
		cmocka_unit_test(packing_goes_on_where_it_stopped),
		cmocka_unit_test(trimming_keeps_the_first_pages),
		cmocka_unit_test(random_sets_are_what_a_map_says),
	};

	return cmocka_run_group_tests_name("agent ranges", tests, NULL, NULL);
}
