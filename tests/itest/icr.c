/* SPDX-License-Identifier: MIT */
/* Commands to CPUs that are not the guest's, and INIT and SIPI among the guest's own. */
#include "itest.h"

#define VECTOR_NOWHERE 0x09u

static bool is_mine(uint32_t id)
{
	for (unsigned i = 0; i < machine.cpus; i++)
		if (machine.apic_id[i] == id)
			return true;
	return false;
}

/* The service core lives as long as an evicted page comes back right. */
static void lives(uint64_t page, const char *what)
{
	bool good = true;

	for (unsigned i = 0; i < 3; i++) {
		put64(page, get64(page) + 1);
		far_push_out();
		good = get64(page) == i + 1 && good;
	}
	put64(page, 0);
	ok(good, "far memory works after %s", what);
}

static void to_strangers(uint64_t page)
{
	static const struct {
		uint32_t command;
		const char *name;
	} commands[] = {{ICR_INIT | ICR_ASSERT, "INIT to CPUs that are not the guest's"},
		{ICR_SIPI | ICR_ASSERT | VECTOR_NOWHERE, "SIPI to CPUs that are not the guest's"},
		{ICR_NMI | ICR_ASSERT, "NMI to CPUs that are not the guest's"},
		{0x200 | ICR_ASSERT, "SMI to CPUs that are not the guest's"},
		{0x8500, "INIT level de-assert to CPUs that are not the guest's"},
		{ICR_FIXED | ICR_ASSERT | 0x40, "an interrupt to CPUs that are not the guest's"}};

	for (unsigned c = 0; c < sizeof(commands) / sizeof(commands[0]); c++) {
		for (uint32_t id = 0; id < 20; id++)
			if (!is_mine(id))
				apic_send(id, commands[c].command);
		lives(page, commands[c].name);
	}
}

static void broadcasts(uint64_t page)
{
	uint32_t ipis = smp_ipis[1];

	apic_send(0, ICR_FIXED | ICR_ASSERT | ICR_OTHERS | VECTOR_IPI);
	for (unsigned i = 0; i < 50000 && machine.cpus > 1 && smp_ipis[1] == ipis; i++)
		apic_wait_us(10);
	lives(page, "an interrupt to all others");
	if (machine.cpus > 1)
		same(smp_ipis[1], ipis + 1, "which has reached the guest's other CPU");
	apic_send(0, 0x200 | ICR_ASSERT | ICR_OTHERS);
	lives(page, "SMI to all others");
	apic_send(0, ICR_INIT | ICR_ASSERT | ICR_OTHERS);
	apic_wait_us(2000);
	lives(page, "INIT to all others");
	apic_send(0, ICR_SIPI | ICR_ASSERT | ICR_OTHERS | 0x08);
	apic_wait_us(2000);
	lives(page, "SIPI to all others");
}

static volatile bool turns;

static void turn_round(void *argument)
{
	volatile uint64_t *count = argument;

	while (turns)
		(*count)++;
}

static void among_its_own(void)
{
	static uint64_t count;
	uint64_t seen_count;
	uint32_t alive;

	if (machine.cpus == 1) {
		skip("INIT and SIPI among the guest's CPUs", "one guest CPU");
		return;
	}
	ok(smp_start_one(1), "a CPU that got INIT and SIPI starts again");
	turns = true;
	smp_run(1, turn_round, &count);
	alive = smp_alive[1];
	apic_send(machine.apic_id[1], ICR_SIPI | ICR_ASSERT | VECTOR_NOWHERE);
	apic_wait_us(1000);
	seen_count = *(volatile uint64_t *)&count;
	for (unsigned i = 0; i < 50000 && *(volatile uint64_t *)&count == seen_count; i++)
		apic_wait_us(10);
	ok(*(volatile uint64_t *)&count != seen_count, "a running CPU does not hear SIPI");
	apic_send(machine.apic_id[1], ICR_INIT | ICR_ASSERT);
	apic_wait_us(2000);
	seen_count = *(volatile uint64_t *)&count;
	apic_wait_us(2000);
	same(*(volatile uint64_t *)&count, seen_count, "INIT stops a CPU that computes");
	turns = false;
	for (unsigned i = 0; i < 5; i++)
		ok(smp_start_one(1), "and it starts again (%u)", i + 1);
	same(smp_alive[1], alive + 5, "each time once");
}

static uint64_t steps;

static void count_steps(struct frame *f)
{
	steps++;
	(void)f;
}

/* The destination's register keeps its upper byte on all APICs, and does nothing by itself. */
#define FORM(name, value, instruction)                                                             \
	do {                                                                                       \
		uint64_t rip = 0;                                                                  \
		register uint64_t b __asm__("r13") = base;                                         \
		register uint64_t n __asm__("r9") = 0xffffffff00000000 | (value) << 24;            \
		register uint64_t i __asm__("r12") = (APIC_ICR2 - 0x10) / 4;                       \
                                                                                                   \
		__asm__ volatile(instruction "\n\tleaq (%%rip), %3"                                \
				 : "+r"(b), "+r"(n), "+r"(i), "=r"(rip)                            \
				 : "a"((value) << 24), "S"(base + APIC_ICR2)                       \
				 : "memory", "cc");                                                \
		same(apic_read(APIC_ICR2), (value) << 24, "written by " name);                     \
	} while (0)

/* Whatever instruction writes the APIC: the plain ones that the VMM does itself, and others. */
static void forms(uint64_t page)
{
	uint64_t base = rdmsr(MSR_APIC_BASE) & 0x000ffffffffff000ull;

	if (rdmsr(MSR_APIC_BASE) & 1u << 10) {
		skip("instructions that write the APIC", "x2APIC");
		return;
	}
	FORM("MOV of EAX", 0x11ull, "movl %%eax, (%%rsi)");
	FORM("MOV of R9D, displacement of 32 bits", 0x12ull, "movl %%r9d, 0x310(%%r13)");
	FORM("MOV of R9D, displacement of 8 bits", 0x13ull, "movl %%r9d, -0x70+0x70(%%rsi)");
	FORM("MOV of R9D, index", 0x14ull, "movl %%r9d, 0x10(%%r13,%%r12,4)");
	FORM("MOV of a constant", 0x15ull, "movl $0x15000000, 0x310(%%r13)");
	FORM("MOV with a segment prefix", 0x16ull, "movl %%eax, %%ds:(%%rsi)");
	FORM("MOV with a short address", 0x17ull, "movl %%eax, (%%esi)");
	FORM("XCHG", 0x18ull, "movl %%eax, %%r9d\n\txchgl %%r9d, (%%rsi)");
	FORM("MOVNTI", 0x19ull, "movnti %%eax, (%%rsi)");
	FORM("OR", 0x1bull, "orl $0x02000000, (%%rsi)");
	FORM("ADD with LOCK", 0x1cull, "lock addl $0x01000000, (%%rsi)");
	hook[DB] = count_steps;
	steps = 0;
	FORM("MOV of EAX, stepped", 0x1eull,
		"pushfq\n\torl $0x100, (%%rsp)\n\tpopfq\n\tmovl %%eax, (%%rsi)\n\t"
		"pushfq\n\tandl $~0x100, (%%rsp)\n\tpopfq");
	same(steps, 4, "each instruction traps once");
	hook[DB] = NULL;
	apic_write(APIC_ICR2, 0);
	lives(page, "all of them");
}

void test_icr(void)
{
	uint64_t page = far_take(1);

	say("APIC commands");
	forms(page);
	to_strangers(page);
	broadcasts(page);
	among_its_own();
}
