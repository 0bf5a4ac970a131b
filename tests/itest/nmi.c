/* SPDX-License-Identifier: MIT */
/* NMIs of the guest's own: delivered once, not nested before IRET, never taken for the VMM's kicks. */
#include "itest.h"

#define SOON  1000u /* us */
#define MANY  60u
#define STACK (4 * PAGE)

static volatile unsigned depth, deepest, entries;
static volatile uint64_t handler_rsp;
static volatile bool early; /* another one came while the handler ran */
static uint64_t far_page;

static void send_nmi(void)
{
	apic_send(apic_id(), ICR_NMI | ICR_ASSERT);
}

static bool waited(uint32_t count)
{
	for (unsigned i = 0; i < SOON && seen[NMI].count != count; i++)
		apic_wait_us(10);
	return seen[NMI].count == count;
}

static void enter(void)
{
	entries++;
	if (++depth > deepest)
		deepest = depth;
	handler_rsp = (uint64_t)__builtin_frame_address(0);
}

/* The first one sends two more: one is kept, the other is lost with it. */
static void nested(struct frame *f)
{
	unsigned mine;

	(void)f;
	enter();
	mine = entries;
	if (mine == 1) {
		send_nmi();
		apic_wait_us(50);
		send_nmi();
		(void)cpuid(0, 0);
		(void)get64(far_page);
		(void)in8(0x511);
		apic_wait_us(200);
		(void)cpuid(0, 0);
		early = early || entries != mine;
	}
	depth--;
}

/* An IRET inside the handler lets the next one in. */
static void nested_iret(struct frame *f)
{
	(void)f;
	enter();
	if (entries == 1) {
		send_nmi();
		apic_wait_us(50);
		early = early || entries != 1;
		__asm__ volatile("int3");
		for (unsigned i = 0; i < SOON && entries == 1; i++)
			apic_wait_us(10);
	}
	depth--;
}

static void reset(void (*handler)(struct frame *))
{
	depth = deepest = entries = 0;
	early = false;
	hook[NMI] = handler;
}

static void nesting(void)
{
	uint32_t before = seen[NMI].count;

	put64(far_page, 1);
	far_push_out();
	reset(nested);
	send_nmi();
	waited(before + 2);
	same(entries, 2, "of two NMIs in the handler one is kept");
	same(deepest, 1, "it comes behind the handler's IRET");
	ok(!early, "not before, whatever exits in the handler");
	apic_wait_us(500);
	(void)cpuid(0, 0);
	same(entries, 2, "and none after it");
	before = seen[NMI].count;
	reset(nested_iret);
	send_nmi();
	waited(before + 2);
	same(entries, 2, "an IRET of another exception in the handler lets the next one in");
	same(deepest, 2, "inside the handler");
	ok(!early, "not before that");
	reset(NULL);
}

static void on_own_stack(struct frame *f)
{
	(void)f;
	enter();
	depth--;
}

static void with_ist(void)
{
	static uint8_t stack[STACK] __attribute__((aligned(16)));
	uint64_t far_stack = far_take(4), end;
	uint32_t before = seen[NMI].count;

	end = (uint64_t)stack + STACK;
	boot_tss.ist[2] = end;
	trap_set_ist(boot_idt, NMI, 3);
	reset(on_own_stack);
	send_nmi();
	ok(waited(before + 1), "an NMI with a stack of the interrupt stack table");
	ok(handler_rsp < end && handler_rsp > end - STACK, "its handler runs on that stack");
	boot_tss.ist[2] = far_stack + STACK;
	far_push_out();
	send_nmi();
	ok(waited(before + 2), "an NMI with an evicted far stack");
	ok(handler_rsp < far_stack + STACK && handler_rsp > far_stack,
		"its handler runs on that stack");
	trap_set_ist(boot_idt, NMI, 0);
	reset(NULL);
}

static void repeated(void)
{
	uint32_t before = seen[NMI].count;
	unsigned good = 0;

	for (unsigned i = 0; i < MANY; i++) {
		send_nmi();
		good += waited(before + i + 1);
	}
	same(good, MANY, "%u NMIs to itself, each delivered once", MANY);
	before = seen[NMI].count;
	for (unsigned i = 0; i < 10; i++)
		far_push_out();
	same(seen[NMI].count, before, "the VMM's kicks are not seen as NMIs");
	apic_send(apic_id(), ICR_NMI | ICR_ASSERT);
	__asm__ volatile("sti\n\tnop\n\tcli" : : : "memory");
	ok(waited(before + 1), "an NMI in the shadow of STI");
}

struct sender {
	volatile uint32_t sent;
	uint32_t count;
	bool in_time;
};

/* Another CPU sends; each is waited for, so that no two may become one. */
static void sender(void *argument)
{
	struct sender *s = argument;

	s->in_time = true;
	for (uint32_t i = 0; i < s->count; i++) {
		uint32_t before = seen[NMI].count;

		apic_wait_us(100 + 37 * i % 400);
		s->sent++;
		apic_send(machine.apic_id[0], ICR_NMI | ICR_ASSERT);
		for (unsigned j = 0; j < 100000 && seen[NMI].count == before; j++)
			apic_wait_us(10);
		s->in_time = s->in_time && seen[NMI].count != before;
	}
}

static void from_others(void)
{
	struct sender s = {.count = MANY};
	uint32_t before = seen[NMI].count, other;

	if (machine.cpus == 1) {
		skip("NMIs from another CPU", "one guest CPU");
		return;
	}
	smp_run(1, sender, &s);
	while (s.sent < s.count)
		far_push_out();
	ok(smp_wait(1) && s.in_time, "%u NMIs from another CPU while far pages come and go", MANY);
	same(seen[NMI].count, before + MANY, "each is delivered once");
	s = (struct sender){.count = 5};
	before = seen[NMI].count;
	smp_run(1, sender, &s);
	while (seen[NMI].count < before + 5)
		__asm__ volatile("hlt" : : : "memory");
	ok(smp_wait(1), "HLT with interrupts off ends by an NMI");
	same(seen[NMI].count, before + 5, "each is delivered once");
	other = smp_nmis[1];
	apic_send(0, ICR_NMI | ICR_ASSERT | ICR_OTHERS);
	for (unsigned i = 0; i < SOON && smp_nmis[1] == other; i++)
		apic_wait_us(10);
	same(smp_nmis[1], other + 1, "an NMI to all others reaches them");
	same(seen[NMI].count, before + 5, "and not the sender");
}

void test_nmi(void)
{
	uint32_t before = seen[NMI].count;

	say("NMIs");
	far_page = far_take(1);
	same(before, 0, "none has come unasked so far");
	send_nmi();
	ok(waited(1), "an NMI to itself");
	nesting();
	with_ist();
	repeated();
	from_others();
}
