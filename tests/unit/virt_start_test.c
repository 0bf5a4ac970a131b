/* SPDX-License-Identifier: MIT */
/* A CPU of the guest's from INIT to its start, and what a report says of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "lib/event.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "machine/apic.h"
#include "machine/clock.h"
#include "machine/cpu.h"
#include "machine/memory.h"
#include "machine/x86.h"
#include "service/service.h"
#include "virt/apic_trap.h"
#include "virt/vendor.h"
#include "virt/virt.h"
#include "virt/wakeup.h"

struct layout layout;
_Atomic uint32_t service_asleep;
uint32_t service_apic_id;

static jmp_buf started;
static unsigned resets, begun;
static uint8_t page;
static bool mailbox;
static struct virt_entry entry_taken;

void panic(const char *format, ...)
{
	fail_msg("%s", format);
	__builtin_trap();
}

void panic_boot(const char *format, ...)
{
	fail_msg("%s", format);
	__builtin_trap();
}

void log_write(enum log_level level, const char *format, ...)
{
}

void event_record(enum event event, uint64_t a, uint64_t b)
{
}

uint64_t clock_now(void)
{
	return 1;
}

void *memory_take(size_t bytes, size_t align, const char *what)
{
	return NULL;
}

void slat_init(struct slat *s, const struct slat_tables *tables, bool giant)
{
}

void slat_build(struct slat *s, uint64_t ones, uint64_t apic, struct slat_window *window)
{
}

void slat_map_same(struct slat *s, uint64_t start, uint64_t end, uint64_t hpa)
{
}

void slat_detour_init(struct slat_detour *d)
{
}

uint64_t apic_trap_page(void)
{
	return 0;
}

void apic_send_nmi(uint32_t id)
{
}

void apic_send_fixed(uint32_t id, uint8_t vector)
{
}

/* Before the CPU is said to wait: from then on a SIPI may come. */
void apic_reset(void)
{
	assert_int_equal(virt_vcpu[1].waiting, 0);
	resets++;
}

bool service_turn(void)
{
	return false;
}

bool wakeup_used(void)
{
	return mailbox;
}

bool wakeup_wait(struct vcpu *v, struct virt_entry *entry)
{
	*entry = (struct virt_entry){.rip = 0x1000000};
	return true;
}

void wakeup_look(void)
{
}

static void nothing(void)
{
}

static void startup(struct vcpu *v, uint8_t at)
{
	page = at;
	longjmp(started, 1);
}

static void begin(struct vcpu *v, const struct virt_entry *entry)
{
	entry_taken = *entry;
	begun++;
	longjmp(started, 1);
}

static uint64_t describe(
	const struct vcpu *v, struct virt_shown *shown, char *buffer, uint64_t size)
{
	*shown = (struct virt_shown){0x10, 0x80010033, 0x7000, 0x2000, 0x20, 0x500};
	return (uint64_t)snprintf(buffer, size, "HLT (0x78) info 0x1");
}

const struct virt_vendor svm_vendor = {
	.close = nothing, .startup = startup, .begin = begin, .describe = describe};
const struct virt_vendor vmx_vendor = {.close = nothing};

/* As the guest may leave it, and a SIPI to page 0x9a there already. */
static int used(void **state)
{
	layout.cpus = 3;
	virt_vendor = &svm_vendor;
	virt_vcpu[1] = (struct vcpu){.cpu = 1,
		.vendor = &layout,
		.counters_open = true,
		.apic_ldr = 0x2000000,
		.apic_dfr = 0x0fffffff,
		.nmi_pending = true,
		.sipi = VCPU_SIPI | 0x9a};
	resets = begun = 0;
	page = 0;
	mailbox = false;
	return 0;
}

static void assert_as_after_init(void)
{
	const struct vcpu *v = &virt_vcpu[1];

	assert_int_equal(resets, 1);
	assert_false(v->counters_open || v->nmi_pending);
	assert_int_equal(v->apic_ldr, 0);
	assert_int_equal(v->apic_dfr, UINT32_MAX);
	assert_int_equal(v->init_asked | v->waiting | v->sipi, 0);
	assert_true(v->flush);
}

static void init_resets_the_apic(void **state)
{
	if (!setjmp(started))
		virt_run_waiting(1);
	assert_int_equal(page, 0x9a);
	assert_as_after_init();
}

static void so_does_a_start_by_the_mailbox(void **state)
{
	mailbox = true;
	if (!setjmp(started))
		virt_run_waiting(1);
	assert_int_equal(begun, 1);
	assert_int_equal(entry_taken.rip, 0x1000000);
	assert_as_after_init();
}

static void a_report_has_exit_and_registers(void **state)
{
	struct vcpu *v = &virt_vcpu[1];
	char text[1024], small[30];

	for (unsigned i = 0; i < 16; i++)
		v->gpr[i] = 0xa0 + i;
	v->rip = 0x1234;
	v->rflags = 2;
	v->asleep = 1;
	virt_describe(1, text, sizeof(text));
	assert_string_equal(text,
		"CPU 1: last exit HLT (0x78) info 0x1, asleep\n"
		"  rip 10:0000000000001234 rflags 2 cr0 80010033 cr2 7000 cr3 2000 cr4 20 "
		"efer 500\n"
		"  rax 00000000000000a0 rbx 00000000000000a3 rcx 00000000000000a1 "
		"rdx 00000000000000a2\n"
		"  rsi 00000000000000a6 rdi 00000000000000a7 rbp 00000000000000a5 "
		"rsp 00000000000000a4\n"
		"  r8  00000000000000a8 r9  00000000000000a9 r10 00000000000000aa "
		"r11 00000000000000ab\n"
		"  r12 00000000000000ac r13 00000000000000ad r14 00000000000000ae "
		"r15 00000000000000af\n");
	virt_describe(1, small, sizeof(small));
	assert_string_equal(small, "CPU 1: last exit HLT (0x78) i");
	virt_describe(2, text, sizeof(text));
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(init_resets_the_apic, used),
		cmocka_unit_test_setup(so_does_a_start_by_the_mailbox, used),
		cmocka_unit_test_setup(a_report_has_exit_and_registers, used),
	};

	return cmocka_run_group_tests_name("virt_start", tests, NULL, NULL);
}
