/* SPDX-License-Identifier: MIT */
/* The SLAT in EPT's format: every entry must be one that the CPU takes (SDM vol. 3C 29.3.3.1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "far/page.h"
#include "lib/panic.h"
#include "machine/hidden.h"
#include "machine/layout.h"
#include "machine/memory.h"
#include "machine/mtrr.h"
#include "slat/ept.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

#define RWX        7ull
#define TYPE(e)    ((e) >> 3 & 7)
#define IGNORE_PAT (1ull << 6)
#define LARGE      (1ull << 7)
#define ADDRESS    0x000ffffffffff000ull

struct layout layout;

static void *taken[512];
static unsigned takes;

void *memory_take(size_t bytes, size_t align, const char *what)
{
	void *p = aligned_alloc(align, bytes);

	(void)what;
	assert_non_null(p);
	assert_true(takes < 512);
	memset(p, 0, bytes);
	taken[takes++] = p;
	return p;
}

unsigned hidden_count(void)
{
	return 1;
}

const struct hidden *hidden_row(unsigned index)
{
	static const struct hidden row = {HIDDEN_MEMORY, 0xfebc0000, 0xfebc0fff, "one page"};

	(void)index;
	return &row;
}

void panic(const char *text, ...)
{
	mock_assert(false, text, __FILE__, __LINE__);
	abort();
}

/* UC: VGA and 3-4 GiB. WT: 64 KiB at 768 MiB + 1 MiB. WB: the rest. */
bool mtrr_type(uint64_t start, uint64_t bytes, uint8_t *type)
{
	static const struct {
		uint64_t start, end;
		uint8_t type;
	} rows[] = {{0xa0000, 0xc0000, MTRR_UC}, {3 * GIB, 4 * GIB, MTRR_UC},
		{769 * MIB, 769 * MIB + 0x10000, MTRR_WT}};

	*type = MTRR_WB;
	for (unsigned i = 0; i < 3; i++) {
		if (start + bytes <= rows[i].start || start >= rows[i].end)
			continue;
		*type = rows[i].type;
		return start >= rows[i].start && start + bytes <= rows[i].end;
	}
	return true;
}

static struct slat slat;
static struct slat_window window;
static uint8_t ones[4096] __attribute__((aligned(4096)));

static void build(bool accessed_dirty)
{
	ept_choose(accessed_dirty);
	slat_init(&slat, &ept_tables, true);
	slat_build(&slat, (uintptr_t)ones, 0xfee00000, &window);
}

static int fresh(void **state)
{
	(void)state;
	memset(&layout, 0, sizeof(layout));
	layout.own[0] = (struct layout_range){1 * MIB, 15 * MIB};
	layout.own_count = 1;
	layout.ram_end = 2 * GIB;
	layout.far_base = 36 * GIB;
	layout.far_bytes = GIB;
	layout.address_limit = 1ull << 40;
	build(true);
	return 0;
}

static int done(void **state)
{
	(void)state;
	while (takes)
		free(taken[--takes]);
	return 0;
}

static uint64_t leaves;

/* Every entry below: none of the forms that would be a misconfiguration. */
static void walk(const uint64_t *table, unsigned level, uint64_t gpa)
{
	for (unsigned i = 0; i < 512; i++) {
		uint64_t e = table[i], at = gpa + ((uint64_t)i << (12 + 9 * level));

		if (!(e & RWX))
			continue;
		assert_true(e & 1);
		assert_int_equal(e & ~ADDRESS & ~0xfffull, 0);
		if (level && !(e & LARGE)) {
			assert_int_equal(e & 0x78, 0);
			walk((const uint64_t *)(uintptr_t)(e & ADDRESS), level - 1, at);
			continue;
		}
		leaves++;
		assert_true(level < 3);
		assert_true(TYPE(e) == MTRR_UC || TYPE(e) == MTRR_WT || TYPE(e) == MTRR_WB);
		assert_int_equal(e & ADDRESS & ((1ull << (12 + 9 * level)) - 1), 0);
	}
}

static void nothing_is_misconfigured(void **state)
{
	(void)state;
	slat_write(&window.leaf[5], 0x123000 | window.format->leaf);
	leaves = 0;
	walk(slat.root, 3, 0);
	assert_true(leaves > 512);
}

static void types_are_the_mtrrs(void **state)
{
	static const struct {
		uint64_t gpa;
		unsigned level, type;
	} at[] = {{0x9f000, 0, MTRR_WB}, {0xa0000, 0, MTRR_UC}, {0xc0000, 0, MTRR_WB},
		{16 * MIB, 1, MTRR_WB}, {768 * MIB, 0, MTRR_WB}, {769 * MIB, 0, MTRR_WT},
		{769 * MIB + 0x10000, 0, MTRR_WB}, {770 * MIB, 1, MTRR_WB}, {GIB, 2, MTRR_WB},
		{0xc0000000, 1, MTRR_UC}, {0xfee00000, 0, MTRR_UC}, {4 * GIB, 2, MTRR_WB}};

	(void)state;
	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		unsigned level;
		uint64_t e = slat_entry(&slat, at[i].gpa, &level);

		assert_int_equal(level, at[i].level);
		assert_int_equal(TYPE(e), at[i].type);
		assert_false(e & IGNORE_PAT);
		assert_int_equal(slat_translate(&slat, at[i].gpa + 8), at[i].gpa + 8);
	}
}

/* Frames and scratch pages are the VMM's too: one type for both, whatever the guest's PAT says. */
static void own_pages_are_write_back(void **state)
{
	struct slat_detour d;
	struct slat own;
	unsigned level;
	uint64_t e;

	(void)state;
	e = window.format->leaf;
	assert_int_equal(TYPE(e), MTRR_WB);
	assert_true(e & IGNORE_PAT);
	slat_detour_init(&d);
	slat_detour_set(&slat, &d, 0xfee00000, 0x777000);
	own = (struct slat){&ept_tables, d.level[3], true};
	e = slat_entry(&own, 0xfee00000, &level);
	assert_int_equal(TYPE(e), MTRR_WB);
	assert_true(e & IGNORE_PAT && e & 2);
	walk(own.root, 3, 0);
}

static void read_only_where_it_must_be(void **state)
{
	unsigned level;

	(void)state;
	assert_int_equal(slat_entry(&slat, 0xfee00000, &level) & RWX, 5);
	assert_int_equal(slat_entry(&slat, 0xfebc0000, &level) & RWX, 5);
	assert_int_equal(slat_translate(&slat, 0xfebc0000), (uintptr_t)ones);
	assert_int_equal(slat_entry(&slat, MIB, &level), 0);
}

static void without_accessed_and_dirty(void **state)
{
	(void)state;
	assert_int_equal(ept_pointer(slat.root), (uintptr_t)slat.root | 0x5e);
	assert_true(window.format->accessed && window.format->dirty);
	build(false);
	assert_int_equal(ept_pointer(slat.root), (uintptr_t)slat.root | 0x1e);
	assert_int_equal(window.format->accessed | window.format->dirty, 0);
	walk(slat.root, 3, 0);
}

static void far_states_are_not_present(void **state)
{
	(void)state;
	for (unsigned s = PAGE_ZERO; s < PAGE_RESIDENT; s++) {
		uint64_t e = page_entry(s, s == PAGE_ZERO ? 0 : UINT32_MAX);

		assert_false(slat_present(window.format, e));
		assert_false(e & 1ull << 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_misconfigured, fresh, done),
		cmocka_unit_test_setup_teardown(types_are_the_mtrrs, fresh, done),
		cmocka_unit_test_setup_teardown(own_pages_are_write_back, fresh, done),
		cmocka_unit_test_setup_teardown(read_only_where_it_must_be, fresh, done),
		cmocka_unit_test_setup_teardown(without_accessed_and_dirty, fresh, done),
		cmocka_unit_test_setup_teardown(far_states_are_not_present, fresh, done),
	};

	return cmocka_run_group_tests_name("ept", tests, NULL, NULL);
}
