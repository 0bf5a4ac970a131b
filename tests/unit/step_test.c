/* SPDX-License-Identifier: MIT */
/* The replay of one instruction: how it begins, ends, and what the guest gets in its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "virt/apic_trap.h"
#include "virt/reset.h"
#include "virt/step.h"
#include "virt/vendor.h"

#define GPA 0xfe123456ull

static struct vcpu v;
static _Alignas(4096) uint8_t page[SLAT_PAGE];
static jmp_buf reset;
static bool stepping, delivering_one, same_region;
static unsigned vector_delivered, injected, added;
static unsigned vector_injected;
static uint64_t detour, apic_gpa;
static uint32_t apic_value;

struct slat virt_slat;

static void step(struct vcpu *vcpu, bool on)
{
	assert_int_not_equal(stepping, on);
	stepping = on;
}

static bool delivering(const struct vcpu *vcpu, unsigned *vector)
{
	*vector = vector_delivered;
	return delivering_one;
}

static void inject(struct vcpu *vcpu, unsigned vector, bool has_error, uint32_t error)
{
	assert_true(has_error && !error);
	injected++;
	vector_injected = vector;
}

static const struct virt_vendor vendor = {.step = step, .delivering = delivering, .inject = inject};
const struct virt_vendor *virt_vendor = &vendor;

void reset_machine(const struct vcpu *vcpu, const char *why)
{
	longjmp(reset, 1);
}

void slat_detour_set(const struct slat *s, struct slat_detour *d, uint64_t gpa, uint64_t hpa)
{
	assert_int_equal(hpa, (uintptr_t)page);
	detour = gpa;
}

bool slat_detour_add(const struct slat *s, struct slat_detour *d, uint64_t gpa, uint64_t hpa)
{
	added++;
	return same_region;
}

void apic_trap_show(uint64_t gpa, uint8_t *to)
{
	memset(to, 0x11, SLAT_PAGE);
}

void apic_trap_write(struct vcpu *vcpu, uint64_t gpa, uint32_t value)
{
	assert_int_equal(vcpu->step, STEP_NONE);
	apic_gpa = gpa;
	apic_value = value;
}

static int fresh(void **state)
{
	v = (struct vcpu){.step_page = page};
	stepping = delivering_one = same_region = false;
	injected = added = 0;
	detour = 0;
	memset(page, 0, sizeof(page));
	return 0;
}

static void absent_memory_is_ones(void **state)
{
	step_begin(&v, STEP_ABSENT, GPA);
	assert_true(stepping && v.flush);
	assert_int_equal(v.step, STEP_ABSENT);
	assert_int_equal(detour, GPA & ~0xfffull);
	for (unsigned i = 0; i < SLAT_PAGE; i++)
		assert_int_equal(page[i], 0xff);
	v.flush = false;
	step_end(&v);
	assert_true(!stepping && v.flush);
	assert_int_equal(v.step, STEP_NONE);
	assert_int_equal(injected, 0);
}

static void an_apic_write_is_done_at_the_end(void **state)
{
	uint32_t value = 0x4400;

	step_begin(&v, STEP_APIC, 0xfee00300);
	assert_int_equal(page[0x300], 0x11);
	memcpy(page + 0x300, &value, 4);
	step_end(&v);
	assert_true(apic_gpa == 0xfee00300 && apic_value == value);
	apic_gpa = 0;
	step_begin(&v, STEP_APIC, 0xfee00300);
	step_cancel(&v);
	assert_true(!stepping && apic_gpa == 0);
}

static void a_second_page_must_be_near(void **state)
{
	same_region = true;
	step_begin(&v, STEP_ABSENT, GPA);
	step_begin(&v, STEP_ABSENT, GPA + SLAT_PAGE);
	assert_true(added == 1 && stepping && injected == 0);
	same_region = false;
	step_begin(&v, STEP_ABSENT, GPA + SLAT_1G);
	assert_true(added == 2 && !stepping && v.step == STEP_NONE);
	assert_true(injected == 1 && vector_injected == 13);
	step_begin(&v, STEP_ABSENT, GPA);
	step_begin(&v, STEP_APIC, 0xfee00300);
	assert_true(added == 2 && !stepping && injected == 2 && vector_injected == 13);
}

static void nothing_lies_above_the_walk(void **state)
{
	step_begin(&v, STEP_ABSENT, SLAT_LIMIT);
	assert_true(!stepping && injected == 1 && vector_injected == 13);
}

/* A stack that is not there: the handler must not run on behind the replay. */
static void an_event_that_cannot_be_delivered_is_a_double_fault(void **state)
{
	delivering_one = true;
	vector_delivered = 14;
	step_begin(&v, STEP_ABSENT, GPA);
	assert_true(!stepping && v.step == STEP_NONE);
	assert_true(injected == 1 && vector_injected == 8);
	delivering_one = false;
	step_begin(&v, STEP_ABSENT, GPA);
	delivering_one = true;
	step_begin(&v, STEP_ABSENT, GPA + SLAT_PAGE);
	assert_true(!stepping && v.step == STEP_NONE && added == 0);
	assert_true(injected == 2 && vector_injected == 8);
}

static void a_double_fault_that_cannot_be_delivered_resets(void **state)
{
	delivering_one = true;
	vector_delivered = 8;
	if (!setjmp(reset)) {
		step_begin(&v, STEP_ABSENT, GPA);
		fail_msg("the machine goes on");
	}
	assert_true(!stepping && injected == 0);
}

static void a_port_is_one_that_nobody_has(void **state)
{
	v.gpr[GPR_RDX] = 0x1234567800000511ull;
	step_begin_port(&v);
	assert_true(stepping && v.step == STEP_PORT);
	assert_true(v.gpr[GPR_RDX] == 0x123456780000fff8ull);
	step_end(&v);
	assert_true(!stepping && v.gpr[GPR_RDX] == 0x1234567800000511ull);
	step_begin_port(&v);
	step_cancel(&v);
	assert_true(!stepping && v.gpr[GPR_RDX] == 0x1234567800000511ull);
	step_begin(&v, STEP_ABSENT, GPA);
	step_begin_port(&v);
	assert_true(!stepping && injected == 1 && vector_injected == 13);
	assert_true(v.gpr[GPR_RDX] == 0x1234567800000511ull);
}

/* DR7: bits 2n and 2n + 1 have breakpoint n on. */
static void only_breakpoints_that_are_on_are_hits(void **state)
{
	assert_int_equal(step_hits(0xffff0fff, 0x400), 0);
	assert_int_equal(step_hits(0xffff0fff, 0x4ff), 15);
	assert_int_equal(step_hits(0xffff0fff, 0x401), 1);
	assert_int_equal(step_hits(0xffff0fff, 0x402), 1);
	assert_int_equal(step_hits(0xffff0fff, 0x404), 2);
	assert_int_equal(step_hits(0xffff0fff, 0x440), 8);
	assert_int_equal(step_hits(0xffff0fff, 0x480), 8);
	assert_int_equal(step_hits(0xffff0ff5, 0x455), 5);
	assert_int_equal(step_hits(0xffff0ff0, 0x4ff), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(absent_memory_is_ones, fresh),
		cmocka_unit_test_setup(an_apic_write_is_done_at_the_end, fresh),
		cmocka_unit_test_setup(a_second_page_must_be_near, fresh),
		cmocka_unit_test_setup(nothing_lies_above_the_walk, fresh),
		cmocka_unit_test_setup(an_event_that_cannot_be_delivered_is_a_double_fault, fresh),
		cmocka_unit_test_setup(a_double_fault_that_cannot_be_delivered_resets, fresh),
		cmocka_unit_test_setup(a_port_is_one_that_nobody_has, fresh),
		cmocka_unit_test_setup(only_breakpoints_that_are_on_are_hits, fresh),
	};

	return cmocka_run_group_tests_name("step", tests, NULL, NULL);
}
