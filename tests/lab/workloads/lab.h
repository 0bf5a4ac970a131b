/* SPDX-License-Identifier: MIT */
/*
 * What the workload programs share. Each prints what it did; its last line is the detail of the
 * result. Exit code 0: every byte was right. Content is a function of a seed and a position, so that
 * whoever reads can tell what should be there.
 */
#ifndef ANNEX_LAB_H
#define ANNEX_LAB_H

#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LAB_PAGE  4096u
#define LAB_WORDS (LAB_PAGE / sizeof(uint64_t))

static inline void __attribute__((noreturn, format(printf, 1, 2))) lab_fail(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

/* The splitmix64 finalizer: a cheap, well mixed function of x. */
static inline uint64_t lab_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static inline uint64_t lab_random(uint64_t *state)
{
	return lab_mix((*state)++);
}

/* Word `word` of page `page` as `seed` has it; never a page of zeros. */
static inline uint64_t lab_word(uint64_t start, unsigned word)
{
	return start ^ (word * 0x9e3779b97f4a7c15u);
}

static inline void lab_write_page(void *page, uint64_t seed, uint64_t number)
{
	uint64_t start = lab_mix(seed ^ (number << 20));
	uint64_t *words = page;

	for (unsigned i = 0; i < LAB_WORDS; i++)
		words[i] = lab_word(start, i);
}

/* Number of words that are not what lab_write_page() put there. */
static inline unsigned lab_wrong_words(const void *page, uint64_t seed, uint64_t number)
{
	uint64_t start = lab_mix(seed ^ (number << 20));
	const uint64_t *words = page;
	unsigned wrong = 0;

	for (unsigned i = 0; i < LAB_WORDS; i++)
		wrong += words[i] != lab_word(start, i);
	return wrong;
}

/* Fletcher-like, over whole words; order matters. */
static inline uint64_t lab_checksum(const void *data, size_t bytes, uint64_t sum)
{
	const uint64_t *words = data;

	for (size_t i = 0; i < bytes / sizeof(*words); i++)
		sum = (sum << 7 | sum >> 57) + words[i];
	return sum;
}

/* Private memory of `bytes`, not touched, in small pages. */
static inline char *lab_map(size_t bytes)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		lab_fail("cannot map %zu bytes", bytes);
	madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

static inline unsigned long lab_argument(int argc, char **argv, int i, unsigned long fallback)
{
	return i < argc ? strtoul(argv[i], NULL, 0) : fallback;
}

/* This thread on that CPU; a CPU that is offline leaves it where it is. */
static inline void lab_pin(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static inline double lab_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* How many of the pages lie on `node`, by move_pages(2) asked for a sample of at most 1024. */
static inline unsigned lab_percent_on_node(char *start, size_t bytes, int node)
{
	void *pages[1024];
	int status[1024];
	size_t all = bytes / LAB_PAGE;
	size_t count = all < 1024 ? all : 1024;
	unsigned here = 0;

	for (size_t i = 0; i < count; i++)
		pages[i] = start + (all * i / count) * LAB_PAGE;
	if (syscall(SYS_move_pages, 0, count, pages, NULL, status, 0) != 0)
		return 0;
	for (size_t i = 0; i < count; i++)
		here += status[i] == node;
	return count == 0 ? 0 : (unsigned)(here * 100 / count);
}

#endif
