/* SPDX-License-Identifier: MIT */
/* Control, debug and floating-point registers. */
#include <string.h>
#include "itest.h"

#define READ_ONLY (TEST_VA + GIB)

static void write_protect(void)
{
	uint64_t page = far_take(1), cr0 = read_cr0();

	put64(page, 1);
	pages_map(READ_ONLY, far_gpa(page), PAGE, 0, 0);
	far_push_out();
	same(TRY("movq $2, (%0)",
		     :
		     : "r"(READ_ONLY)
		     : "r11", "memory"),
		CAUGHT(PF), "CR0.WP: a write to a read-only far page: #PF");
	same(seen[PF].frame.error, 3, "its error code says write, present");
	write_cr0(cr0 & ~CR0_WP);
	same(TRY("movq $3, (%0)",
		     :
		     : "r"(READ_ONLY)
		     : "r11", "memory"),
		0, "without CR0.WP the kernel writes to it");
	write_cr0(cr0);
	same(get64(page), 3, "the write has arrived");
}

static void cr0(void)
{
	uint64_t was = read_cr0(), low;
	unsigned r;

	write_protect();
	same(try_cr0(was | CR0_CD), 0, "CR0.CD can be set");
	(void)cpuid(0, 0);
	ok(read_cr0() & CR0_CD, "CR0.CD is kept over an exit");
	same(try_cr0(was | CR0_CD | CR0_NW), 0, "CR0.CD and NW can be set");
	same(try_cr0(was), 0, "and cleared");
	/* QEMU takes it and refuses the state afterwards. */
	r = try_cr0((was & ~CR0_CD) | CR0_NW);
	if (!r)
		r = TRY("cpuid", : : "a"(0) : "ebx", "ecx", "edx", "r11", "memory");
	same(r, CAUGHT(GP), "CR0.NW without CD: #GP");
	write_cr0(was);
	if (machine.amd)
		skip("paging without protection", "QEMU lets the guest do it and die");
	else
		same(try_cr0(was & ~CR0_PE), CAUGHT(GP), "paging without protection: #GP");
	/* QEMU ignores it. */
	r = try_cr0(was | 1ull << 32);
	ok(r == CAUGHT(GP) || read_cr0() == was, "the upper half of CR0: #GP or ignored");
	same(read_cr0(), was, "CR0 is as before");
	__asm__ volatile("smsw %0" : "=r"(low));
	same(low & 0xffff, was & 0xffff, "SMSW gives CR0");
	__asm__ volatile("lmsw %w0" : : "r"(was | CR0_TS | CR0_MP));
	ok((read_cr0() & (CR0_TS | CR0_MP)) == (CR0_TS | CR0_MP), "LMSW sets TS and MP");
	same(TRY("movups %%xmm0, %%xmm1", : : : "r11", "memory"), CAUGHT(NM), "TS: #NM");
	__asm__ volatile("lmsw %w0" : : "r"(was & ~CR0_PE));
	ok(read_cr0() & CR0_PE, "LMSW does not clear PE");
	write_cr0(was | CR0_TS);
	__asm__ volatile("clts");
	ok(!(read_cr0() & CR0_TS), "CLTS");
	write_cr0(was);
}

static void cr4(void)
{
	uint64_t was = read_cr4();
	unsigned r;

	same(try_cr4(was ^ CR4_PGE), 0, "CR4.PGE can be changed");
	same(read_cr4(), was ^ CR4_PGE, "and is");
	write_cr4(was);
	same(try_cr4(was | CR4_TSD | CR4_DE | CR4_PCE), 0, "CR4.TSD, DE, PCE can be set");
	(void)cpuid(0, 0);
	same(read_cr4(), was | CR4_TSD | CR4_DE | CR4_PCE, "and are kept over an exit");
	write_cr4(was);
	if (machine.amd)
		skip("long mode without CR4.PAE", "QEMU lets the guest do it and die");
	else
		same(try_cr4(was & ~CR4_PAE), CAUGHT(GP), "long mode without CR4.PAE: #GP");
	r = try_cr4(was | 1ull << 33);
	if (!r)
		r = TRY("cpuid", : : "a"(0) : "ebx", "ecx", "edx", "r11", "memory");
	same(r, CAUGHT(GP), "the upper half of CR4: #GP");
	ok(!(read_cr4() & CR4_VMXE), "CR4 shows no VMXE");
	/* QEMU takes them and refuses the state afterwards. */
	r = try_cr4(was | CR4_VMXE);
	if (!r)
		r = TRY("cpuid", : : "a"(0) : "ebx", "ecx", "edx", "r11", "memory");
	same(r, CAUGHT(GP), "CR4.VMXE: #GP");
	write_cr4(was);
	r = try_cr4(was | 1ull << 31);
	if (!r)
		r = TRY("cpuid", : : "a"(0) : "ebx", "ecx", "edx", "r11", "memory");
	same(r, CAUGHT(GP), "a reserved bit of CR4: #GP");
	write_cr4(was);
	same(read_cr4(), was, "CR4 is as before");
}

static void others(void)
{
	uint64_t cr3 = read_cr3(), page = far_take(1);

	same(try_cr3(cr3 | 1ull << 62), CAUGHT(GP), "a reserved bit of CR3: #GP");
	same(read_cr3(), cr3, "CR3 is as before");
	write_cr2(0x123456789abc);
	(void)cpuid(0, 0);
	far_push_out();
	(void)get8(page);
	same(read_cr2(), 0x123456789abc, "CR2 is kept over exits and far faults");
	same(TRY(".byte 0x0f, 0x22, 0xc8", : : : "r11", "memory"), CAUGHT(UD), "MOV to CR1: #UD");
	same(TRY(".byte 0x0f, 0x22, 0xe8", : : : "r11", "memory"), CAUGHT(UD), "MOV to CR5: #UD");
	if (machine.amd)
		skip("a reserved bit of CR8", "QEMU ignores it");
	else
		same(try_cr8(16), CAUGHT(GP), "a reserved bit of CR8: #GP");
	write_cr8(5);
	same(read_cr8(), 5, "CR8 is what was written");
	same(apic_read(APIC_TPR), 0x50, "CR8 is the APIC's TPR");
	(void)cpuid(0, 0);
	same(read_cr8(), 5, "CR8 is kept over an exit");
	apic_write(APIC_TPR, 0x20);
	same(read_cr8(), 2, "the APIC's TPR is CR8");
	write_cr8(0);
}

static unsigned try_xsetbv(uint32_t index, uint64_t value)
{
	return TRY("xsetbv",
		   :
		   : "c"(index), "a"((uint32_t)value), "d"(value >> 32)
		   : "r11", "memory");
}

static uint64_t xgetbv(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

static void xcr0(void)
{
	uint64_t cr4 = read_cr4();
	uint32_t can;

	if (!(cpuid(1, 0).ecx >> 26 & 1)) {
		skip("XSETBV", "no XSAVE on this CPU");
		return;
	}
	write_cr4(cr4 & ~CR4_OSXSAVE);
	same(try_xsetbv(0, 1), CAUGHT(UD), "XSETBV without CR4.OSXSAVE: #UD");
	write_cr4(cr4 | CR4_OSXSAVE);
	can = cpuid(0xd, 0).eax;
	same(try_xsetbv(0, 1), 0, "XSETBV: x87");
	same(cpuid(0xd, 0).ebx, 576, "CPUID 0xd: the size for x87");
	same(try_xsetbv(0, 3), 0, "XSETBV: x87 and SSE");
	same(xgetbv(), 3, "XGETBV gives it");
	if (can & 4) {
		same(try_xsetbv(0, 7), 0, "XSETBV: x87, SSE and AVX");
		same(cpuid(0xd, 0).ebx, 832, "CPUID 0xd: the size with AVX");
		same(try_xsetbv(0, 5), CAUGHT(GP), "XSETBV: AVX without SSE: #GP");
	} else {
		skip("XSETBV of AVX", "no AVX on this CPU");
	}
	same(try_xsetbv(0, 2), CAUGHT(GP), "XSETBV: no x87: #GP");
	same(try_xsetbv(0, 1ull << 62 | 3), CAUGHT(GP), "XSETBV: a reserved bit: #GP");
	same(try_xsetbv(1, 3), CAUGHT(GP), "XSETBV: XCR1: #GP");
	ok(xgetbv() == (can & 4 ? 7 : 3), "XCR0 is what was last accepted");
	far_push_out();
	ok(xgetbv() == (can & 4 ? 7 : 3), "XCR0 is kept over far faults");
	try_xsetbv(0, 3);
	write_cr4(cr4);
}

/* Sixteen general and sixteen SSE registers over an evicted page. */
static void register_file(void)
{
	static uint64_t in[48], out[48];
	uint64_t page = far_take(1);

	put64(page, 0x77);
	for (unsigned i = 0; i < 48; i++)
		in[i] = 0x0101010101010101ull * (i + 1);
	far_push_out();
	__asm__ volatile(
		"pushq %%rbp\n\t"
		"movups 128(%0), %%xmm0\n\tmovups 144(%0), %%xmm1\n\tmovups 160(%0), %%xmm2\n\t"
		"movups 176(%0), %%xmm3\n\tmovups 192(%0), %%xmm4\n\tmovups 208(%0), %%xmm5\n\t"
		"movups 224(%0), %%xmm6\n\tmovups 240(%0), %%xmm7\n\tmovups 256(%0), %%xmm8\n\t"
		"movups 272(%0), %%xmm9\n\tmovups 288(%0), %%xmm10\n\tmovups 304(%0), %%xmm11\n\t"
		"movups 320(%0), %%xmm12\n\tmovups 336(%0), %%xmm13\n\t"
		"movups 352(%0), %%xmm14\n\tmovups 368(%0), %%xmm15\n\t"
		"movq (%0), %%rax\n\tmovq 8(%0), %%rcx\n\tmovq 16(%0), %%rdx\n\t"
		"movq 24(%0), %%rbp\n\tmovq 32(%0), %%r8\n\tmovq 40(%0), %%r9\n\t"
		"movq 48(%0), %%r10\n\tmovq 56(%0), %%r11\n\tmovq 64(%0), %%r12\n\t"
		"movq 72(%0), %%r13\n\tmovq 80(%0), %%r14\n\tmovq 88(%0), %%r15\n\t"
		"addq $1, (%2)\n\t" /* the far page */
		"movq %%rax, (%1)\n\tmovq %%rcx, 8(%1)\n\tmovq %%rdx, 16(%1)\n\t"
		"movq %%rbp, 24(%1)\n\tmovq %%r8, 32(%1)\n\tmovq %%r9, 40(%1)\n\t"
		"movq %%r10, 48(%1)\n\tmovq %%r11, 56(%1)\n\tmovq %%r12, 64(%1)\n\t"
		"movq %%r13, 72(%1)\n\tmovq %%r14, 80(%1)\n\tmovq %%r15, 88(%1)\n\t"
		"movups %%xmm0, 128(%1)\n\tmovups %%xmm1, 144(%1)\n\tmovups %%xmm2, 160(%1)\n\t"
		"movups %%xmm3, 176(%1)\n\tmovups %%xmm4, 192(%1)\n\tmovups %%xmm5, 208(%1)\n\t"
		"movups %%xmm6, 224(%1)\n\tmovups %%xmm7, 240(%1)\n\tmovups %%xmm8, 256(%1)\n\t"
		"movups %%xmm9, 272(%1)\n\tmovups %%xmm10, 288(%1)\n\t"
		"movups %%xmm11, 304(%1)\n\tmovups %%xmm12, 320(%1)\n\t"
		"movups %%xmm13, 336(%1)\n\tmovups %%xmm14, 352(%1)\n\tmovups %%xmm15, 368(%1)\n\t"
		"popq %%rbp"
		:
		: "S"(in), "D"(out), "b"(page)
		: "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
		"memory");
	ok(!memcmp(in, out, 96), "general registers are kept over a far fault");
	ok(!memcmp(in + 16, out + 16, 256), "SSE registers are kept over a far fault");
	same(get64(page), 0x78, "the far page was read and written");
}

/* With RF, so that the breakpoint does not hit again. */
static void resume(struct frame *f)
{
	f->rflags |= 1ull << 16;
}

static void breakpoints(void)
{
	uint64_t page = far_take(1), code = far_take(1), cr4 = read_cr4(), value;
	uint32_t before = seen[DB].count;

	__asm__ volatile("movq %0, %%dr0" : : "r"(page + 8));
	__asm__ volatile("movq %0, %%dr7" : : "r"(0x000d0401ull | 1)); /* 4 bytes, writes */
	far_push_out();
	put64(page + 8, 1);
	same(seen[DB].count, before + 1, "a data breakpoint on an evicted far page: #DB");
	same(seen[DB].dr6 & 15, 1, "DR6 says which");
	__asm__ volatile("movq %0, %%dr7" : : "r"(0x400ull));
	put64(page + 8, 2);
	same(seen[DB].count, before + 1, "none when it is off");
	put8(code, 0x90);
	put8(code + 1, 0xc3);
	__asm__ volatile("movq %0, %%dr3" : : "r"(code));
	__asm__ volatile("movq %0, %%dr7" : : "r"(0x440ull)); /* executed */
	hook[DB] = resume;
	before = seen[DB].count;
	call_code(code, &(struct registers){0});
	same(seen[DB].count, before + 1, "a breakpoint on code in a far page: #DB");
	far_push_out();
	before = seen[DB].count;
	call_code(code, &(struct registers){0});
	hook[DB] = NULL;
	/* Bochs loses RF when the fetch behind it leaves the guest, and hits once more. */
	ok(seen[DB].count == before + 1 || (!machine.amd && seen[DB].count == before + 2),
		"a breakpoint on code in an evicted far page: #DB");
	same(seen[DB].frame.rip, code, "before the instruction");
	same(seen[DB].dr6 & 15, 8, "DR6 says which");
	__asm__ volatile("movq %%dr3, %0" : "=r"(value));
	same(value, code, "DR3 is kept");
	__asm__ volatile("movq %%dr7, %0" : "=r"(value));
	same(value, 0x440, "DR7 is kept");
	__asm__ volatile("movq %0, %%dr7" : : "r"(0x400ull));
	write_cr4(cr4 | CR4_DE);
	same(TRY(".byte 0x0f, 0x21, 0xe0",
		     :
		     :
		     : "rax", "r11", "memory"),
		CAUGHT(UD), "DR4 with CR4.DE: #UD");
	write_cr4(cr4);
}

void test_registers(void)
{
	say("registers");
	cr0();
	cr4();
	others();
	xcr0();
	register_file();
	breakpoints();
}
