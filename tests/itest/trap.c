/* SPDX-License-Identifier: MIT */
/* GDT, IDT, TSS, and what happens at a gate. */
#include <string.h>
#include "itest.h"

#define GATE_INTERRUPT 0x8e
#define GATE_USER      0xee
#define GATE_BYTES     16u

struct seen seen[256];
void (*volatile hook[256])(struct frame *);
volatile uint64_t catch_rip, catch_rsp;
volatile uint32_t caught;
uint64_t boot_gdt[GDT_ENTRIES] __attribute__((aligned(16)));
struct gate boot_idt[256] __attribute__((aligned(16)));
struct tss boot_tss __attribute__((aligned(4096)));

static volatile uint32_t user_caught;
static volatile bool user_runs;

extern uint8_t gates[];
void user_call(void *code, void *stack);
void user_return(void);
void trap(struct frame *f);

static unsigned cpu_number(void)
{
	uint16_t selector;

	__asm__("str %0" : "=r"(selector));
	return selector ? (selector - SEL_TSS) / 16 : 0;
}

static _Noreturn void unexpected(struct frame *f)
{
	uint64_t cr2 = read_cr2();

	ok(false, "exception %lu (error 0x%lx) at %lx was not expected", f->vector, f->error,
		f->rip);
	say("  cs %lx flags %lx rsp %lx cr2 %lx rax %lx rbx %lx rcx %lx rdx %lx rsi %lx rdi %lx",
		f->cs, f->rflags, f->rsp, cr2, f->rax, f->rbx, f->rcx, f->rdx, f->rsi, f->rdi);
	finish();
}

/* Back into user_run(). */
static void leave_user(struct frame *f, uint32_t why)
{
	user_caught = why;
	user_runs = false;
	f->rip = (uint64_t)user_return;
	f->cs = SEL_CODE64;
	f->ss = SEL_DATA;
	f->rflags = 2;
}

static void look(struct frame *f)
{
	struct seen *s = &seen[f->vector];

	s->frame = *f;
	if (f->vector == PF)
		s->cr2 = read_cr2();
	if (f->vector == DB) {
		__asm__ volatile("movq %%dr6, %0" : "=r"(s->dr6));
		__asm__ volatile("movq %0, %%dr6" : : "r"(0xffff0ff0ull));
	}
	s->count++;
}

void trap(struct frame *f)
{
	unsigned cpu = cpu_number();

	if (cpu) {
		smp_trap(cpu, f);
		return;
	}
	look(f);
	if (hook[f->vector]) {
		hook[f->vector](f);
	} else if (f->vector == VECTOR_EXIT ||
		   (user_runs && f->cs == SEL_USER_CODE && f->vector < 32 && f->vector != NMI)) {
		leave_user(f, f->vector == VECTOR_EXIT ? 0 : CAUGHT(f->vector));
	} else if (f->vector == VECTOR_TIMER || f->vector == VECTOR_IPI) {
		apic_write(APIC_EOI, 0);
	} else if (catch_rip && f->vector < 32 && f->vector != NMI) {
		caught = CAUGHT(f->vector);
		f->rip = catch_rip;
		if (catch_rsp)
			f->rsp = catch_rsp;
		f->rflags &= ~FLAG_TF;
	} else if (f->vector < 32 && f->vector > OF) {
		unexpected(f);
	}
}

unsigned user_run(uint64_t code, uint64_t stack)
{
	user_runs = true;
	user_call((void *)code, (void *)stack);
	return user_caught;
}

unsigned call_code(uint64_t code, struct registers *r)
{
	register uint64_t target __asm__("r8") = code;
	unsigned got = TRY("movq %%rsp, catch_rsp(%%rip)\n\tcall *%%r8",
			   : "+a"(r->rax), "+b"(r->rbx), "+c"(r->rcx), "+d"(r->rdx), "+S"(r->rsi),
			   "+D"(r->rdi), "+r"(target)
			   :
			   : "r9", "r10", "r11", "memory", "cc");

	catch_rsp = 0;
	return got;
}

void trap_load_gdt(uint64_t *gdt)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) r = {GDT_ENTRIES * 8 - 1, (uint64_t)gdt};

	__asm__ volatile("lgdt %0\n\t"
			 "movl %1, %%ds\n\tmovl %1, %%es\n\tmovl %1, %%ss\n\t"
			 "pushq %2\n\tleaq 1f(%%rip), %%rax\n\tpushq %%rax\n\tlretq\n"
			 "1:"
			 :
			 : "m"(r), "r"(SEL_DATA), "i"(SEL_CODE64)
			 : "rax", "memory");
}

void trap_load_idt(const struct gate *idt)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) r = {256 * GATE_BYTES - 1, (uint64_t)idt};

	__asm__ volatile("lidt %0" : : "m"(r) : "memory");
}

void trap_load_tss(unsigned cpu, struct tss *tss, uint64_t *gdt)
{
	uint64_t base = (uint64_t)tss, limit = sizeof(*tss) - 1;
	unsigned at = SEL_TSS / 8 + 2 * cpu;

	gdt[at] = limit | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
	gdt[at + 1] = base >> 32;
	__asm__ volatile("ltr %w0" : : "r"(SEL_TSS + 16 * cpu) : "memory");
}

void trap_set_ist(struct gate *idt, unsigned vector, unsigned ist)
{
	idt[vector].ist = ist;
}

void trap_init(void)
{
	static uint8_t stack0[16384] __attribute__((aligned(16)));

	boot_gdt[SEL_CODE32 / 8] = 0x00cf9b000000ffffull;
	boot_gdt[SEL_CODE64 / 8] = 0x00af9b000000ffffull;
	boot_gdt[SEL_DATA / 8] = 0x00cf93000000ffffull;
	boot_gdt[SEL_USER_DATA / 8] = 0x00cff3000000ffffull;
	boot_gdt[SEL_USER_CODE / 8] = 0x00affb000000ffffull;
	for (unsigned i = 0; i < 256; i++) {
		uint64_t at = (uint64_t)gates + i * GATE_BYTES;

		boot_idt[i] = (struct gate){.offset0 = at,
			.selector = SEL_CODE64,
			.type = i == BP || i == OF || i == VECTOR_SOFT || i == VECTOR_EXIT
					? GATE_USER
					: GATE_INTERRUPT,
			.offset1 = at >> 16,
			.offset2 = at >> 32};
	}
	boot_tss.rsp[0] = (uint64_t)stack0 + sizeof(stack0);
	boot_tss.io_map = offsetof(struct tss, io);
	memset(boot_tss.io, 0xff, sizeof(boot_tss.io));
	trap_load_gdt(boot_gdt);
	trap_load_idt(boot_idt);
	trap_load_tss(0, &boot_tss, boot_gdt);
}
