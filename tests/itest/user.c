/* SPDX-License-Identifier: MIT */
/* At CPL 3: exceptions come before intercepts; ports by a bit map that is far itself. */
#include <string.h>
#include "annex/doorbell.h"
#include "itest.h"

#define HIDDEN_IO 0x511

static uint64_t code, stack, far_code;

/* The bytes, then INT 0x81, run at CPL 3 on far pages. */
static unsigned run(const uint8_t *bytes, unsigned count)
{
	static const uint8_t end[] = {0xcd, 0x81};

	memcpy((void *)far_code, bytes, count);
	memcpy((void *)(far_code + count), end, sizeof(end));
	return user_run(code, stack);
}

#define RUN(...) run((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void privileged(void)
{
	uint64_t cr4 = read_cr4();

	same(RUN(0x90), 0, "CPL 3 runs on far pages");
	far_push_out();
	same(RUN(0x0f, 0xa2), 0, "CPUID");
	same(seen[VECTOR_EXIT].frame.cs, SEL_USER_CODE, "it came from CPL 3");
	same(RUN(0xf4), CAUGHT(GP), "HLT at CPL 3: #GP");
	same(RUN(0x0f, 0x32), CAUGHT(GP), "RDMSR at CPL 3: #GP");
	same(RUN(0x0f, 0x30), CAUGHT(GP), "WRMSR at CPL 3: #GP");
	same(RUN(0x0f, 0x08), CAUGHT(GP), "INVD at CPL 3: #GP");
	same(RUN(0x0f, 0x09), CAUGHT(GP), "WBINVD at CPL 3: #GP");
	same(RUN(0x0f, 0x20, 0xc0), CAUGHT(GP), "MOV from CR0 at CPL 3: #GP");
	same(RUN(0x0f, 0x22, 0xd8), CAUGHT(GP), "MOV to CR3 at CPL 3: #GP");
	same(RUN(0x0f, 0x21, 0xf8), CAUGHT(GP), "MOV from DR7 at CPL 3: #GP");
	same(RUN(0x0f, 0x06), CAUGHT(GP), "CLTS at CPL 3: #GP");
	same(RUN(0x0f, 0x01, 0xd9), CAUGHT(UD), "VMMCALL at CPL 3: #UD");
	same(RUN(0x0f, 0x01, 0xc1), CAUGHT(UD), "VMCALL at CPL 3: #UD");
	same(RUN(0x0f, 0x31), 0, "RDTSC at CPL 3");
	write_cr4(cr4 | CR4_TSD);
	same(RUN(0x0f, 0x31), CAUGHT(GP), "RDTSC at CPL 3 with CR4.TSD: #GP");
	write_cr4(cr4);
	same(RUN(0xcd, 0x80), 0, "INT 0x80 at CPL 3");
	same(seen[VECTOR_SOFT].frame.cs, SEL_USER_CODE, "it came from CPL 3");
}

/* MOV $magic, %eax; XOR %ebx, %ebx (HELLO); MOV $version, %esi; MOV $port, %edx; IN */
#define LE16(n) (n) & 0xff, (n) >> 8 & 0xff
#define LE32(n) LE16(n), (n) >> 16 & 0xff, (n) >> 24 & 0xff
#define RING                                                                                       \
	RUN(0xb8, LE32(DOORBELL_MAGIC), 0x31, 0xdb, 0xbe, LE32(DOORBELL_VERSION), 0xba,            \
		LE32(DOORBELL_PORT), 0xed)

/* What the kernel did not give the port to gets #GP, and the VMM is not even asked. */
static void doorbell(struct tss *tss)
{
	struct bell b = {.rax = DOORBELL_MAGIC, .rdx = DOORBELL_PORT, .word = {DOORBELL_VERSION}};
	uint64_t session;

	bell_ring(&b);
	session = b.word[0];
	far_push_out();
	same(RING, CAUGHT(GP), "doorbell: IN at CPL 3 without the port: #GP");
	same((uint32_t)seen[GP].frame.rax, DOORBELL_MAGIC, "doorbell: and no answer");
	/* Three of its four ports are not enough. */
	tss->io[DOORBELL_PORT / 8] &= (uint8_t) ~(7u << DOORBELL_PORT % 8);
	same(RING, CAUGHT(GP), "doorbell: IN at CPL 3 with a part of the port: #GP");
	tss->io[DOORBELL_PORT / 8] &= (uint8_t) ~(15u << DOORBELL_PORT % 8);
	far_push_out();
	same(RING, 0, "doorbell: IN at CPL 3 with the port");
	same(seen[VECTOR_EXIT].frame.rax, DOORBELL_OK, "doorbell: it is answered there");
	same(seen[VECTOR_EXIT].frame.rsi, session + 1, "doorbell: and nothing rang before");
	tss->io[DOORBELL_PORT / 8] = 0xff;
	b = (struct bell){.rax = DOORBELL_MAGIC,
		.rbx = DOORBELL_BYE,
		.rcx = session + 1,
		.rdx = DOORBELL_PORT};
	bell_ring(&b);
	same(b.rax, DOORBELL_OK, "doorbell: BYE from CPL 0");
}

/* TSS with its I/O bit map, and the kernel's stack, on evicted pages. */
static void ports(void)
{
	uint64_t tss_pages = far_take(3), kernel_stack = far_take(2), user_stack = stack;
	struct tss *tss = (struct tss *)tss_pages;
	struct tss plain = boot_tss;

	memcpy(tss, &plain, sizeof(*tss));
	tss->rsp[0] = kernel_stack + 2 * PAGE;
	trap_load_tss(0, tss, boot_gdt);
	/* MOV $port, %edx; IN */
	far_push_out();
	same(RUN(0xba, HIDDEN_IO & 0xff, HIDDEN_IO >> 8, 0, 0, 0xec), CAUGHT(GP),
		"IN at CPL 3 that the far TSS's bit map forbids: #GP");
	tss->io[HIDDEN_IO / 8] = 0;
	tss->io[HIDDEN_IO / 8 + 1] = 0;
	far_push_out();
	same(RUN(0xba, HIDDEN_IO & 0xff, HIDDEN_IO >> 8, 0, 0, 0xed), 0,
		"IN at CPL 3 that the far TSS's bit map allows");
	same((uint32_t)seen[VECTOR_EXIT].frame.rax, UINT32_MAX, "a hidden port gives ones there");
	doorbell(tss);
	far_push_out();
	same(RUN(0xcc), CAUGHT(BP), "INT3 at CPL 3: TSS and kernel stack are out");
	far_push_out();
	same(RUN(0x0f, 0x0b), CAUGHT(UD), "UD2 at CPL 3: TSS and kernel stack are out");
	same(seen[UD].frame.rsp, user_stack, "the user's stack pointer is saved");
	trap_load_tss(0, &boot_tss, boot_gdt);
}

/* SYSCALL and SYSRET with code and stack on evicted pages. */
static void system_call(void)
{
	static const uint8_t kernel[] = {0x48, 0xff, 0xc3, 0x48, 0x0f, 0x07}; /* inc rbx; sysret */
	uint64_t page = far_take(1);

	memcpy((void *)page, kernel, sizeof(kernel));
	wrmsr(0xc0000081, 0x20ull << 48 | (uint64_t)SEL_CODE64 << 32);
	wrmsr(0xc0000082, page);
	wrmsr(0xc0000084, FLAG_IF | FLAG_TF);
	far_push_out();
	/* xor ebx, ebx; syscall; syscall */
	same(RUN(0x31, 0xdb, 0x0f, 0x05, 0x0f, 0x05), 0, "SYSCALL and SYSRET over far pages");
	same(seen[VECTOR_EXIT].frame.rbx, 2, "both system calls were made");
	same(seen[VECTOR_EXIT].frame.cs, SEL_USER_CODE, "and came back to CPL 3");
}

void test_user(void)
{
	uint64_t pages = far_take(3);

	say("user mode");
	pages_map(USER_VA, far_gpa(pages), 3 * PAGE, 0, PTE_W | PTE_U);
	far_code = pages;
	code = USER_VA;
	stack = USER_VA + 3 * PAGE;
	privileged();
	ports();
	system_call();
}
