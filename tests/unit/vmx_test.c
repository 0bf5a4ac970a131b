/* SPDX-License-Identifier: MIT */
/* VMX: what an exit kept from being delivered, the guest's NMIs, its MSRs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/panic.h"
#include "machine/apic.h"
#include "machine/x86.h"
#include "virt/apic_trap.h"
#include "virt/vmx/access.h"
#include "virt/vmx/vmx.h"

static uint64_t fields[0x8000];
static uint64_t msr[0x1000];
static uint64_t clock;
static struct cpuid xsave; /* leaf 0xd, 1 */
static bool masked, x2;
static unsigned nmis, injected, advanced;
static uint64_t command;
static uint8_t map[4096];
static struct vmx vmx;
static struct vcpu v;

uint64_t vmread(enum vmcs_field field)
{
	return fields[field];
}

void vmwrite(enum vmcs_field field, uint64_t value)
{
	fields[field] = value;
}

void take_nmi(void)
{
	nmis++;
}

struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	if (leaf == 0xd && subleaf == 1)
		return xsave;
	return (struct cpuid){.ebx = 2, .ecx = 1u << 24};
}

uint64_t rdmsr(uint32_t number)
{
	assert_true(number < 0x1000);
	return msr[number];
}

void wrmsr(uint32_t number, uint64_t value)
{
	assert_true(number < 0x1000);
	msr[number] = value;
}

uint64_t rdtsc(void)
{
	return clock;
}

bool apic_counters_masked(void)
{
	return masked;
}

bool apic_x2(void)
{
	return x2;
}

void apic_trap_write_x2(struct vcpu *from, uint64_t value)
{
	(void)from;
	command = value;
}

void apic_trap_counters(struct vcpu *from, uint32_t value)
{
	from->counters_open = value == 0x400;
}

void vmx_inject(struct vcpu *to, unsigned vector, bool has_error, uint32_t error)
{
	(void)to, (void)has_error, (void)error;
	assert_int_equal(vector, 13);
	injected++;
}

void vmx_advance(struct vcpu *to, unsigned length)
{
	(void)to;
	assert_int_equal(length, 2);
	advanced++;
}

void panic(const char *text, ...)
{
	mock_assert(false, text, __FILE__, __LINE__);
	abort();
}

static int fresh(void **state)
{
	(void)state;
	memset(fields, 0, sizeof(fields));
	memset(msr, 0, sizeof(msr));
	memset(map, 0, sizeof(map));
	vmx = (struct vmx){.msr_map = map};
	v = (struct vcpu){.vendor = &vmx};
	clock = 1000000;
	masked = x2 = false;
	xsave = (struct cpuid){0};
	nmis = injected = advanced = 0;
	fields[VMCS_LENGTH] = 2;
	return 0;
}

/* An exit whose vectoring information is this; returns what the next entry injects. */
static uint32_t again(uint32_t vectoring)
{
	vmx.vectoring = vectoring;
	vmx_event_exit(&v);
	vmx_event_entry(&v);
	return (uint32_t)fields[VMCS_ENTRY_EVENT];
}

static void deliveries_go_on(void **state)
{
	(void)state;
	assert_int_equal(again(0x30), 0);
	assert_int_equal(again(0x80000030), 0x80000030);
	fields[VMCS_VECTORING_ERROR] = 0x12;
	assert_int_equal(again(0x80000b0e), 0x80000b0e);
	assert_int_equal(fields[VMCS_ENTRY_ERROR], 0x12);
	assert_int_equal(again(0x80000480), 0x80000480);
	assert_int_equal(fields[VMCS_ENTRY_LENGTH], 2);
	assert_int_equal(again(0x80000603), 0x80000603);
	/* Bit 12 means nothing here, and would mean nothing there. */
	assert_int_equal(again(0x80001b0e), 0x80000b0e);
	assert_int_equal(again(0), 0);
}

static void an_interrupted_nmi_is_not_blocked(void **state)
{
	(void)state;
	fields[VMCS_GUEST_BLOCKING] = BLOCKED_NMI;
	assert_int_equal(again(0x80000202), 0x80000202);
	assert_int_equal(fields[VMCS_GUEST_BLOCKING], 0);
}

static void an_interrupted_iret_blocks_again(void **state)
{
	(void)state;
	vmx.reason = REASON_EPT;
	vmx.qualification = EPT_QUALIFY_UNBLOCKED;
	assert_int_equal(again(0), 0);
	assert_int_equal(fields[VMCS_GUEST_BLOCKING], BLOCKED_NMI);
	fields[VMCS_GUEST_BLOCKING] = 0;
	vmx.reason = 10;
	assert_int_equal(again(0), 0);
	assert_int_equal(fields[VMCS_GUEST_BLOCKING], 0);
	/* With an event under way the bit is not about an IRET. */
	vmx.reason = REASON_EPT;
	assert_int_equal(again(0x80000030), 0x80000030);
	assert_int_equal(fields[VMCS_GUEST_BLOCKING], 0);
}

static bool window(void)
{
	return fields[VMCS_PROC] & PROC_NMI_WINDOW;
}

static void nmi_waits_for_its_window(void **state)
{
	static const uint64_t blocking[] = {BLOCKED_NMI, BLOCKED_MOV_SS, BLOCKED_NMI | BLOCKED_STI};

	(void)state;
	v.nmi_pending = true;
	for (unsigned i = 0; i < 3; i++) {
		fields[VMCS_GUEST_BLOCKING] = blocking[i];
		assert_int_equal(again(0), 0);
		assert_true(v.nmi_pending && window());
	}
	fields[VMCS_GUEST_BLOCKING] = 0;
	assert_int_equal(again(0x80000030), 0x80000030);
	assert_true(v.nmi_pending && window());
	v.step = STEP_ABSENT;
	assert_int_equal(again(0), 0);
	assert_true(v.nmi_pending && !window());
	v.step = STEP_NONE;
	fields[VMCS_GUEST_BLOCKING] = BLOCKED_STI;
	assert_int_equal(again(0), 0x80000202);
	assert_false(v.nmi_pending || window());
	assert_int_equal(fields[VMCS_GUEST_BLOCKING], 0);
}

static void an_entry_that_was_prevented_loses_nothing(void **state)
{
	(void)state;
	v.nmi_pending = true;
	vmx_event_entry(&v);
	assert_int_equal(fields[VMCS_ENTRY_EVENT], 0x80000202);
	v.nmi_pending = true;
	vmx_event_entry(&v);
	assert_int_equal(fields[VMCS_ENTRY_EVENT], 0x80000202);
	assert_true(v.nmi_pending && window());
	assert_int_equal(again(0), 0x80000202);
	assert_int_equal(again(0), 0);
}

static void counters_send_once(void **state)
{
	(void)state;
	masked = true;
	assert_false(vmx_event_counters(&v));
	v.counters_open = true;
	assert_true(vmx_event_counters(&v));
	assert_false(vmx_event_counters(&v));
	masked = false;
	v.counters_open = true;
	assert_false(vmx_event_counters(&v));
	assert_true(v.counters_open);
}

static bool read_msr(uint32_t number, uint64_t *value)
{
	unsigned before = injected;

	v.gpr[GPR_RCX] = number;
	vmx_msr_read(&v);
	*value = v.gpr[GPR_RDX] << 32 | (uint32_t)v.gpr[GPR_RAX];
	return injected == before;
}

static bool write_msr(uint32_t number, uint64_t value)
{
	unsigned before = injected;

	v.gpr[GPR_RCX] = number;
	v.gpr[GPR_RAX] = (uint32_t)value;
	v.gpr[GPR_RDX] = value >> 32;
	vmx_msr_write(&v);
	return injected == before;
}

static void absent_msrs(void **state)
{
	static const uint32_t absent[] = {0x11, 0x12, 0x9b, 0x480, 0x48c, 0x491, 0x3f1, 0x560,
		0x570, 0x587, 0x600, 0x17d0, 0x17d4, 0x4b564d00, 0x40000000, 0xc0010117};
	uint64_t value;

	(void)state;
	for (unsigned i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		assert_false(read_msr(absent[i], &value));
		assert_false(write_msr(absent[i], 1));
	}
	assert_int_equal(advanced, 0);
}

static bool closed(uint32_t number, bool write)
{
	return map[(write ? 2048 : 0) + number / 8] >> number % 8 & 1;
}

static void only_rows_exit(void **state)
{
	unsigned count = 0;

	(void)state;
	vmx_msr_prepare(map);
	for (unsigned i = 0; i < sizeof(map) * 8; i++)
		count += map[i / 8] >> i % 8 & 1;
	assert_true(closed(0x48c, false) && closed(0x48c, true));
	assert_true(closed(0x10, true) && closed(0x1b, true) && !closed(0x1b, false));
	assert_true(closed(0x830, true) && closed(0x834, true) && !closed(0x80b, true));
	/* What would write to addresses of the guest's through no table of its own. */
	assert_true(closed(0x3f1, true) && closed(0x3f1, false));
	assert_true(closed(0x600, true) && closed(0x600, false));
	assert_true(closed(0x17d0, true) && closed(0x17d4, true) && closed(0x570, true));
	assert_true(closed(0xda0, true) && !closed(0xda0, false));
	assert_false(closed(0x6e0, true) || closed(0x277, true) || closed(0x1d9, true));
	assert_true(count < 200);
}

/* XRSTORS would load the registers of processor trace past their interception. */
static void no_trace_in_xss(void **state)
{
	(void)state;
	xsave = (struct cpuid){.eax = 7, .ecx = 0x1900};
	assert_false(write_msr(0xda0, 0));
	xsave.eax = 15;
	assert_true(write_msr(0xda0, 0x1800));
	assert_int_equal(msr[0xda0], 0x1800);
	assert_false(write_msr(0xda0, 0x100));
	assert_false(write_msr(0xda0, 0x1900));
	assert_false(write_msr(0xda0, 0x200));
	assert_int_equal(msr[0xda0], 0x1800);
}

static void vmx_is_locked_off(void **state)
{
	uint64_t value;

	(void)state;
	msr[0x3a] = 0x40005;
	assert_true(read_msr(0x3a, &value));
	assert_int_equal(value, 0x40001);
	assert_false(write_msr(0x3a, 5));
}

static void apic_stays(void **state)
{
	(void)state;
	msr[0x1b] = 0xfee00900;
	assert_true(write_msr(0x1b, 0xfee00900));
	assert_false(write_msr(0x1b, 0xfee00100));
	assert_false(write_msr(0x1b, 0xfed00900));
	assert_int_equal(msr[0x1b], 0xfee00900);
}

/* The guest's own time differs by an offset, and its timer's deadlines with it. */
static void tsc_has_an_offset(void **state)
{
	uint64_t value;

	(void)state;
	assert_true(write_msr(0x10, 5000));
	assert_int_equal(v.tsc_offset, 5000 - 1000000ull);
	assert_int_equal(fields[VMCS_TSC_OFFSET], v.tsc_offset);
	assert_true(read_msr(0x3b, &value) && value == v.tsc_offset);
	assert_true(closed(0x6e0, true) && closed(0x6e0, false));
	assert_true(write_msr(0x6e0, 7000));
	assert_int_equal(msr[0x6e0], 1002000);
	assert_true(read_msr(0x6e0, &value) && value == 7000);
	assert_true(write_msr(0x6e0, 0));
	assert_int_equal(msr[0x6e0], 0);
	assert_true(read_msr(0x6e0, &value) && value == 0);
	assert_true(write_msr(0x3b, 0));
	assert_int_equal(v.tsc_offset, 0);
}

static void x2apic_commands_are_checked(void **state)
{
	uint64_t value;

	(void)state;
	assert_false(write_msr(0x830, 0x4400));
	x2 = true;
	assert_true(write_msr(0x830, 0x300004400ull));
	assert_int_equal(command, 0x300004400ull);
	assert_false(write_msr(0x830, 0x304400));
	assert_false(write_msr(0x830, 0x6400));
	assert_true(write_msr(0x830, 0x5400));
	assert_int_equal(command, 0x4400);
	assert_true(write_msr(0x834, 0x400) && v.counters_open);
	assert_int_equal(msr[0x834], 0x400);
	assert_false(write_msr(0x834, 0x100000400ull));
	assert_true(read_msr(0x834, &value) && value == 0x400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(deliveries_go_on, fresh),
		cmocka_unit_test_setup(an_interrupted_nmi_is_not_blocked, fresh),
		cmocka_unit_test_setup(an_interrupted_iret_blocks_again, fresh),
		cmocka_unit_test_setup(nmi_waits_for_its_window, fresh),
		cmocka_unit_test_setup(an_entry_that_was_prevented_loses_nothing, fresh),
		cmocka_unit_test_setup(counters_send_once, fresh),
		cmocka_unit_test_setup(absent_msrs, fresh),
		cmocka_unit_test_setup(only_rows_exit, fresh),
		cmocka_unit_test_setup(no_trace_in_xss, fresh),
		cmocka_unit_test_setup(vmx_is_locked_off, fresh),
		cmocka_unit_test_setup(apic_stays, fresh),
		cmocka_unit_test_setup(tsc_has_an_offset, fresh),
		cmocka_unit_test_setup(x2apic_commands_are_checked, fresh),
	};

	return cmocka_run_group_tests_name("vmx", tests, NULL, NULL);
}
