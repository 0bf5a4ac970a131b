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

static void stores(void **state)
{
	static const struct {
		uint8_t bytes[12];
		unsigned length; /* 0: not one */
		uint32_t value;
	} code[] = {
		{{0x89, 0x07}, 2, 0xa0}, {{0x89, 0xb7, 0x00, 0xc0, 0x5f, 0xff}, 6, 0xa6},
		{{0x44, 0x89, 0x4e, 0x7f}, 4, 0xa9}, {{0x47, 0x89, 0x4c, 0xa5, 0x10}, 5, 0xa9},
		{{0x89, 0x0c, 0x25, 1, 2, 3, 4}, 7, 0xa1}, {{0x89, 0x1d, 1, 2, 3, 4}, 6, 0xa3},
		{{0x89, 0x5c, 0x25, 1}, 4, 0xa3}, {{0xc7, 0x07, 1, 2, 3, 4}, 6, 0x04030201},
		{{0x41, 0xc7, 0x85, 0x10, 3, 0, 0, 5, 6, 7, 8}, 11, 0x08070605},
		{{0x48, 0x89, 0x07}, 0, 0}, /* of 8 bytes */
		{{0x66, 0x89, 0x07}, 0, 0}, /* of 2 */
		{{0x3e, 0x89, 0x07}, 0, 0}, {{0x89, 0xc7}, 0, 0}, /* to a register */
		{{0xc7, 0x0f, 1, 2, 3, 4}, 0, 0}, /* no such instruction */
		{{0x87, 0x07}, 0, 0}, {{0x8b, 0x07}, 0, 0}, /* a load */
	};
	struct vcpu v = {.rip = LINEAR};
	unsigned length;
	uint32_t value;

	for (unsigned i = 0; i < 16; i++)
		v.gpr[i] = 0xffffffff000000a0 + i;
	for (unsigned i = 0; i < sizeof(code) / sizeof(code[0]); i++) {
		memcpy(ram[4], code[i].bytes, sizeof(code[i].bytes));
		assert_int_equal(insn_is_store(&v, &length, &value), code[i].length > 0);
		if (code[i].length == 0)
			continue;
		assert_int_equal(length, code[i].length);
		assert_int_equal(value, code[i].value);
		/* Cut off by a page that is not there. */
		v.rip = LINEAR + 4096 - length + 1;
		memcpy(ram[4] + 4096 - length + 1, code[i].bytes, length - 1);
		assert_false(insn_is_store(&v, &length, &value));
		v.rip = LINEAR;
	}
	memcpy(ram[4], code[0].bytes, sizeof(code[0].bytes));
	assert_true(insn_is_store(&v, &length, &value));
	v.rflags = FLAG_TF;
	assert_false(insn_is_store(&v, &length, &value));
	v.rflags = 0;
	now.breakpoints = true;
	assert_false(insn_is_store(&v, &length, &value));
	now.breakpoints = now.code64 = false;
	assert_false(insn_is_store(&v, &length, &value));
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
		cmocka_unit_test_setup(stores, fresh),
		cmocka_unit_test_setup(devices_are_not_touched, fresh),
		cmocka_unit_test_setup(other_modes, fresh),
	};

	return cmocka_run_group_tests_name("insn", tests, NULL, NULL);
}
