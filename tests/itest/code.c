/* SPDX-License-Identifier: MIT */
/* Code in far memory, changed while it is there, evicted, and across pages. */
#include <string.h>
#include "itest.h"

#define ROUNDS 20u

/* MOV $n, %eax; RET */
static void write_code(uint64_t at, uint32_t n)
{
	put8(at, 0xb8);
	memcpy((void *)(at + 1), &n, 4);
	put8(at + 5, 0xc3);
}

static uint64_t run(uint64_t at)
{
	struct registers r = {0};

	return call_code(at, &r) ? UINT64_MAX : r.rax;
}

static void modified(uint64_t at, const char *where)
{
	bool good = true;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		write_code(at, i);
		good = run(at) == i && good;
	}
	ok(good, "code %s: written and executed in turn", where);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		write_code(at, i + 100);
		good = run(at) == i + 100 && good;
		far_push_out();
		good = run(at) == i + 100 && good;
		/* One byte, and the page was out. */
		put8(at + 1, (uint8_t)i);
		good = run(at) == i && good;
	}
	ok(good, "code %s: evicted and executed, evicted and written", where);
}

/* It overwrites the instruction behind itself. */
static void overwrites_itself(void)
{
	static const uint8_t code[] = {0xc7, 0x05, 0x01, 0, 0, 0, 0x44, 0x33, 0x22,
		0x11, /* movl $0x11223344, 1(%rip) */
		0xb8, 0, 0, 0, 0, /* movl $0, %eax */
		0xc3};
	uint64_t two = far_take(2);

	for (unsigned before = 2; before < 15; before += 4) {
		uint64_t at = two + PAGE - before;

		memcpy((void *)at, code, sizeof(code));
		far_push_out();
		same(run(at), 0x11223344,
			"code that changes its next instruction, %u bytes before "
			"the page's end",
			before);
	}
}

/* A jump from one far page to the next, through more of them than stay mapped. */
static void long_way(void)
{
	uint64_t pages = 300, base = far_take(300);
	uint32_t step = PAGE - 5;

	for (uint64_t i = 0; i < pages; i++) {
		put8(base + i * PAGE, 0xe9);
		memcpy((void *)(base + i * PAGE + 1), &step, 4);
	}
	write_code(base + (pages - 1) * PAGE, 4711);
	for (unsigned i = 0; i < 3; i++) {
		far_push_out();
		same(run(base), 4711, "a jump through %lu evicted pages", pages);
	}
}

/* The same page as data through another address. */
static void aliased(void)
{
	uint64_t page = far_take(1), alias = TEST_VA + 2048 * GIB;
	bool good = true;

	pages_map(alias, far_gpa(page), PAGE, 0, PTE_W);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		write_code(alias, i);
		good = run(page) == i && good;
		far_push_out();
		good = run(page) == i && good;
	}
	ok(good, "code written through another address");
}

static volatile uint64_t rounds_run, rounds_read;

/* Runs of old code, one behind the other, after which no newer one is waited for. */
#define STALE 20000u

/*
 * Each value may come late, none may be torn, or older than one before. CPUID serializes: what was read
 * before it is what is executed behind it (SDM vol. 3A 8.1.3).
 */
static void other_cpu_runs(void *argument)
{
	uint64_t at = (uint64_t)argument, value = 0;

	for (unsigned stale = 0; value != ROUNDS && stale < STALE;) {
		uint64_t now, read = get8(at + 1);
		register uint64_t target __asm__("r8") = at;

		__asm__ volatile("cpuid\n\tcall *%1"
				 : "=a"(now), "+r"(target)
				 : "0"(0)
				 : "rbx", "rcx", "rdx", "memory", "cc");
		if (now < value || now > ROUNDS || read < rounds_read)
			return;
		stale = now < read ? stale + 1 : 0;
		value = now;
		rounds_read = read;
		rounds_run = value;
	}
}

static void modified_by_another(void)
{
	uint64_t page = far_take(1);

	if (machine.cpus == 1) {
		skip("code that another CPU changes", "one guest CPU");
		return;
	}
	write_code(page, 0);
	smp_run(1, other_cpu_runs, (void *)page);
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		put8(page + 1, (uint8_t)i);
		far_push_out();
	}
	ok(smp_wait(1), "a CPU that executes what another changes comes to its end");
	/* It may see the last change as code first. */
	if (rounds_run != ROUNDS && rounds_read == ROUNDS)
		skip("code that one CPU changes and another executes",
			"memory is right: the CPU reads the change, and executes what was before");
	else
		same(rounds_run, ROUNDS, "code that one CPU changes and another executes");
}

void test_code(void)
{
	uint64_t two = far_take(2);

	say("code in far memory");
	modified(two + 64, "in a far page");
	modified(two + PAGE - 3, "across two far pages");
	overwrites_itself();
	long_way();
	aliased();
	modified_by_another();
}
