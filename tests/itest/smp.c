/* SPDX-License-Identifier: MIT */
/* The other CPUs, started as any kernel does. */
#include <string.h>
#include "itest.h"

#define TRAMPOLINE 0x8000ull
#define STACK      16384u
#define PATIENCE   20000000000ull /* ticks of the TSC */

extern uint8_t trampoline_start[], trampoline_end[], trampoline_data[];
_Noreturn void smp_main(unsigned cpu);

/* head.S knows the offsets. */
struct trampoline {
	uint32_t cr3, unused0;
	uint64_t stack;
	uint32_t cpu, unused1;
	uint32_t cpuid_c;
	uint32_t in8, in16, in32;
	uint16_t count, index;
	uint32_t efer;
};

volatile uint32_t smp_nmis[32], smp_ipis[32], smp_alive[32];

static struct tss *tss[32];
static void (*volatile work[32])(void *);
static void *volatile work_argument[32];

static volatile struct trampoline *data(void)
{
	return (void *)(TRAMPOLINE + (uint64_t)(trampoline_data - trampoline_start));
}

_Noreturn void smp_main(unsigned cpu)
{
	trap_load_gdt(boot_gdt);
	trap_load_idt(boot_idt);
	trap_load_tss(cpu, tss[cpu], boot_gdt);
	write_cr4(read_cr4() | 0x600);
	apic_init();
	smp_alive[cpu]++;
	for (;;) {
		void (*f)(void *) = work[cpu];

		if (f) {
			__asm__ volatile("sti" : : : "memory");
			f(work_argument[cpu]);
			__asm__ volatile("cli" : : : "memory");
			work[cpu] = NULL;
		} else {
			__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
		}
	}
}

void smp_trap(unsigned cpu, struct frame *f)
{
	if (f->vector == NMI) {
		smp_nmis[cpu]++;
	} else if (f->vector >= 32) {
		smp_ipis[cpu] += f->vector == VECTOR_IPI;
		apic_write(APIC_EOI, 0);
	} else {
		say("CPU %u: exception %lu at %lx, cr2 %lx", cpu, f->vector, f->rip, read_cr2());
		ok(false, "CPU %u takes no exception", cpu);
		finish();
	}
}

static bool within(volatile uint32_t *word, uint32_t before)
{
	uint64_t end = rdtsc() + PATIENCE;

	while (*word == before) {
		if (rdtsc() > end)
			return false;
		cpu_relax();
	}
	return true;
}

bool smp_start_one(unsigned cpu)
{
	uint32_t id = machine.apic_id[cpu], before = smp_alive[cpu];
	volatile struct trampoline *t = data();

	if (!tss[cpu])
		tss[cpu] = pinned_take(sizeof(struct tss), PAGE);
	memcpy((void *)TRAMPOLINE, trampoline_start, (size_t)(trampoline_end - trampoline_start));
	t->cr3 = (uint32_t)read_cr3();
	t->stack = (uint64_t)pinned_take(STACK, 16) + STACK;
	t->cpu = cpu;
	work[cpu] = NULL;
	apic_send(id, ICR_INIT | ICR_ASSERT);
	apic_wait_us(10000);
	for (unsigned i = 0; i < 2; i++) {
		apic_send(id, ICR_SIPI | ICR_ASSERT | (uint32_t)(TRAMPOLINE >> 12));
		apic_wait_us(300);
	}
	return within(&smp_alive[cpu], before);
}

void smp_run(unsigned cpu, void (*function)(void *), void *argument)
{
	work_argument[cpu] = argument;
	__asm__ volatile("mfence" : : : "memory");
	work[cpu] = function;
	apic_send(machine.apic_id[cpu], ICR_FIXED | ICR_ASSERT | VECTOR_WAKE);
}

bool smp_wait(unsigned cpu)
{
	uint64_t end = rdtsc() + 5 * PATIENCE;

	while (work[cpu]) {
		if (rdtsc() > end)
			return false;
		cpu_relax();
	}
	return true;
}

void smp_start(void)
{
	for (unsigned i = 1; i < machine.cpus; i++)
		ok(smp_start_one(i), "CPU %u starts by INIT and SIPI", i);
}

/* What the first of them found while it was in real mode. */
void smp_test_start(void)
{
	volatile struct trampoline *t = data();

	if (machine.cpus == 1) {
		skip("exits in real mode", "one guest CPU");
		return;
	}
	ok(!(t->cpuid_c & 1u << 5), "real mode: CPUID with prefixes hides VMX");
	same(t->in8, 0xff, "real mode: IN of 8 bits from a hidden port");
	same(t->in16, 0xffff, "real mode: IN of 16 bits from a hidden port");
	same(t->in32, 0xffffffff, "real mode: IN of 32 bits from a hidden port");
	same(t->count, 0, "real mode: REP INS from a hidden port counts CX down");
	same(t->index, 0xf09, "real mode: REP INS from a hidden port moves DI on");
	ok(get64(TRAMPOLINE + 0xf00) == UINT64_MAX && get8(TRAMPOLINE + 0xf08) == 0xff,
		"real mode: REP INS from a hidden port stores ones");
	same(t->efer, 0, "real mode: EFER is 0 after INIT");
}
