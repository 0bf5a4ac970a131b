/* SPDX-License-Identifier: MIT */
/* The memory types that EPT entries take over from the MTRRs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "machine/mtrr.h"
#include "machine/x86.h"

#define KIB 1024ull
#define MIB (1ull << 20)
#define GIB (1ull << 30)

#define ON       0x800ull
#define FIXED_ON 0x400ull

static uint64_t msr[0x300];
static uint32_t features;

struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	(void)leaf, (void)subleaf;
	return (struct cpuid){.edx = features};
}

uint64_t rdmsr(uint32_t number)
{
	assert_true(number < 0x300);
	return msr[number];
}

void wrmsr(uint32_t number, uint64_t value)
{
	(void)number, (void)value;
	fail();
}

uint64_t read_cr0(void)
{
	return 0;
}

/* 40 address bits, as machines have them: the mask stops there. */
static void variable(unsigned i, uint64_t base, uint64_t bytes, uint8_t type)
{
	msr[0x200 + 2 * i] = base | type;
	msr[0x201 + 2 * i] = (0xffffffffffull & ~(bytes - 1)) | ON;
}

static int fresh(void **state)
{
	(void)state;
	memset(msr, 0, sizeof(msr));
	features = 1u << 12;
	msr[0xfe] = 0x508;
	msr[0x2ff] = ON | FIXED_ON | MTRR_WB;
	for (unsigned i = 0x250; i < 0x270; i++)
		msr[i] = 0x0606060606060606ull;
	msr[0x259] = 0; /* 0xa0000: VGA */
	msr[0x26b] = 0x0505050505050500ull; /* 0xd8000: its first 4 KiB UC, then WP */
	variable(0, 3 * GIB, GIB, MTRR_UC);
	return 0;
}

static uint8_t type_of(uint64_t start, uint64_t bytes)
{
	uint8_t type = 0xee;

	assert_true(mtrr_type(start, bytes, &type));
	return type;
}

static void assert_mixed(uint64_t start, uint64_t bytes)
{
	uint8_t type;

	assert_false(mtrr_type(start, bytes, &type));
}

static void default_and_variable(void **state)
{
	(void)state;
	mtrr_save();
	assert_int_equal(type_of(16 * MIB, 2 * MIB), MTRR_WB);
	assert_int_equal(type_of(3 * GIB, GIB), MTRR_UC);
	assert_int_equal(type_of(0xfee00000, 4 * KIB), MTRR_UC);
	assert_int_equal(type_of(2 * GIB, GIB), MTRR_WB);
	assert_int_equal(type_of(4 * GIB, GIB), MTRR_WB);
	assert_mixed(2 * GIB, 2 * GIB);
}

static void fixed_by_pieces(void **state)
{
	(void)state;
	mtrr_save();
	assert_int_equal(type_of(0x9f000, 4 * KIB), MTRR_WB);
	assert_int_equal(type_of(0xa0000, 4 * KIB), MTRR_UC);
	assert_int_equal(type_of(0xbf000, 4 * KIB), MTRR_UC);
	assert_int_equal(type_of(0xc0000, 4 * KIB), MTRR_WB);
	assert_int_equal(type_of(0xd8000, 4 * KIB), MTRR_UC);
	assert_int_equal(type_of(0xd9000, 4 * KIB), 5);
	assert_int_equal(type_of(0xff000, 4 * KIB), MTRR_WB);
	assert_mixed(0, 2 * MIB);
	msr[0x2ff] = ON | MTRR_WT;
	mtrr_save();
	assert_int_equal(type_of(0xa0000, 4 * KIB), MTRR_WT);
}

static void smaller_than_the_page(void **state)
{
	(void)state;
	variable(1, 0xb0000000 + 64 * KIB, 64 * KIB, 1);
	mtrr_save();
	assert_mixed(0xb0000000, 2 * MIB);
	assert_int_equal(type_of(0xb0000000, 64 * KIB), MTRR_WB);
	assert_int_equal(type_of(0xb0010000, 64 * KIB), 1);
	assert_int_equal(type_of(0xb0011000, 4 * KIB), 1);
	assert_int_equal(type_of(0xb0020000, 4 * KIB), MTRR_WB);
}

static void several_speak(void **state)
{
	(void)state;
	variable(1, 0, 4 * GIB, MTRR_WB);
	variable(2, 2 * GIB, GIB, MTRR_WT);
	variable(3, GIB, GIB, 1);
	mtrr_save();
	assert_int_equal(type_of(3 * GIB, GIB), MTRR_UC);
	assert_int_equal(type_of(2 * GIB, GIB), MTRR_WT);
	assert_int_equal(type_of(GIB, GIB), MTRR_UC);
}

static void off_means_uncached(void **state)
{
	(void)state;
	msr[0x2ff] = MTRR_WB;
	mtrr_save();
	assert_int_equal(type_of(16 * MIB, 2 * MIB), MTRR_UC);
	features = 0;
	msr[0x2ff] = ON | MTRR_WB;
	mtrr_save();
	assert_int_equal(type_of(16 * MIB, 2 * MIB), MTRR_UC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(default_and_variable, fresh),
		cmocka_unit_test_setup(fixed_by_pieces, fresh),
		cmocka_unit_test_setup(smaller_than_the_page, fresh),
		cmocka_unit_test_setup(several_speak, fresh),
		cmocka_unit_test_setup(off_means_uncached, fresh),
	};

	return cmocka_run_group_tests_name("mtrr", tests, NULL, NULL);
}
