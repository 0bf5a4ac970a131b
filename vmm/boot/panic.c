/* SPDX-License-Identifier: MIT */
/* The end, and its report. Trusts nothing: no log, no lock, no memory but the stack and statics. */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include "far/far.h"
#include "lib/event.h"
#include "lib/panic.h"
#include "lib/text.h"
#include "machine/apic.h"
#include "machine/clock.h"
#include "machine/console.h"
#include "machine/cpu.h"
#include "machine/idt.h"
#include "machine/stop.h"
#include "machine/x86.h"
#include "service/service.h"
#include "service/stopped.h"
#include "virt/virt.h"

#define TEXT      1024u
#define SETTLE_NS 20000000ull
#define NOBODY    0xffffffffu

static _Atomic uint32_t panicked_by = NOBODY;
static _Atomic bool stopping;

static void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void print(const char *format, ...)
{
	char line[TEXT];
	va_list args;
	size_t n;

	va_start(args, format);
	n = text_vformat(line, sizeof(line), format, args);
	va_end(args);
	console_write(line, n < sizeof(line) ? n : sizeof(line) - 1);
}

static _Noreturn void halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

void stop_here_if_asked(void)
{
	if (atomic_load(&stopping))
		halt();
}

/* The first to come reports; a second CPU, or a panic within the panic, only halts. */
static void claim(void)
{
	uint32_t nobody = NOBODY;

	__asm__ volatile("cli");
	if (!atomic_compare_exchange_strong(&panicked_by, &nobody, cpu_number()))
		halt();
}

/* Every other CPU: out of the guest at its next exit, and in the VMM held by the NMI gate. */
static void stop_others(void)
{
	atomic_store(&stopping, true);
	virt_stop();
	for (unsigned i = 0; i < layout.cpus; i++) {
		if (i != cpu_number() && cpu_stacks[i].magic == CPU_MAGIC)
			apic_send_nmi(cpu_stacks[i].apic_id);
	}
	clock_wait(SETTLE_NS);
}

static void print_faults(void)
{
	char text[TEXT];

	for (unsigned i = 0; i < layout_guest_cpus() && i < SHOOTDOWN_CPUS; i++) {
		virt_describe(i, text, sizeof(text));
		print("%s\n", text);
		if (virt_mailbox[i].state != MAILBOX_POSTED)
			continue;
		print("CPU %u waits for far page %lx (%s)\n", i, (unsigned long)virt_mailbox[i].gpa,
			virt_mailbox[i].access == MAILBOX_WRITE ? "write" : "read");
		if (!service_far())
			continue;
		far_describe(service_far(), virt_mailbox[i].gpa, text, sizeof(text));
		print("  %s\n", text);
	}
}

static void print_events(void)
{
	struct event_row row[EVENT_KEPT];
	unsigned n = event_last(row);

	print("last %u events:\n", n);
	for (unsigned i = 0; i < n; i++)
		print("  %u %s %lx %lx\n", row[i].sequence, event_name((enum event)row[i].event),
			(unsigned long)row[i].a, (unsigned long)row[i].b);
}

static void print_control(void)
{
	print("CPU %u, APIC id %u%s\n", cpu_number(), cpu_stacks[cpu_number()].apic_id,
		cpu_stacks[cpu_number()].magic == CPU_MAGIC ? "" : ", stack overrun");
	print("cr0 %lx cr2 %lx cr3 %lx cr4 %lx\n", (unsigned long)read_cr0(),
		(unsigned long)read_cr2(), (unsigned long)read_cr3(), (unsigned long)read_cr4());
}

/* The guest has had no turn on this CPU: its APIC is ours. */
static bool own_apic(void)
{
	return !service_ready || (!layout_one_cpu() && cpu_number() == layout.cpus - 1);
}

static _Noreturn void finish(const char *reason)
{
	print_faults();
	print_events();
	print("Annex VMM: stopped\n");
	stopped_run("stopped", reason, own_apic());
}

/* Return addresses by frame pointers are not kept, so the words on the stack that may be some. */
static void print_calls(const uint64_t *sp)
{
	extern const uint8_t image_start[], image_end[];
	const uint64_t *end = (const uint64_t *)(((uint64_t)sp | (CPU_STACK - 1)) + 1);
	unsigned shown = 0;

	print("stack:");
	for (; sp < end && shown < 24; sp++) {
		if (*sp < (uint64_t)image_start || *sp >= (uint64_t)image_end)
			continue;
		print(" %lx", (unsigned long)*sp);
		shown++;
	}
	print("\n");
}

void panic(const char *format, ...)
{
	static char text[TEXT];
	va_list args;

	claim();
	va_start(args, format);
	text_vformat(text, sizeof(text), format, args);
	va_end(args);
	stop_others();
	console_take_back();
	print("\nAnnex VMM panic: %s\nrip %p\n", text, __builtin_return_address(0));
	print_control();
	print_calls(__builtin_frame_address(0));
	finish(text);
}

void stop_with_frame(const struct idt_frame *f)
{
	static char text[64];

	claim();
	stop_others();
	console_take_back();
	text_format(text, sizeof(text), "exception %lu, error %lx, rip %lx",
		(unsigned long)f->vector, (unsigned long)f->error, (unsigned long)f->rip);
	print("\nAnnex VMM panic: %s\n", text);
	print("rip %lx rsp %lx rflags %lx\n", (unsigned long)f->rip, (unsigned long)f->rsp,
		(unsigned long)f->rflags);
	print("rax %lx rbx %lx rcx %lx rdx %lx rsi %lx rdi %lx rbp %lx\n", (unsigned long)f->rax,
		(unsigned long)f->rbx, (unsigned long)f->rcx, (unsigned long)f->rdx,
		(unsigned long)f->rsi, (unsigned long)f->rdi, (unsigned long)f->rbp);
	print("r8 %lx r9 %lx r10 %lx r11 %lx r12 %lx r13 %lx r14 %lx r15 %lx\n",
		(unsigned long)f->r8, (unsigned long)f->r9, (unsigned long)f->r10,
		(unsigned long)f->r11, (unsigned long)f->r12, (unsigned long)f->r13,
		(unsigned long)f->r14, (unsigned long)f->r15);
	print_control();
	print_calls((const uint64_t *)f->rsp);
	finish(text);
}

void panic_boot(const char *format, ...)
{
	static char text[TEXT];
	va_list args;

	claim();
	va_start(args, format);
	text_vformat(text, sizeof(text), format, args);
	va_end(args);
	stop_others();
	console_take_back();
	print("\nAnnex VMM: boot stopped: %s\n", text);
	stopped_run("refused", text, own_apic());
}

void panic_guest(const char *format, ...)
{
	static char text[TEXT];
	va_list args;

	va_start(args, format);
	text_vformat(text, sizeof(text), format, args);
	va_end(args);
	virt_stop();
	if (cpu_number() != layout.cpus - 1)
		panic("%s", text);
	clock_wait(SETTLE_NS);
	console_take_back();
	print("\nAnnex VMM: guest stopped: %s\n", text);
	print_faults();
	print_events();
	console_hand_off();
	service_stopped(text);
}
