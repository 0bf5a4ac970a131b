/* SPDX-License-Identifier: MIT */
/*
 * pattern MIB [THREADS]: writes and verifies every word of MIB mebibytes, in sequential and in random
 * order, with one thread for each CPU (or THREADS). A thread's pages lie between those of the others,
 * and each verifies at last what its neighbour wrote. Each pass writes with its own seed, so that a
 * page which fell back to older content shows.
 */
#include <pthread.h>
#include "lab.h"

static _Atomic unsigned wrong_pages;
static pthread_barrier_t written;
static char *area;
static size_t pages;
static unsigned threads;

static void check(size_t page, uint64_t seed, const char *pass)
{
	unsigned wrong = lab_wrong_words(area + page * LAB_PAGE, seed, page);

	if (wrong == 0)
		return;
	if (wrong_pages++ < 5)
		printf("%s: page %zu has %u wrong words\n", pass, page, wrong);
}

/* A random order of `count` things, by Fisher and Yates. */
static uint32_t *shuffle(size_t count, uint64_t seed)
{
	uint32_t *order = malloc(count * sizeof(*order));

	if (order == NULL)
		lab_fail("no memory for the order of %zu pages", count);
	for (size_t i = 0; i < count; i++)
		order[i] = (uint32_t)i;
	for (size_t i = count - 1; i > 0; i--) {
		size_t other = lab_random(&seed) % (i + 1);
		uint32_t swap = order[i];

		order[i] = order[other];
		order[other] = swap;
	}
	return order;
}

static void *work(void *argument)
{
	unsigned me = (unsigned)(uintptr_t)argument, next = (me + 1) % threads;
	size_t count = pages / threads;
	uint32_t *order = shuffle(count, 7 + me);

	lab_pin(me);
	for (size_t i = 0; i < count; i++)
		lab_write_page(area + (i * threads + me) * LAB_PAGE, 1, i * threads + me);
	for (size_t i = 0; i < count; i++)
		check(i * threads + me, 1, "sequential");
	for (size_t i = 0; i < count; i++) {
		size_t page = (size_t)order[i] * threads + me;

		check(page, 1, "random, first");
		lab_write_page(area + page * LAB_PAGE, 2, page);
	}
	pthread_barrier_wait(&written);
	for (size_t i = 0; i < count; i++)
		check((size_t)order[count - 1 - i] * threads + next, 2, "random, second");
	free(order);
	return NULL;
}

int main(int argc, char **argv)
{
	size_t mib = lab_argument(argc, argv, 1, 128);
	pthread_t *thread;

	threads =
		(unsigned)lab_argument(argc, argv, 2, (unsigned long)sysconf(_SC_NPROCESSORS_ONLN));
	thread = calloc(threads, sizeof(*thread));
	pages = mib * 256 / threads * threads;
	area = lab_map(pages * LAB_PAGE);
	pthread_barrier_init(&written, NULL, threads);
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, work, (void *)(uintptr_t)i) != 0)
			lab_fail("no thread %u", i);
	for (unsigned i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	free(thread);
	if (wrong_pages != 0)
		lab_fail("%u wrong pages of %zu", wrong_pages, pages);
	printf("%zu MiB sequential and random on %u CPU%s, every word right\n", mib, threads,
		threads > 1 ? "s" : "");
	return 0;
}
