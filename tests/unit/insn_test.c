/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "machine/layout.h"
#include "virt/guest.h"
#include "virt/insn.h"
#include "virt/virt.h"

#define PAGES  16u
#define LINEAR 0xffffffff81234000ull
#define FAR    0x900000000ull

struct layout layout;

static uint8_t ram[PAGES][4096] __attribute__((aligned(4096)));
static _Atomic uint64_t leaf[512];
static const struct slat_format format = {
	.present = 1, .leaf = 7, .writable = 2, .address = 0x000ffffffffff000ull};
static struct slat_window window = {&format, leaf, NULL, FAR, 512};
static struct virt_paging now;

const struct slat_window *virt_window(void)
{
	return &window;
}

static void paging(const struct vcpu *v, struct virt_paging *p)
{
	*p = now;
}

static const struct virt_vendor vendor = {.paging = paging};
const struct virt_vendor *virt_vendor = &vendor;

static uint64_t *table(unsigned page)
{
	return (uint64_t *)ram[page];
}

static uint64_t address(unsigned page)
{
	return (uintptr_t)ram[page];
}

static unsigned slot(unsigned level)
{
	return LINEAR >> (12 + 9 * level) & 511;
}

/* Four levels in pages 0-3; LINEAR is page 4, the page behind it is far. */
static int fresh(void **state)
{
	memset(ram, 0, sizeof(ram));
	memset((void *)leaf, 0, sizeof(leaf));
	layout.pinned[0] = (struct layout_range){address(0), sizeof(ram)};
	layout.pinned_count = 1;
	for (unsigned level = 3; level > 0; level--)
		table(3 - level)[slot(level)] = address(4 - level) | 3;
	table(3)[slot(0)] = address(4) | 3;
	table(3)[slot(0) + 1] = FAR | 3;
	now = (struct virt_paging){.cr0 = 1ull << 31 | 1,
		.cr3 = address(0),
		.cr4 = 1 << 5,
		.long_mode = true,
		.code64 = true};
	return 0;
}

static void prefixes(void **state)
{
	static const uint8_t plain[] = {0x0f, 0xa2}, rex[] = {0x48, 0x0f, 0xa2},
			     many[] = {0x66, 0xf3, 0x2e, 0x67, 0x4f, 0x0f, 0x32},
			     all[4] = {0x66, 0x66, 0x66, 0x66};

	assert_int_equal(insn_prefixes(plain, 2, true), 0);
	assert_int_equal(insn_prefixes(rex, 3, true), 1);
	assert_int_equal(insn_prefixes(rex, 3, false), 0); /* DEC there */
	assert_int_equal(insn_prefixes(many, 7, true), 5);
	assert_int_equal(insn_prefixes(all, 4, true), 4);
}

static void length_across_pages(void **state)
{
	struct vcpu v = {.rip = LINEAR + 4094};
	unsigned length = 0;

	ram[4][4094] = 0x66;
	ram[4][4095] = 0xf3;
	/* the next page has no frame: it cannot be known */
	assert_false(insn_length(&v, 2, &length));
	ram[5][0] = 0x0f;
	leaf[0] = address(5) | 7;
	assert_true(insn_length(&v, 2, &length));
	assert_int_equal(length, 4);
	/* the rest of the page after that is not mapped, and not needed */
	v.rip = LINEAR + 0x1ffe;
	ram[5][4094] = 0x0f;
	assert_true(insn_length(&v, 2, &length));
	assert_int_equal(length, 2);
}

static void prefixes_without_end(void **state)
{
	struct vcpu v = {.rip = LINEAR};
	unsigned length;

	memset(ram[4], 0x66, 32);
	assert_false(insn_length(&v, 2, &length));
}

static void hlt(void **state)
{
	struct vcpu v = {.rip = LINEAR};

	ram[4][0] = 0xf4;
	assert_true(insn_is_hlt(&v));
	ram[4][0] = 0x90;
	assert_false(insn_is_hlt(&v));
	v.rip = 0x1000;
	assert_false(insn_is_hlt(&v));
}

static void devices_are_not_touched(void **state)
{
	uint8_t byte;

	table(3)[slot(0)] = 0xfebc0000 | 3;
	assert_int_equal(guest_read(&now, LINEAR, &byte, 1), 0);
	table(2)[slot(1)] = 0xfec00000 | 0x83;
	assert_int_equal(guest_read(&now, LINEAR, &byte, 1), 0);
	table(0)[slot(3)] = 0xfec00000 | 3;
	assert_int_equal(guest_read(&now, LINEAR, &byte, 1), 0);
	assert_false(guest_read_physical(address(PAGES - 1) + 4095, &byte, 2));
}

static void other_modes(void **state)
{
	uint8_t byte = 0;

	now = (struct virt_paging){0};
	/* real mode: linear is physical; this RAM lies higher than it reaches */
	assert_int_equal(guest_read(&now, address(6) + 5, &byte, 1),
		address(6) + 5 == (uint32_t)(address(6) + 5));
	/* 1 GiB page */
	fresh(state);
	ram[6][5] = 0x5a;
	table(1)[slot(2)] = (address(0) & ~0x3fffffffull) | 0x83;
	assert_int_equal(guest_read(&now, (LINEAR & ~0x3fffffffull) | (address(6) & 0x3fffffff) | 5,
				 &byte, 1),
		1);
	assert_int_equal(byte, 0x5a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(prefixes, fresh),
		cmocka_unit_test_setup(length_across_pages, fresh),
		cmocka_unit_test_setup(prefixes_without_end, fresh),
		cmocka_unit_test_setup(hlt, fresh),
		cmocka_unit_test_setup(devices_are_not_touched, fresh),
		cmocka_unit_test_setup(other_modes, fresh),
	};

	return cmocka_run_group_tests_name("insn", tests, NULL, NULL);
}
