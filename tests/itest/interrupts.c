/* SPDX-License-Identifier: MIT */
/* Interrupts of the guest's own APIC, HLT, the interrupt shadow, the task priority. */
#include "itest.h"

#define ROUNDS 120u

static void timer(void)
{
	static const uint32_t ticks[] = {1, 20, 300, 4000, 50000, 600000};
	uint32_t before = seen[VECTOR_TIMER].count;
	unsigned rounds = ROUNDS, got = 0;

	for (unsigned i = 0; i < rounds; i++) {
		uint32_t now = seen[VECTOR_TIMER].count;

		apic_timer(ticks[i % 6]);
		/* HLT may end early; it must not outlast the interrupt. */
		while (seen[VECTOR_TIMER].count == now)
			__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
		got++;
	}
	same(got, rounds, "STI; HLT ends by each of %u timer interrupts", rounds);
	same(seen[VECTOR_TIMER].count, before + rounds, "none comes twice");
}

/* Interrupts while far faults go on, and none of either is lost. */
static void during_faults(void)
{
	uint32_t before = seen[VECTOR_TIMER].count;
	unsigned pages = 64, rounds = 64;
	uint64_t base = far_take(pages);
	bool good = true;

	for (unsigned i = 0; i < pages; i++)
		put64(base + i * PAGE, i);
	far_push_out();
	for (unsigned i = 0; i < rounds; i++) {
		uint32_t now = seen[VECTOR_TIMER].count;

		apic_timer(1000 * (i + 1));
		__asm__ volatile("sti" : : : "memory");
		good = get64(base + (i % pages) * PAGE) == i % pages && good;
		while (seen[VECTOR_TIMER].count == now)
			cpu_relax();
		__asm__ volatile("cli" : : : "memory");
	}
	ok(good, "far pages are right while interrupts arrive");
	same(seen[VECTOR_TIMER].count, before + rounds, "each interrupt arrives once");
}

static void self_ipi(void)
{
	uint32_t before = seen[VECTOR_IPI].count;
	uint64_t rip, a = 0, c = 0;

	apic_send(apic_id(), ICR_FIXED | ICR_ASSERT | VECTOR_IPI);
	same(seen[VECTOR_IPI].count, before, "an interrupt waits while they are off");
	ok(apic_read(APIC_IRR + 0x10 * (VECTOR_IPI / 32)) >> VECTOR_IPI % 32 & 1,
		"the APIC shows it");
	/* In the shadow of STI an instruction that exits. */
	__asm__ volatile("sti\n\tcpuid\n1:\n\tnop\n\tnop\n\tcli\n\tleaq 1b(%%rip), %2"
			 : "+a"(a), "+c"(c), "=r"(rip)
			 :
			 : "ebx", "edx", "memory");
	same(seen[VECTOR_IPI].count, before + 1, "it comes when they are on");
	same(seen[VECTOR_IPI].frame.rip, rip, "behind the instruction that follows STI");
	ok(seen[VECTOR_IPI].frame.rflags & FLAG_IF, "the saved flags have IF");
}

static void task_priority(void)
{
	uint32_t before = seen[VECTOR_IPI].count;

	write_cr8(15);
	apic_send(apic_id(), ICR_FIXED | ICR_ASSERT | VECTOR_IPI);
	__asm__ volatile("sti\n\tnop\n\tnop" : : : "memory");
	(void)cpuid(0, 0);
	same(seen[VECTOR_IPI].count, before, "CR8 = 15 holds an interrupt back");
	write_cr8(0);
	__asm__ volatile("nop\n\tnop\n\tcli" : : : "memory");
	same(seen[VECTOR_IPI].count, before + 1, "CR8 = 0 lets it in");
}

static void halt_with_prefix(void)
{
	uint32_t now = seen[VECTOR_TIMER].count;

	apic_timer(20000);
	while (seen[VECTOR_TIMER].count == now)
		__asm__ volatile("sti\n\t.byte 0x2e, 0x66, 0xf4\n\tcli" : : : "memory");
	same(seen[VECTOR_TIMER].count, now + 1, "HLT with prefixes");
}

void test_interrupts(void)
{
	say("interrupts");
	timer();
	during_faults();
	self_ipi();
	task_priority();
	halt_with_prefix();
}
