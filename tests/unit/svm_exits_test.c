/* SPDX-License-Identifier: MIT */
/* SVM's exit table: every code of the architecture has a row; what was not asked for stops the VMM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "lib/event.h"
#include "lib/panic.h"
#include "machine/hidden.h"
#include "virt/fault.h"
#include "virt/insn.h"
#include "virt/leaves.h"
#include "virt/ports.h"
#include "virt/reset.h"
#include "virt/step.h"
#include "virt/svm/svm.h"

static jmp_buf out;
static char report[256];
static bool loads_cr;
static unsigned injected, vector_seen, faults;
static struct vmcb vmcb;
static struct svm svm = {.vmcb = &vmcb};
static struct vcpu v = {.vendor = &svm};

void panic(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(report, sizeof(report), format, args);
	va_end(args);
	longjmp(out, 1);
}

void reset_machine(const struct vcpu *vcpu, const char *why)
{
	longjmp(out, 2);
}

void svm_inject(struct vcpu *vcpu, unsigned vector, bool has_error, uint32_t error)
{
	injected++;
	vector_seen = vector;
}

bool insn_loads_cr(const struct vcpu *vcpu)
{
	return loads_cr;
}

void fault_handle(struct vcpu *vcpu, uint64_t gpa, bool write)
{
	faults++;
}

const struct hidden *hidden_find(enum hidden_kind kind, uint64_t first, uint64_t last)
{
	return NULL;
}

bool svm_length(const struct vcpu *vcpu, unsigned opcode, unsigned *length)
{
	return false;
}

void ports_access(struct vcpu *vcpu, uint16_t port, unsigned bytes, bool in)
{
}

bool svm_event_trap(struct vcpu *vcpu)
{
	return false;
}

void event_record(enum event event, uint64_t a, uint64_t b)
{
}

void leaves_cpuid(struct vcpu *vcpu, uint64_t cr4)
{
}

void svm_advance(struct vcpu *vcpu, unsigned length)
{
}

void step_begin_port(struct vcpu *vcpu)
{
}

#define NOTHING(name)                                                                              \
	void name(struct vcpu *vcpu)                                                               \
	{                                                                                          \
	}
NOTHING(step_end)
NOTHING(step_cancel)
NOTHING(svm_event_exit)
NOTHING(svm_event_iret)
NOTHING(svm_event_nmi)
NOTHING(svm_window_close)
NOTHING(svm_window_open)
NOTHING(svm_window_halt)
NOTHING(svm_msr)

/* 0: handled; 1: the VMM stopped; 2: the machine was reset. */
static int leave_with(uint64_t code)
{
	int how;

	vmcb.exit_code = code;
	report[0] = 0;
	injected = 0;
	how = setjmp(out);
	if (how == 0)
		svm_handle(&v);
	return how;
}

static bool known(uint64_t code)
{
	return strcmp(svm_exit_name(code), "unknown") != 0;
}

/* APM vol. 2 table C-1. */
static void test_names(void **state)
{
	for (uint64_t code = 0; code <= 0xa6; code++)
		assert_true(known(code));
	for (uint64_t code = 0x400; code < 0x404; code++)
		assert_true(known(code));
	for (int64_t code = -1; code >= -4; code--) {
		assert_true(known((uint64_t)code));
		assert_true(known((uint32_t)code));
	}
	assert_false(known(0xa7));
	assert_false(known(0xff));
	assert_false(known(0x100));
	assert_false(known(0x404));
	assert_false(known(0x7fffffff));
	assert_string_equal(svm_exit_name(0x72), "cpuid");
	assert_string_equal(svm_exit_name(0x8d), "xsetbv");
	assert_string_equal(svm_exit_name(0x400), "nested_page_fault");
	assert_string_equal(svm_exit_name(UINT64_MAX), "invalid");
}

static void test_unasked(void **state)
{
	static const uint64_t codes[] = {0x00, 0x1f, 0x20, 0x3f, 0x62, 0x63, 0x65, 0x6e, 0x7d, 0x89,
		0x8d, 0x8f, 0x90, 0xa2, 0xa6, 0xa7, 0xff, 0x100, 0x401, 0x404, 0x12345678,
		(uint64_t)-2, (uint64_t)-4};

	for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		assert_int_equal(leave_with(codes[i]), 1);
		assert_non_null(strstr(report, "was not asked for"));
		assert_non_null(strstr(report, svm_exit_name(codes[i])));
	}
}

/* Each exit that is asked for is counted under its name, and no other. */
static void test_counters(void **state)
{
	static const uint64_t codes[] = {
		0x61, 0x64, 0x72, 0x7b, 0x7c, 0x80, 0x81, 0x8a, 0x8b, 0x400};
	const char *name;
	uint64_t value;

	for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		unsigned found = 0, others = 0;

		memset(svm.count, 0, sizeof(svm.count));
		assert_int_equal(leave_with(codes[i]), 0);
		for (unsigned j = 0; svm_counter(&v, j, &name, &value); j++) {
			assert_non_null(name);
			if (!strcmp(name, svm_exit_name(codes[i])))
				found += value;
			else
				others += value;
		}
		assert_int_equal(found, 1);
		assert_int_equal(others, 0);
	}
	assert_int_equal(faults, 1);
}

static void test_handled(void **state)
{
	for (uint64_t code = 0x80; code <= 0x86; code++) {
		assert_int_equal(leave_with(code), 0);
		assert_int_equal(injected, 1);
		assert_int_equal(vector_seen, 6);
	}
	assert_int_equal(leave_with(0x7f), 2);
}

/* QEMU's word for a reserved bit in MOV to CR: #GP, once; VMRUN's own refusal stops the VMM. */
static void test_invalid(void **state)
{
	loads_cr = false;
	v.rip = 0x1000;
	assert_int_equal(leave_with(UINT64_MAX), 1);
	loads_cr = true;
	assert_int_equal(leave_with(UINT64_MAX), 0);
	assert_int_equal(vector_seen, 13);
	assert_int_equal(leave_with(UINT64_MAX), 1);
	/* Something else in between: it is the guest's again. */
	assert_int_equal(leave_with(0x64), 0);
	assert_int_equal(leave_with(UINT64_MAX), 0);
	assert_int_equal(injected, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_unasked),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_handled),
		cmocka_unit_test(test_invalid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
