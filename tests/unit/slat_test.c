/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/panic.h"
#include "machine/hidden.h"
#include "machine/layout.h"
#include "machine/memory.h"
#include "slat/slat.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

/* A format that is nobody's: its bits lie elsewhere than EPT's and NPT's. */
static const struct slat_format format = {
	.name = "test",
	.present = 1ull << 63,
	.leaf = 1ull << 63 | 1ull << 62,
	.writable = 1ull << 62,
	.accessed = 1ull << 61,
	.dirty = 1ull << 60,
	.address = 0x000ffffffffff000ull,
};

static const struct slat_tables tables = {
	.format = &format,
	.table = 1ull << 63 | 1ull << 62,
	.large = 1ull << 59,
};

struct layout layout;

static struct hidden row[4];
static unsigned hidden_rows;
static void *taken[512];
static unsigned takes;
static size_t taken_bytes;

void *memory_take(size_t bytes, size_t align, const char *what)
{
	void *p = aligned_alloc(align, bytes);

	assert_non_null(p);
	assert_true(takes < 512);
	memset(p, 0, bytes);
	taken[takes++] = p;
	taken_bytes += bytes;
	return p;
}

unsigned hidden_count(void)
{
	return hidden_rows;
}

const struct hidden *hidden_row(unsigned index)
{
	return &row[index];
}

void panic(const char *text, ...)
{
	mock_assert(false, text, __FILE__, __LINE__);
	abort();
}

static struct slat slat;
static struct slat_window window;
static uint8_t ones[4096] __attribute__((aligned(4096)));

static int fresh(void **state)
{
	(void)state;
	memset(&layout, 0, sizeof(layout));
	layout.own[0] = (struct layout_range){1 * MIB, 15 * MIB - 0x20000};
	layout.own[1] = (struct layout_range){384 * MIB + 0x3000, 600 * MIB};
	layout.own_count = 2;
	layout.ram_end = 1 * GIB;
	layout.far_base = 36 * GIB;
	layout.far_bytes = 3 * GIB / 2;
	layout.address_limit = 1ull << 40;
	row[0] = (struct hidden){HIDDEN_MEMORY, 0xfebc0000, 0xfebc0fff, "one page"};
	row[1] = (struct hidden){HIDDEN_PORTS, 0x510, 0x51b, "no memory"};
	row[2] = (struct hidden){HIDDEN_MEMORY, 0x800000000, 0x800003fff, "above 4 GiB"};
	row[3] = (struct hidden){HIDDEN_MEMORY, 0xe000004000, 0xe000007fff, "above the window"};
	hidden_rows = 4;
	layout.high[0] = (struct layout_range){0xe000000000, 2 * GIB};
	layout.high[1] = (struct layout_range){0xf800000000, 2 * MIB};
	layout.high_count = 2;
	slat_init(&slat, &tables, true);
	slat_build(&slat, (uintptr_t)ones, 0xfee00000, &window);
	return 0;
}

static int done(void **state)
{
	(void)state;
	while (takes)
		free(taken[--takes]);
	taken_bytes = 0;
	return 0;
}

static uint64_t entry(const uint64_t *root, uint64_t gpa, unsigned *level)
{
	for (*level = 3;; --*level) {
		uint64_t e = root[gpa >> (12 + 9 * *level) & 511];

		if (!(e & format.present) || !*level || e & tables.large)
			return e;
		root = (const uint64_t *)(uintptr_t)(e & format.address);
	}
}

static void one_to_one_with_large_leaves(void **state)
{
	static const struct {
		uint64_t gpa;
		unsigned level;
	} at[] = {{0, 0}, {0xa0000, 0}, {16 * MIB, 1}, {32 * MIB, 1}, {384 * MIB + 0x2000, 0},
		{1 * GIB, 2}, {0xb0000000, 2}, {0xfec00000, 1}, {0xfee01000, 0}, {35 * GIB, 2}};

	(void)state;
	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		unsigned level;
		uint64_t e = entry(slat.root, at[i].gpa, &level);

		assert_int_equal(slat_translate(&slat, at[i].gpa + 0x123), at[i].gpa + 0x123);
		assert_int_equal(level, at[i].level);
		assert_true(e & format.writable);
		assert_true(
			(e & (format.accessed | format.dirty)) == (format.accessed | format.dirty));
	}
	assert_true(taken_bytes < 4 * MIB);
}

static void devices_above_the_window(void **state)
{
	unsigned level;

	assert_true(slat_translate(&slat, 0xe000003fff) == 0xe000003fff);
	assert_true(slat_translate(&slat, 0xe000008000) == 0xe000008000);
	assert_true(slat_translate(&slat, 0xe000004010) == (uintptr_t)ones + 0x10);
	assert_false(entry(slat.root, 0xe000004000, &level) & format.writable);
	assert_true(slat_translate(&slat, 0xe07fffffff) == 0xe07fffffff);
	entry(slat.root, 0xe040000000, &level);
	assert_int_equal(level, 2);
	assert_true(slat_translate(&slat, 0xf8001fffff) == 0xf8001fffff);
	assert_true(slat_translate(&slat, 0xe080000000) == SLAT_NONE);
	assert_true(slat_translate(&slat, 0xf800200000) == SLAT_NONE);
	assert_true(slat_translate(&slat, layout.far_base + layout.far_bytes) == SLAT_NONE);
}

static void own_memory_is_not_there(void **state)
{
	(void)state;
	assert_int_equal(slat_translate(&slat, 1 * MIB), SLAT_NONE);
	assert_int_equal(slat_translate(&slat, 16 * MIB - 0x20001), SLAT_NONE);
	assert_int_equal(slat_translate(&slat, 16 * MIB - 0x20000), 16 * MIB - 0x20000);
	assert_int_equal(slat_translate(&slat, 384 * MIB + 0x2fff), 384 * MIB + 0x2fff);
	assert_int_equal(slat_translate(&slat, 384 * MIB + 0x3000), SLAT_NONE);
	assert_int_equal(slat_translate(&slat, 984 * MIB + 0x2fff), SLAT_NONE);
	assert_int_equal(slat_translate(&slat, 984 * MIB + 0x3000), 984 * MIB + 0x3000);
}

static void hidden_memory_is_ones_and_read_only(void **state)
{
	static const uint64_t at[] = {0xfebc0000, 0x800000000, 0x800003000};
	unsigned level;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(slat_translate(&slat, at[i] + 8), (uintptr_t)ones + 8);
		assert_false(entry(slat.root, at[i], &level) & format.writable);
	}
	assert_int_equal(slat_translate(&slat, 0xfebc1000), 0xfebc1000);
	assert_int_equal(slat_translate(&slat, 0x800004000), 0x800004000);
	assert_int_equal(slat_translate(&slat, 0xfee00000), 0xfee00000);
	assert_false(entry(slat.root, 0xfee00000, &level) & format.writable);
}

static void window_is_indexed(void **state)
{
	uint64_t last = layout.far_bytes / 4096 - 1, gpa = layout.far_base + last * 4096;

	(void)state;
	assert_int_equal(window.base, layout.far_base);
	assert_int_equal(window.pages, last + 1);
	assert_int_equal(slat_translate(&slat, layout.far_base), SLAT_NONE);
	assert_int_equal(slat_translate(&slat, gpa), SLAT_NONE);
	for (uint64_t i = 0; i <= last; i += last / 7)
		assert_int_equal(slat_read(&window.leaf[i]), 0);
	slat_write(&window.leaf[last], 0x123000 | format.leaf);
	slat_write(&window.leaf[512], 0x456000 | format.leaf);
	assert_int_equal(slat_translate(&slat, gpa + 1), 0x123001);
	assert_int_equal(slat_translate(&slat, layout.far_base + 2 * MIB), 0x456000);
	assert_int_equal(
		slat_address(&format, slat_read(&window.upper[1])), (uintptr_t)&window.leaf[512]);
	assert_int_equal(slat_translate(&slat, gpa + 4096), SLAT_NONE);
	assert_int_equal(slat_translate(&slat, 1ull << 48), SLAT_NONE);
}

static void detour_changes_one_page_only(void **state)
{
	/* in 1 GiB leaves, in 2 MiB ones, in 4 KiB ones, where nothing is, above the window */
	static const uint64_t at[] = {5 * GIB + 0x7000, 32 * MIB + 0x3000, 0xfee00000,
		1 * MIB + 0x5000, 40 * GIB, 0xffffff000000};
	struct slat_detour d;
	struct slat own;

	(void)state;
	slat_detour_init(&d);
	own = (struct slat){&tables, d.level[3], true};
	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		uint64_t before = slat_translate(&slat, at[i]);

		slat_detour_set(&slat, &d, at[i], 0xabc000);
		assert_int_equal(slat_translate(&own, at[i] + 4), 0xabc004);
		assert_int_equal(slat_translate(&slat, at[i]), before);
		for (int64_t off = -0x2000; off <= 0x2000; off += 0x1000) {
			if (off)
				assert_int_equal(slat_translate(&own, at[i] + off),
					slat_translate(&slat, at[i] + off));
		}
		assert_int_equal(slat_translate(&own, 36 * GIB - 1), 36 * GIB - 1);
	}
	/* far pages are the shared ones, at once */
	slat_write(&window.leaf[3], 0x777000 | format.leaf);
	assert_int_equal(slat_translate(&own, layout.far_base + 3 * 4096), 0x777000);
	assert_true(slat_detour_add(&slat, &d, at[5] + 0x1000, 0xdef000));
	assert_int_equal(slat_translate(&own, at[5] + 0x1000), 0xdef000);
	assert_int_equal(slat_translate(&own, at[5]), 0xabc000);
	assert_false(slat_detour_add(&slat, &d, at[5] - 0x1000, 0xdef000));
}

static void window_over_ram_is_refused(void **state)
{
	struct slat s;

	(void)state;
	layout.far_base = 0;
	slat_init(&s, &tables, true);
	expect_assert_failure(slat_build(&s, (uintptr_t)ones, 0, &window));
}

static void without_giant_pages(void **state)
{
	struct slat s;
	unsigned level;

	(void)state;
	slat_init(&s, &tables, false);
	slat_map(&s, 0, 4 * GIB);
	entry(s.root, 2 * GIB, &level);
	assert_int_equal(level, 1);
	assert_int_equal(slat_translate(&s, 4 * GIB - 1), 4 * GIB - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_to_one_with_large_leaves, fresh, done),
		cmocka_unit_test_setup_teardown(devices_above_the_window, fresh, done),
		cmocka_unit_test_setup_teardown(own_memory_is_not_there, fresh, done),
		cmocka_unit_test_setup_teardown(hidden_memory_is_ones_and_read_only, fresh, done),
		cmocka_unit_test_setup_teardown(window_is_indexed, fresh, done),
		cmocka_unit_test_setup_teardown(detour_changes_one_page_only, fresh, done),
		cmocka_unit_test_setup_teardown(window_over_ram_is_refused, fresh, done),
		cmocka_unit_test_setup_teardown(without_giant_pages, fresh, done),
	};

	return cmocka_run_group_tests_name("slat", tests, NULL, NULL);
}
