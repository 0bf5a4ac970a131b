/* SPDX-License-Identifier: MIT */
/* The doorbell (annex/doorbell.h), as an agent with all rights rings it; CPL 3's part is in user.c. */
#include <string.h>
#include "annex/doorbell.h"
#include "itest.h"

#define PAGES    8u
#define BEATS    100u
#define PATIENCE 3000u /* ms */

static struct bell bell; /* of the boot CPU */
static uint64_t session;

__asm__(".text\n\t.globl bell_ring\n"
	"bell_ring:\n\t"
	"pushq %rbx\n\tpushq %rbp\n\tpushq %r12\n\tpushq %r13\n\tpushq %r14\n\tpushq %r15\n\t"
	"pushq %rdi\n\t"
	"movq %rdi, %rbp\n\t"
	"movq 0(%rbp), %rax\n\tmovq 8(%rbp), %rbx\n\tmovq 16(%rbp), %rcx\n\tmovq 24(%rbp), %rdx\n\t"
	"movq 32(%rbp), %rsi\n\tmovq 40(%rbp), %rdi\n\tmovq 48(%rbp), %r8\n\tmovq 56(%rbp), %r9\n\t"
	"movq 64(%rbp), %r10\n\tmovq 72(%rbp), %r11\n\tmovq 80(%rbp), %r12\n\t"
	"movq 88(%rbp), %r13\n\tmovq 96(%rbp), %r14\n\tmovq 104(%rbp), %r15\n\t"
	"inl %dx, %eax\n\t"
	"movq (%rsp), %rbp\n\t"
	"movq %rax, 0(%rbp)\n\tmovq %rbx, 8(%rbp)\n\tmovq %rcx, 16(%rbp)\n\tmovq %rdx, 24(%rbp)\n\t"
	"movq %rsi, 32(%rbp)\n\tmovq %rdi, 40(%rbp)\n\tmovq %r8, 48(%rbp)\n\tmovq %r9, 56(%rbp)\n\t"
	"movq %r10, 64(%rbp)\n\tmovq %r11, 72(%rbp)\n\tmovq %r12, 80(%rbp)\n\t"
	"movq %r13, 88(%rbp)\n\tmovq %r14, 96(%rbp)\n\tmovq %r15, 104(%rbp)\n\t"
	"popq %rdi\n\t"
	"popq %r15\n\tpopq %r14\n\tpopq %r13\n\tpopq %r12\n\tpopq %rbp\n\tpopq %rbx\n\tret\n");

/* The result code, or ones. The words are the first ones; the others are zero. */
static uint64_t ask(struct bell *b, uint64_t request, uint64_t w0, uint64_t w1)
{
	*b = (struct bell){.rax = DOORBELL_MAGIC,
		.rbx = request,
		.rcx = session,
		.rdx = DOORBELL_PORT,
		.word = {w0, w1}};
	bell_ring(b);
	return b->rax;
}

static bool rest_is_zero(unsigned first)
{
	for (unsigned i = first; i < DOORBELL_WORDS; i++)
		if (bell.word[i])
			return false;
	return true;
}

static bool hello(void)
{
	bool good = ask(&bell, DOORBELL_HELLO, DOORBELL_VERSION, 0) == DOORBELL_OK;

	session = bell.word[0];
	return good;
}

static void answers(void)
{
	same(ask(&bell, DOORBELL_BEAT, 0, 0), DOORBELL_NO_SESSION, "doorbell: BEAT before HELLO");
	same(ask(&bell, DOORBELL_HELLO, 99, 0), DOORBELL_BAD_VERSION,
		"doorbell: HELLO, version 99");
	same(bell.word[0], DOORBELL_VERSION, "doorbell: it names the VMM's version");
	memset(&bell, 0x5a, sizeof(bell));
	bell.rax = 0xffffffff00000000 | DOORBELL_MAGIC;
	bell.rbx = DOORBELL_HELLO;
	bell.rdx = 0xffffffffffff0000 | DOORBELL_PORT;
	bell.word[0] = DOORBELL_VERSION;
	bell_ring(&bell);
	session = bell.word[0];
	same(bell.rax, DOORBELL_OK, "doorbell: HELLO, and the upper half of RAX is cleared");
	ok(session > 0, "doorbell: a session");
	ok(bell.word[1] == machine.far_base && bell.word[2] == machine.far_bytes / PAGE,
		"doorbell: it names the far window");
	same(bell.word[3], machine_option("pin", 64), "doorbell: it names the budget of pins");
	ok(rest_is_zero(4), "doorbell: unused result words are zero");
	ok(bell.rbx == DOORBELL_HELLO && bell.rcx == 0x5a5a5a5a5a5a5a5a &&
			bell.rdx == (0xffffffffffff0000 | DOORBELL_PORT),
		"doorbell: RBX, RCX and RDX are kept");
	same(ask(&bell, DOORBELL_REQUESTS, 0, 0), DOORBELL_UNKNOWN, "doorbell: no such request");
	same(ask(&bell, DOORBELL_PIN, 4096, 0), DOORBELL_BAD_ARGUMENT,
		"doorbell: PIN of pinned memory");
	same(ask(&bell, DOORBELL_PIN, machine.far_base + machine.far_bytes, 0),
		DOORBELL_BAD_ARGUMENT, "doorbell: PIN behind the far window");
	same(ask(&bell, DOORBELL_PIN, machine.far_base + machine_option("pin", 64), 0),
		DOORBELL_OVER_BUDGET, "doorbell: PIN over the budget");
}

/* Whatever is not a request, in the form that real ports have. */
static void others(void)
{
	uint64_t to = far_take(2), di = to + PAGE - 8, si = di, count = 4;
	struct bell before;
	uint32_t word;

	ask(&bell, DOORBELL_BEAT, 0, 0);
	for (unsigned i = 0; i < DOORBELL_WORDS; i++)
		bell.word[i] = i + 7;
	bell.rax = DOORBELL_MAGIC ^ 1;
	bell.rdx = DOORBELL_PORT;
	before = bell;
	bell_ring(&bell);
	same(bell.rax, UINT32_MAX, "doorbell: another magic reads as ones");
	ok(!memcmp(&bell.rbx, &before.rbx, sizeof(bell) - 8), "doorbell: and changes no register");
	bell = before;
	bell.rax = DOORBELL_MAGIC;
	bell.rdx = DOORBELL_PORT - 1;
	bell_ring(&bell);
	same(bell.rax, UINT32_MAX, "doorbell: the port before it reads as ones");
	word = DOORBELL_MAGIC;
	__asm__ volatile("inw %w1, %w0" : "+a"(word) : "d"(DOORBELL_PORT) : "memory");
	same(word, DOORBELL_MAGIC | 0xffff, "doorbell: 16 bits read as ones");
	word = DOORBELL_MAGIC;
	__asm__ volatile("inb %w1, %b0" : "+a"(word) : "d"(DOORBELL_PORT) : "memory");
	same(word, DOORBELL_MAGIC | 0xff, "doorbell: 8 bits read as ones");
	out8(DOORBELL_PORT, 1);
	out16(DOORBELL_PORT, 1);
	out32(DOORBELL_PORT, DOORBELL_MAGIC);
	far_push_out();
	__asm__ volatile("rep insl"
			 : "+D"(di), "+c"(count)
			 : "d"(DOORBELL_PORT), "a"(DOORBELL_MAGIC)
			 : "memory");
	ok(!count && get64(to + PAGE - 8) == UINT64_MAX && get64(to + PAGE) == UINT64_MAX,
		"doorbell: REP INSL reads ones");
	count = 4;
	far_push_out();
	__asm__ volatile("rep outsl" : "+S"(si), "+c"(count) : "d"(DOORBELL_PORT) : "memory");
	same(count, 0, "doorbell: REP OUTSL is swallowed");
	same(ask(&bell, DOORBELL_BEAT, 0, 0), DOORBELL_OK,
		"doorbell: the session saw none of that");
}

/* Until BEAT says so many pinned pages and an empty queue. */
static bool pinned(uint64_t pages)
{
	for (unsigned ms = 0; ms < PATIENCE; ms += 10) {
		if (ask(&bell, DOORBELL_BEAT, 0, 0) == DOORBELL_OK && bell.word[0] == pages &&
			bell.word[2] == 0)
			return true;
		apic_wait_us(10000);
	}
	say("       %lu pinned, %lu queued", bell.word[0], bell.word[2]);
	return false;
}

static void pins(void)
{
	uint64_t page = far_take(PAGES), range = far_gpa(page) | (PAGES - 1), fills;

	if (!machine_option("pin", 64)) {
		skip("doorbell: pins", "this machine's pcache has no frames for them");
		return;
	}
	pattern_fill(page, PAGES * PAGE, 77);
	far_push_out();
	same(ask(&bell, DOORBELL_PIN, range, 0), DOORBELL_OK, "doorbell: PIN of evicted far pages");
	ok(bell.word[0] == 1 && bell.word[1] == PAGES, "doorbell: it says how many");
	ok(pinned(PAGES), "doorbell: BEAT counts the pinned pages");
	far_push_out();
	ask(&bell, DOORBELL_BEAT, 0, 0);
	fills = bell.word[5];
	ok(pattern_good(page, PAGES * PAGE, 77), "doorbell: pinned pages have their content");
	ask(&bell, DOORBELL_BEAT, 0, 0);
	same(bell.word[5], fills, "doorbell: and were not evicted");
	same(ask(&bell, DOORBELL_UNPIN, range, 0), DOORBELL_OK, "doorbell: UNPIN");
	ok(pinned(0), "doorbell: BEAT counts none");
	far_push_out();
	ask(&bell, DOORBELL_SAMPLE, 0, 0);
	ask(&bell, DOORBELL_BEAT, 0, 0);
	fills = bell.word[5];
	ok(pattern_good(page + (PAGES - 1) * PAGE, 1, 77 + (PAGES - 1) * PAGE),
		"doorbell: then they are evicted, with their content");
	ask(&bell, DOORBELL_BEAT, 0, 0);
	same(bell.word[5], fills + 1, "doorbell: by a remote fill");
	same(ask(&bell, DOORBELL_SAMPLE, 0, 0), DOORBELL_OK, "doorbell: SAMPLE");
	ok(bell.word[0] == 1 && bell.word[1] == far_gpa(page) + (PAGES - 1) * PAGE,
		"doorbell: it names the page that was filled");
	ask(&bell, DOORBELL_PIN, range, 0);
	ok(pinned(PAGES), "doorbell: pinned again");
	same(ask(&bell, DOORBELL_BYE, 0, 0), DOORBELL_OK, "doorbell: BYE");
	same(ask(&bell, DOORBELL_BEAT, 0, 0), DOORBELL_NO_SESSION, "doorbell: BEAT after BYE");
	ok(hello() && pinned(0), "doorbell: the next session has no pins");
}

static void beat(void *argument)
{
	volatile uint64_t *good = argument;
	static struct bell other;

	for (unsigned i = 0; i < BEATS; i++)
		*good += ask(&other, DOORBELL_BEAT, 0, 0) == DOORBELL_OK;
}

static void two_cpus(void)
{
	static volatile uint64_t good, others;

	if (machine.cpus == 1) {
		skip("doorbell: two CPUs at once", "one guest CPU");
		return;
	}
	smp_run(1, beat, (void *)&others);
	for (unsigned i = 0; i < BEATS; i++)
		good += ask(&bell, DOORBELL_BEAT, 0, 0) == DOORBELL_OK;
	ok(smp_wait(1) && good == BEATS && others == BEATS, "doorbell: two CPUs ring at once");
}

void test_doorbell(void)
{
	say("doorbell");
	answers();
	others();
	pins();
	two_cpus();
	/* For the pages that a test without an agent sees. */
	same(ask(&bell, DOORBELL_BYE, 0, 0), DOORBELL_OK, "doorbell: the last session ends");
}
