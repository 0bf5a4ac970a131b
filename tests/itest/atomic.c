/* SPDX-License-Identifier: MIT */
/* Two CPUs at once on the same far pages, more of them than stay local. */
#include "itest.h"

#define PAGES  1200u
#define ROUNDS 2u
#define PAIRS  64u

struct share {
	uint64_t base;
	uint64_t seed;
	unsigned step; /* through the pages */
};

/* Each adds 1 to a word of every page, and to one across each edge between two. */
static void add(void *argument)
{
	const struct share *s = argument;

	for (unsigned r = 0; r < ROUNDS; r++) {
		for (unsigned i = 0; i < PAGES; i++) {
			uint64_t page = s->base + (i * s->step + s->seed) % PAGES * PAGE, one = 1;

			__asm__ volatile("lock xaddq %0, (%1)"
					 : "+r"(one)
					 : "r"(page + 64)
					 : "memory", "cc");
			__asm__ volatile("lock incl (%0)" : : "r"(page + 128) : "memory", "cc");
		}
	}
}

/* Two counters that only a 16-byte exchange keeps equal. */
static void pairs(void *argument)
{
	const struct share *s = argument;

	for (unsigned i = 0; i < PAIRS * 4; i++) {
		uint64_t page = s->base + (i * s->step + s->seed) % PAIRS * 15 * PAGE, low, high;
		uint8_t done;

		for (;;) {
			low = get64(page + 256);
			high = get64(page + 264);
			__asm__ volatile("lock cmpxchg16b (%3)\n\tsete %0"
					 : "=q"(done), "+a"(low), "+d"(high)
					 : "r"(page + 256), "b"(low + 1), "c"(high + 1)
					 : "memory", "cc");
			if (done)
				break;
		}
	}
}

/* Each byte of a page is one CPU's; the page is pushed out under both. */
static void bytes(void *argument)
{
	const struct share *s = argument;

	for (unsigned r = 0; r < 3; r++)
		for (unsigned i = 0; i < PAGES; i += 7)
			for (unsigned j = 0; j < 8; j++)
				put8(s->base + i * PAGE + 512 + 2 * j + s->seed,
					(uint8_t)(i + j + r));
}

static void both(void (*f)(void *), uint64_t base, const char *what)
{
	static struct share a, b;

	a = (struct share){base, 0, 1};
	b = (struct share){base, 1, 7};
	smp_run(1, f, &b);
	f(&a);
	ok(smp_wait(1), "%s: both CPUs come to their end", what);
}

void test_atomic(void)
{
	uint64_t base;
	bool good = true;

	say("two CPUs");
	if (machine.cpus == 1) {
		skip("two CPUs on the same far pages", "one guest CPU");
		return;
	}
	base = far_take(PAGES);
	both(add, base, "LOCK XADD");
	for (unsigned i = 0; i < PAGES; i++)
		good = good && get64(base + i * PAGE + 64) == 2 * ROUNDS &&
		       get64(base + i * PAGE + 128) == 2 * ROUNDS;
	ok(good, "no addition is lost");
	both(pairs, base, "LOCK CMPXCHG16B");
	good = true;
	for (unsigned i = 0; i < PAIRS; i++) {
		uint64_t page = base + i * 15 * PAGE;

		good = good && get64(page + 256) == 8 && get64(page + 264) == 8;
	}
	ok(good, "no exchange is lost or torn");
	both(bytes, base, "bytes of one page");
	good = true;
	for (unsigned i = 0; i < PAGES; i += 7)
		for (unsigned j = 0; j < 16; j++)
			good = good && get8(base + i * PAGE + 512 + j) == (uint8_t)(i + j / 2 + 2);
	ok(good, "no byte is lost");
}
