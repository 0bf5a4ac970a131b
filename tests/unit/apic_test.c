/* SPDX-License-Identifier: MIT */
/* The VMM's own use of a local APIC: taken for its timer, reset for the guest (SDM vol. 3A 11). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "lib/panic.h"
#include "machine/apic.h"
#include "machine/clock.h"
#include "machine/x86.h"

#define BASE   0x50000000ul
#define X2     (1u << 10)
#define MASKED 0x10000u

static uint64_t base;
static uint32_t x2[0x40]; /* registers 0x800.. */
static uint8_t pic[2];
static unsigned eois;
static unsigned steps; /* of the base register */

uint64_t rdmsr(uint32_t msr)
{
	return msr == MSR_APIC_BASE ? base : x2[msr - 0x800];
}

/* In service: each EOI ends the highest one. */
static void end_of_interrupt(void)
{
	eois++;
	for (unsigned i = 8; i-- > 0;) {
		uint32_t *word = &x2[0x10 + i];

		if (*word) {
			*word &= ~(1u << (31 - __builtin_clz(*word)));
			return;
		}
	}
}

void wrmsr(uint32_t msr, uint64_t value)
{
	if (msr == MSR_APIC_BASE) {
		/* From disabled to x2APIC in one step is #GP (SDM vol. 3A 11.12.5). */
		assert_false(!(base & 1u << 11) && value & X2);
		steps += base != value;
		base = value;
	} else if (msr == 0x80b)
		end_of_interrupt();
	else
		x2[msr - 0x800] = (uint32_t)value;
}

uint8_t in8(uint16_t port)
{
	return pic[port == 0xa1];
}

void out8(uint16_t port, uint8_t value)
{
	assert_true(port == 0x21 || port == 0xa1);
	pic[port == 0xa1] = value;
}

uint64_t clock_tsc(uint64_t ns)
{
	return ns;
}

void clock_wait(uint64_t ns)
{
}

/* 1 GHz, both. */
struct clock_sample clock_sample(uint32_t (*read)(void))
{
	static uint64_t tsc;

	tsc += 5000000;
	return (struct clock_sample){tsc, (uint32_t)(0xffffffffu - tsc)};
}

void panic_boot(const char *format, ...)
{
	fail_msg("%s", format);
	__builtin_trap();
}

static volatile uint32_t *reg(unsigned offset)
{
	return (volatile uint32_t *)(BASE + offset);
}

static int fresh(void **state)
{
	memset((void *)BASE, 0, 4096);
	memset(x2, 0, sizeof(x2));
	memset(pic, 0, sizeof(pic));
	base = BASE | 0x100;
	eois = 0;
	return 0;
}

static void it_is_not_taken_uncalibrated(void **state)
{
	assert_false(apic_timer_take());
	assert_int_equal(pic[0] | pic[1], 0);
}

static void x2_mode_is_entered_by_way_of_xapic(void **state)
{
	base = BASE | 0x100;
	steps = 0;
	assert_false(apic_x2());
	apic_enter_x2();
	assert_int_equal(steps, 2);
	assert_int_equal(base, BASE | 0x100 | 1u << 11 | X2);
	assert_true(apic_x2());
	x2[2] = 0x12345;
	assert_int_equal(apic_id(), 0x12345);
	apic_enter_x2();
	assert_int_equal(base, BASE | 0x100 | 1u << 11 | X2);
}

/* Their vectors may be those of exceptions: they would look like faults of the VMM. */
static void a_taken_timer_has_no_8259(void **state)
{
	apic_calibrate();
	*reg(0x350) = 0x700; /* LINT0: ExtINT */
	pic[0] = 0xb8;
	pic[1] = 0x8e;
	assert_true(apic_timer_take());
	assert_int_equal(pic[0], 0xff);
	assert_int_equal(pic[1], 0xff);
	assert_true(*reg(0x350) & MASKED);
	assert_int_equal(*reg(0x80), 0x10);
	assert_int_equal(*reg(0xf0), 0x100 | APIC_VECTOR_SPURIOUS);
	assert_true(base & 1u << 11);
	apic_timer(1000);
	assert_int_equal(*reg(0x320), APIC_VECTOR_TIMER);
	assert_int_equal(*reg(0x380), 1001);
	/* Taken again, its entry is masked: the next wait opens it. */
	assert_true(apic_timer_take());
	assert_true(*reg(0x320) & MASKED);
	apic_timer(1000);
	assert_int_equal(*reg(0x320), APIC_VECTOR_TIMER);
}

static void a_reset_masks_and_forgets(void **state)
{
	static const unsigned entries[] = {0x320, 0x330, 0x340, 0x350, 0x360, 0x370};

	for (unsigned i = 0; i < 6; i++)
		*reg(entries[i]) = 0x400;
	*reg(0x30) = 5u << 16 | 0x14;
	*reg(0x80) = 0xf0;
	*reg(0xd0) = 0x2000000;
	*reg(0xe0) = 0x0fffffff;
	apic_reset();
	for (unsigned i = 0; i < 6; i++)
		assert_true(*reg(entries[i]) & MASKED);
	assert_int_equal(*reg(0x80), 0);
	assert_int_equal(*reg(0xd0), 0);
	assert_int_equal(*reg(0xe0), 0xffffffff);
	/* A thermal sensor's entry that is not there is not written. */
	*reg(0x330) = 0x400;
	*reg(0x30) = 4u << 16 | 0x14;
	apic_reset();
	assert_int_equal(*reg(0x330), 0x400);
}

static void a_reset_ends_what_is_in_service(void **state)
{
	base |= 0x800 | X2;
	x2[0x03] = 5u << 16;
	x2[0x11] = 1u << 31 | 1;
	x2[0x17] = 1u << 4;
	x2[0x0d] = 0x12345; /* LDR: read-only there */
	apic_reset();
	assert_int_equal(eois, 3);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(x2[0x10 + i], 0);
	assert_true(x2[0x32] & MASKED && x2[0x34] & MASKED);
	assert_int_equal(x2[0x0d], 0x12345);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(it_is_not_taken_uncalibrated, fresh),
		cmocka_unit_test_setup(x2_mode_is_entered_by_way_of_xapic, fresh),
		cmocka_unit_test_setup(a_taken_timer_has_no_8259, fresh),
		cmocka_unit_test_setup(a_reset_masks_and_forgets, fresh),
		cmocka_unit_test_setup(a_reset_ends_what_is_in_service, fresh),
	};

	if (mmap((void *)BASE, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests_name("apic", tests, NULL, NULL);
}
