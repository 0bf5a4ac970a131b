/* SPDX-License-Identifier: MIT */
/* boot/e820.c: the guest is told of all RAM that it has, and of none that it has not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "boot/e820.h"
#include "machine/hidden.h"
#include "machine/layout.h"
#include "tests/host/host.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static const struct memmap map = {
	.row = {{0, 0x9fc00, MEMMAP_RAM}, {0x9fc00, 0xa0000, MEMMAP_RESERVED},
		{0xf0000, 0x100000, MEMMAP_RESERVED}, {0x100000, 0x3ffe0000, MEMMAP_RAM},
		{0x3ffe0000, 0x40000000, MEMMAP_ACPI}},
	.rows = 5,
};

/* The type of an address: where rows overlap, a kernel takes what is no RAM. 0: in no row. */
static uint32_t type_of(const struct e820 *e820, uint64_t address)
{
	uint32_t type = 0;

	for (unsigned i = 0; i < e820->rows; i++) {
		const struct e820_row *r = &e820->row[i];

		if (address >= r->start && address - r->start < r->bytes && r->type > type)
			type = r->type;
	}
	return type;
}

static void make(struct e820 *e820, uint64_t low_end)
{
	struct layout_request q = {
		.map = &map, .pinned = 384 * MIB, .far = GIB, .address_limit = 1ull << 40};

	layout_make(&q);
	e820_build(e820, &map, low_end);
}

static void assert_high(const struct e820 *e820)
{
	assert_int_equal(type_of(e820, MIB), MEMMAP_RAM);
	assert_int_equal(type_of(e820, 2 * MIB - 1), MEMMAP_RAM);
	assert_int_equal(type_of(e820, 2 * MIB), MEMMAP_RESERVED);
	assert_int_equal(type_of(e820, layout.hand_off.start), MEMMAP_RESERVED);
	assert_int_equal(type_of(e820, 16 * MIB - 1), MEMMAP_RESERVED);
	assert_int_equal(type_of(e820, 16 * MIB), MEMMAP_RAM);
	assert_int_equal(type_of(e820, 0x3ffdffff), MEMMAP_RESERVED);
	assert_int_equal(type_of(e820, 0x3ffe0000), MEMMAP_ACPI);
	assert_int_equal(type_of(e820, 0xfe000000), MEMMAP_RESERVED);
	assert_int_equal(type_of(e820, layout.far_base), MEMMAP_RAM);
	assert_int_equal(type_of(e820, layout.far_base + GIB - 1), MEMMAP_RAM);
	assert_int_equal(type_of(e820, layout.far_base + GIB), 0);
}

static void as_a_kernel_gets_it(void **state)
{
	static struct e820 e820;

	make(&e820, MIB);
	assert_int_equal(type_of(&e820, 0), MEMMAP_RAM);
	assert_int_equal(type_of(&e820, 0x9efff), MEMMAP_RAM);
	assert_int_equal(type_of(&e820, 0x9fc00), MEMMAP_RESERVED);
	assert_high(&e820);
}

static void as_a_boot_loader_gets_it(void **state)
{
	static struct e820 e820;

	make(&e820, 0x9e000);
	assert_int_equal(type_of(&e820, 0), MEMMAP_RAM);
	assert_int_equal(type_of(&e820, 0x9dfff), MEMMAP_RAM);
	assert_int_equal(type_of(&e820, 0x9e000), MEMMAP_RESERVED);
	assert_int_equal(type_of(&e820, 0x9efff), MEMMAP_RESERVED);
	assert_int_equal(type_of(&e820, 0x9fc00), MEMMAP_RESERVED);
	assert_high(&e820);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_a_kernel_gets_it),
		cmocka_unit_test(as_a_boot_loader_gets_it),
	};

	hidden_add(HIDDEN_MEMORY, 0xfe000000, 0xfe003fff, "fabric NIC");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
