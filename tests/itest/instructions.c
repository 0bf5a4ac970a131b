/* SPDX-License-Identifier: MIT */
/* What is intercepted: its length with prefixes, its exceptions, its trap when single-stepped. */
#include <string.h>
#include "itest.h"

#define RET       0xc3
#define HIDDEN_IO 0x511
#define MARK      0x5a5a

struct bytes {
	const char *name;
	uint8_t count;
	uint8_t byte[15];
};

static uint64_t code_page;

/* bytes; MOV $MARK, %esi; RET */
static uint64_t assemble(
	uint64_t at, const uint8_t *prefix, unsigned prefixes, const uint8_t *op, unsigned length)
{
	static const uint8_t end[] = {0xbe, MARK & 0xff, MARK >> 8, 0, 0, RET};

	memcpy((void *)at, prefix, prefixes);
	memcpy((void *)(at + prefixes), op, length);
	memcpy((void *)(at + prefixes + length), end, sizeof(end));
	return at;
}

static bool has_rex(const struct bytes *b)
{
	return b->count && (b->byte[b->count - 1] & 0xf0) == 0x40;
}

static void with_prefixes(const char *name, const uint8_t *op, unsigned length,
	const struct registers *in, uint64_t expected_rax)
{
	static const struct bytes lists[] = {{"none", 0, {0}}, {"66", 1, {0x66}}, {"67", 1, {0x67}},
		{"2e", 1, {0x2e}}, {"65", 1, {0x65}}, {"48", 1, {0x48}},
		{"66 2e 4f", 3, {0x66, 0x2e, 0x4f}},
		{"thirteen", 13,
			{0x2e, 0x3e, 0x26, 0x36, 0x64, 0x65, 0x2e, 0x3e, 0x26, 0x36, 0x64, 0x67,
				0x40}}};

	for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct registers r = *in;
		unsigned got;

		/* QEMU heeds a REX prefix before a 66. */
		if (lists[i].count + length > 15 || (op[0] == 0x66 && has_rex(&lists[i])))
			continue;
		assemble(code_page, lists[i].byte, lists[i].count, op, length);
		got = call_code(code_page, &r);
		ok(!got && r.rsi == MARK && (r.rax & 0xffffffff) == expected_rax,
			"%s, prefixes: %s", name, lists[i].name);
	}
}

static void lengths(void)
{
	static const uint8_t op_cpuid[] = {0x0f, 0xa2}, op_rdmsr[] = {0x0f, 0x32};
	static const uint8_t op_wrmsr[] = {0x0f, 0x30}, op_invd[] = {0x0f, 0x08};
	static const uint8_t op_in8[] = {0xec}, op_out8[] = {0xee}, op_in16[] = {0x66, 0xed};
	static const uint8_t too_long[] = {
		0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e};
	uint64_t efer = rdmsr(MSR_EFER);
	struct registers r = {.rax = 0};

	with_prefixes("CPUID", op_cpuid, 2, &r, cpuid(0, 0).eax);
	r.rcx = MSR_EFER;
	with_prefixes("RDMSR EFER", op_rdmsr, 2, &r, (uint32_t)efer);
	r.rax = (uint32_t)efer;
	r.rdx = efer >> 32;
	with_prefixes("WRMSR EFER", op_wrmsr, 2, &r, (uint32_t)efer);
	with_prefixes("INVD", op_invd, 2, &r, (uint32_t)efer);
	r = (struct registers){.rax = 0x11223344, .rdx = HIDDEN_IO};
	with_prefixes("OUT %al to a hidden port", op_out8, 1, &r, 0x11223344);
	with_prefixes("IN %al from a hidden port", op_in8, 1, &r, 0x112233ff);
	with_prefixes("IN %ax from a hidden port", op_in16, 2, &r, 0x1122ffff);
	assemble(code_page, too_long, sizeof(too_long), op_cpuid, 2);
	r.rax = 0;
	same(call_code(code_page, &r), CAUGHT(GP), "CPUID of 16 bytes: #GP");
	assemble(code_page, (const uint8_t[]){0xf0}, 1, op_cpuid, 2);
	if (machine.amd)
		skip("LOCK CPUID", "QEMU ignores the prefix");
	else
		same(call_code(code_page, &r), CAUGHT(UD), "LOCK CPUID: #UD");
}

/* An instruction that exits lies across two far pages, and both are out. */
static void across_pages(void)
{
	static const uint8_t op_cpuid[] = {0x0f, 0xa2};
	static const uint8_t prefix[] = {0x2e, 0x66, 0x67};
	uint64_t two = far_take(2);

	for (unsigned before = 1; before < 5; before++) {
		struct registers r = {.rax = 0};
		uint64_t at = assemble(two + PAGE - before, prefix, 3, op_cpuid, 2);

		far_push_out();
		ok(!call_code(at, &r) && r.rsi == MARK && (uint32_t)r.rax == cpuid(0, 0).eax,
			"CPUID with %u of its 5 bytes on the first of two evicted pages", before);
	}
}

static void undefined(void)
{
	static const struct bytes list[] = {{"VMCALL", 3, {0x0f, 0x01, 0xc1}},
		{"VMLAUNCH", 3, {0x0f, 0x01, 0xc2}}, {"VMRESUME", 3, {0x0f, 0x01, 0xc3}},
		{"VMXOFF", 3, {0x0f, 0x01, 0xc4}}, {"VMRUN", 3, {0x0f, 0x01, 0xd8}},
		{"VMMCALL", 3, {0x0f, 0x01, 0xd9}}, {"VMLOAD", 3, {0x0f, 0x01, 0xda}},
		{"VMSAVE", 3, {0x0f, 0x01, 0xdb}}, {"STGI", 3, {0x0f, 0x01, 0xdc}},
		{"CLGI", 3, {0x0f, 0x01, 0xdd}}, {"SKINIT", 3, {0x0f, 0x01, 0xde}},
		{"INVLPGA", 3, {0x0f, 0x01, 0xdf}}, {"MONITOR", 3, {0x0f, 0x01, 0xc8}},
		{"MWAIT", 3, {0x0f, 0x01, 0xc9}}, {"MONITORX", 3, {0x0f, 0x01, 0xfa}},
		{"MWAITX", 3, {0x0f, 0x01, 0xfb}}, {"INVLPGB", 3, {0x0f, 0x01, 0xfe}},
		{"TLBSYNC", 3, {0x0f, 0x01, 0xff}}, {"VMXON", 4, {0xf3, 0x0f, 0xc7, 0x33}},
		{"VMPTRLD", 3, {0x0f, 0xc7, 0x33}}, {"VMCLEAR", 4, {0x66, 0x0f, 0xc7, 0x33}},
		{"VMPTRST", 3, {0x0f, 0xc7, 0x3b}}, {"VMREAD", 3, {0x0f, 0x78, 0xc8}},
		{"VMWRITE", 3, {0x0f, 0x79, 0xc8}}, {"INVEPT", 5, {0x66, 0x0f, 0x38, 0x80, 0x0b}},
		{"INVVPID", 5, {0x66, 0x0f, 0x38, 0x81, 0x0b}}, {"GETSEC", 2, {0x0f, 0x37}},
		{"RSM", 2, {0x0f, 0xaa}}, {"UD2", 2, {0x0f, 0x0b}}};
	static uint8_t operand[PAGE] __attribute__((aligned(4096)));

	for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		struct registers r = {.rax = (uint64_t)operand, .rbx = (uint64_t)operand};

		assemble(code_page, list[i].byte, 0, list[i].byte, list[i].count);
		same(call_code(code_page, &r), CAUGHT(UD), "%s: #UD", list[i].name);
	}
}

static void caches(void)
{
	uint64_t page = far_take(1);
	unsigned r;

	put64(page, 0x1234);
	same(TRY("invd", : : : "r11", "memory"), 0, "INVD");
	same(get64(page), 0x1234, "INVD loses nothing");
	same(TRY("wbinvd", : : : "r11", "memory"), 0, "WBINVD");
	same(TRY("clflush (%0)", : : "r"(page) : "r11", "memory"), 0, "CLFLUSH of a far page");
	far_push_out();
	same(TRY("invlpg (%0)", : : "r"(page) : "r11", "memory"), 0, "INVLPG of a far page");
	same(TRY("prefetcht0 (%0)", : : "r"(page) : "r11", "memory"), 0, "PREFETCH of a far page");
	same(get64(page), 0x1234, "the page is as it was");
	r = TRY("rdpmc", : : "c"(0) : "rax", "rdx", "r11", "memory");
	ok(!r || r == CAUGHT(GP) || r == CAUGHT(UD), "RDPMC is done or refused");
	r = TRY("rdpmc", : : "c"(0x7fff) : "rax", "rdx", "r11", "memory");
	ok(r == CAUGHT(GP) || r == CAUGHT(UD), "RDPMC of no counter is refused");
}

/* Single steps: each traps behind itself, whatever it took to execute it. */
void step_code(uint64_t far_page, uint64_t far_target, uint64_t absent);
extern uint8_t step_expected[][8];
#define STEPS 14u

__asm__(".text\n"
	"step_code:\n\t"
	"pushq %rbx\n\tmovq %rdi, %r8\n\tmovq %rsi, %rdi\n\tmovq %rdx, %r9\n\t"
	"xorl %eax, %eax\n\txorl %ecx, %ecx\n\t"
	"pushfq\n\torq $0x100, (%rsp)\n\tpopfq\n"
	"nop\n"
	"s0: cpuid\n"
	"s1: movl $0x511, %edx\n"
	"s2: inb %dx, %al\n"
	"s3: outw %ax, %dx\n"
	"s4: movq (%r8), %rax\n"
	"s5: movl (%r9), %eax\n"
	"s6: movl $0xc0000080, %ecx\n"
	"s7: rdmsr\n"
	"s8: movl $3, %ecx\n"
	"s9: movq %r8, %rsi\n"
	"s10: rep movsb\n"
	"s11: pushfq\n\tandq $-0x101, (%rsp)\n\tpopfq\n\t"
	"popq %rbx\n\tret\n\t"
	".section .rodata\n\t.balign 8\n"
	/* REP traps after each turn but the last with its own address. */
	"step_expected: .quad s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s10, s10, s11\n\t"
	".text\n");

static volatile unsigned steps;
static uint64_t step_rip[32];
static bool step_flag;

static void on_step(struct frame *f)
{
	if (steps < 32)
		step_rip[steps] = f->rip;
	steps++;
	step_flag = step_flag && seen[DB].dr6 >> 14 & 1;
}

static void single_steps(void)
{
	const uint64_t *expected = (const uint64_t *)step_expected;
	uint64_t from = far_take(1), to = far_take(1);
	bool right = true;

	if (!machine.hidden_rows)
		return;
	pattern_fill(from, 16, 1);
	far_push_out();
	steps = 0;
	step_flag = true;
	hook[DB] = on_step;
	step_code(from, to, machine.hidden[0]);
	hook[DB] = NULL;
	for (unsigned i = 0; i < STEPS; i++) {
		right = right && step_rip[i] == expected[i];
		if (step_rip[i] != expected[i])
			say("       step %u: at %lx, wanted %lx", i, step_rip[i], expected[i]);
	}
	ok(right, "single steps over CPUID, IN, OUT, far and absent memory, RDMSR, REP MOVS");
	ok(step_flag, "each has DR6.BS");
	same(steps, STEPS + 3, "there are as many steps as instructions");
	ok(pattern_good(to, 3, 1), "REP MOVS has moved its bytes");
}

void test_instructions(void)
{
	say("instructions");
	code_page = far_take(1);
	lengths();
	across_pages();
	undefined();
	caches();
	single_steps();
}
