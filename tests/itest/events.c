/* SPDX-License-Identifier: MIT */
/*
 * Exceptions and interrupts whose delivery touches evicted far memory: the exit comes in the middle of
 * the delivery, and the event must arrive nevertheless, once, with all that belongs to it.
 */
#include <string.h>
#include "itest.h"

#define TABLE_VA   (TEST_VA + 2560 * GIB)
#define UNMAPPED   (TEST_VA + 900 * GIB)
#define NO_SEGMENT 0x100u /* of the GDT: a segment that is not present */
#define STACK      (2 * PAGE)

/* What of it lies in far memory. */
enum place {
	PLACE_IDT = 1,
	PLACE_GDT = 2,
	PLACE_TSS = 4,
	PLACE_STACK = 8, /* by the interrupt stack table */
	PLACE_TABLES = 16, /* the page tables that lead to the IDT */
	PLACE_ALL = 31,
};

static struct gate *far_idt;
static uint64_t *far_gdt;
static struct tss *far_tss;
static uint64_t far_stack, far_tables;

/* The IDT once more, behind page tables that are far themselves. */
static void make_tables(void)
{
	uint64_t *top = pages_entry(TABLE_VA, 3), at = far_tables;

	*top = far_gpa(at) | PTE_P | PTE_W;
	put64(at + (TABLE_VA >> 30 & 511) * 8, far_gpa(at + PAGE) | PTE_P | PTE_W);
	put64(at + PAGE, far_gpa(at + 2 * PAGE) | PTE_P | PTE_W);
	put64(at + 2 * PAGE, far_gpa((uint64_t)far_idt) | PTE_P | PTE_W);
	pages_flush();
}

static void begin(unsigned places)
{
	struct gate *idt = boot_idt;
	struct tss *tss = &boot_tss;
	uint64_t *gdt = boot_gdt;

	if (places & (PLACE_IDT | PLACE_TABLES))
		idt = far_idt;
	if (places & PLACE_GDT)
		gdt = far_gdt;
	if (places & PLACE_TSS)
		tss = far_tss;
	memcpy(idt, boot_idt, sizeof(boot_idt));
	memcpy(gdt, boot_gdt, sizeof(boot_gdt));
	if (tss != &boot_tss)
		memcpy(tss, &boot_tss, 104);
	if (places & PLACE_STACK) {
		tss->ist[0] = far_stack + STACK;
		for (unsigned i = 0; i < 256; i++)
			trap_set_ist(idt, i, 1);
	}
	trap_load_gdt(gdt);
	trap_load_tss(0, tss, gdt);
	trap_load_idt(places & PLACE_TABLES ? (struct gate *)TABLE_VA : idt);
}

static void end(void)
{
	for (unsigned i = 0; i < 256; i++)
		trap_set_ist(boot_idt, i, 0);
	trap_load_gdt(boot_gdt);
	trap_load_tss(0, &boot_tss, boot_gdt);
	trap_load_idt(boot_idt);
}

static void fire_bp(void)
{
	__asm__ volatile("int3");
}

static void fire_int3_long(void)
{
	__asm__ volatile(".byte 0xcd, 0x03");
}

static void fire_soft(void)
{
	__asm__ volatile("int $0x80");
}

static void fire_overflow(void)
{
	__asm__ volatile("int $4");
}

/* INTO exists in 32-bit code only. */
static void fire_into(void)
{
	__asm__ volatile("pushq %0\n\tleaq 1f(%%rip), %%rax\n\tpushq %%rax\n\tlretq\n"
			 ".code32\n"
			 "1:\n\tmovl $0x7fffffff, %%eax\n\taddl $1, %%eax\n\tinto\n\t"
			 "ljmpl $0x10, $2f\n"
			 ".code64\n"
			 "2:"
			 :
			 : "i"(SEL_CODE32)
			 : "rax", "cc", "memory");
}

static void fire_ud(void)
{
	TRY("ud2", : : : "r11", "memory");
}

static void fire_divide(void)
{
	TRY("divl %0", : : "r"(0), "a"(1), "d"(0) : "r11", "memory", "cc");
}

static void fire_gp(void)
{
	TRY("movq (%0), %%rax", : : "r"(0x1234567800000000ull) : "rax", "r11", "memory");
}

static void fire_pf(void)
{
	TRY("movq $1, (%0)", : : "r"(UNMAPPED + 0x123) : "r11", "memory");
}

static void fire_np(void)
{
	TRY("movl %0, %%fs", : : "r"(NO_SEGMENT) : "r11", "memory");
}

static void fire_icebp(void)
{
	__asm__ volatile(".byte 0xf1");
}

static void fire_step(void)
{
	__asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tnop" : : : "memory", "cc");
}

static void fire_interrupt(void)
{
	__asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
}

static void fire_nmi(void)
{
	uint32_t before = seen[NMI].count;

	apic_send(apic_id(), ICR_NMI | ICR_ASSERT);
	for (unsigned i = 0; i < 1000 && seen[NMI].count == before; i++)
		apic_wait_us(10);
}

static const struct event {
	const char *name;
	unsigned vector;
	uint64_t error;
	void (*fire)(void);
} list[] = {
	{"ICEBP", DB, 0, fire_icebp}, /* the first: QEMU has it not */
	{"INT3", BP, 0, fire_bp},
	{"INT 3", BP, 0, fire_int3_long},
	{"INT 0x80", VECTOR_SOFT, 0, fire_soft},
	{"INT 4", OF, 0, fire_overflow},
	{"INTO", OF, 0, fire_into},
	{"#UD", UD, 0, fire_ud},
	{"#DE", DE, 0, fire_divide},
	{"#GP", GP, 0, fire_gp},
	{"#PF", PF, 2, fire_pf},
	{"#NP", NP, NO_SEGMENT, fire_np},
	{"single step", DB, 0, fire_step},
	{"an interrupt", VECTOR_IPI, 0, fire_interrupt},
	{"an NMI", NMI, 0, fire_nmi},
};

#define EVENTS (sizeof(list) / sizeof(list[0]))

/* The single step's handler must end the stepping. */
static void no_more_steps(struct frame *f)
{
	f->rflags &= ~FLAG_TF;
}

static void one(const struct event *e, unsigned places, const char *where)
{
	struct seen *s = &seen[e->vector];
	uint32_t before, after;
	bool good;

	hook[DB] = no_more_steps;
	if (e->vector == VECTOR_IPI)
		apic_send(apic_id(), ICR_FIXED | ICR_ASSERT | VECTOR_IPI);
	begin(places);
	before = s->count;
	far_push_out();
	e->fire();
	after = s->count;
	end();
	hook[DB] = NULL;
	good = after == before + 1 && s->frame.error == e->error && s->frame.vector == e->vector;
	if (e->vector == PF)
		good = good && s->cr2 == UNMAPPED + 0x123;
	if (!ok(good, "%s through evicted %s", e->name, where))
		say("       %u times, error 0x%lx, vector %lu, rip %lx", after - before,
			s->frame.error, s->frame.vector, s->frame.rip);
}

/* Not by the table of stacks: RSP itself is in evicted memory, in the middle between two pages. */
static void on_far_stack(void)
{
	uint64_t sp = far_stack + PAGE + 0x30, was;
	uint32_t before = seen[BP].count;

	far_push_out();
	__asm__ volatile("movq %%rsp, %0\n\tmovq %1, %%rsp\n\tint3\n\tmovq %0, %%rsp"
			 : "=&r"(was)
			 : "r"(sp)
			 : "memory");
	same(seen[BP].count, before + 1, "INT3 while RSP is in evicted memory");
	same(seen[BP].frame.rsp, sp, "its saved RSP");
	before = seen[UD].count;
	far_push_out();
	TRY("movq %%rsp, catch_rsp(%%rip)\n\tmovq %0, %%rsp\n\tud2", : : "r"(sp) : "r11", "memory");
	catch_rsp = 0;
	same(seen[UD].count, before + 1, "#UD while RSP is in evicted memory");
	same(seen[UD].frame.rsp, sp, "its saved RSP");
	far_push_out();
	__asm__ volatile("movq %%rsp, %0\n\tmovq %1, %%rsp\n\tpushq %0\n\tcall 1f\n\tjmp 2f\n"
			 "1:\n\tenter $4080, $0\n\tleave\n\tret\n"
			 "2:\n\tpopq %0\n\tmovq %0, %%rsp"
			 : "=&r"(was)
			 : "r"(sp)
			 : "memory");
	ok(true, "PUSH, CALL, ENTER, LEAVE, RET, POP on an evicted stack");
}

/* The gate of the exception that happens during #PF's delivery is not there: a double fault. */
static void double_fault(void)
{
	uint32_t doubles = seen[DF].count, nps = seen[NP].count;

	begin(PLACE_IDT | PLACE_STACK | PLACE_TSS);
	far_idt[PF].type = 0x0e;
	far_push_out();
	TRY("movq $1, (%0)", : : "r"(UNMAPPED) : "r11", "memory");
	end();
	/* QEMU forgets what it was delivering: #NP. */
	ok(seen[DF].count == doubles + 1 || (machine.amd && seen[NP].count == nps + 1),
		"#PF whose gate is absent, through an evicted IDT: #DF");
}

void test_events(void)
{
	static const struct {
		unsigned places;
		const char *name;
	} wheres[] = {{PLACE_IDT, "IDT"}, {PLACE_GDT, "GDT"}, {PLACE_STACK, "stack"},
		{PLACE_TSS | PLACE_STACK, "TSS and stack"},
		{PLACE_IDT | PLACE_TABLES, "page tables of the IDT"}, {PLACE_ALL, "all of these"}};

	say("events through far memory");
	far_idt = (struct gate *)far_take(1);
	far_gdt = (uint64_t *)far_take(1);
	far_tss = (struct tss *)far_take(3);
	far_stack = far_take(2);
	far_tables = far_take(3);
	boot_gdt[NO_SEGMENT / 8] = 0x00cf13000000ffffull;
	make_tables();
	for (unsigned w = 0; w < sizeof(wheres) / sizeof(wheres[0]); w++) {
		for (unsigned i = machine.amd ? 1 : 0; i < EVENTS; i++)
			one(&list[i], wheres[w].places, wheres[w].name);
	}
	if (machine.amd)
		skip("ICEBP", "QEMU has it not");
	on_far_stack();
	double_fault();
}
