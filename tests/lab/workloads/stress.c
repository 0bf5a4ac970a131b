/* SPDX-License-Identifier: MIT */
/*
 * stress MIB SECONDS [THREADS]: one thread on each CPU (or THREADS) hammers MIB mebibytes in random
 * order until the time is over. Three eighths of them are pages that a thread owns, written and read
 * whole; the rest are words that all threads add to atomically, and each thread's own tally of what
 * it added. Every page is verified each time it is read, and every word at the end.
 */
#include <pthread.h>
#include "lab.h"

struct worker {
	pthread_t thread;
	unsigned number;
	uint64_t *tally; /* what this thread added to each shared word */
	uint32_t *seed; /* of each own page: what was written there last */
	uint64_t writes, reads, atomics;
};

static _Atomic unsigned wrong;
static unsigned threads;
static char *area; /* pages; page p is thread p % threads' */
static size_t pages; /* of each thread */
static uint64_t *shared;
static size_t words;
static double end;

static void verify(struct worker *w, size_t own)
{
	size_t page = own * threads + w->number;
	unsigned bad = lab_wrong_words(area + page * LAB_PAGE, w->seed[own], page);

	if (bad != 0 && wrong++ < 5)
		printf("page %zu has %u wrong words\n", page, bad);
}

static void write_page(struct worker *w, size_t own)
{
	size_t page = own * threads + w->number;

	lab_write_page(area + page * LAB_PAGE, ++w->seed[own], page);
}

static void add(struct worker *w, uint64_t random)
{
	size_t word = random % words;

	__atomic_fetch_add(&shared[word], random | 1, __ATOMIC_SEQ_CST);
	w->tally[word] += random | 1;
}

static void *work(void *argument)
{
	struct worker *w = argument;
	uint64_t random = 1000003ull * (w->number + 1);

	if (pages == 0)
		return NULL;
	lab_pin(w->number);
	for (size_t i = 0; i < pages; i++)
		write_page(w, i);
	while (lab_seconds() < end) {
		uint64_t what = lab_random(&random);

		switch (what & 3) {
		case 0:
			write_page(w, (what >> 8) % pages);
			w->writes++;
			break;
		case 1:
			verify(w, (what >> 8) % pages);
			w->reads++;
			break;
		default:
			add(w, lab_random(&random));
			w->atomics++;
		}
	}
	for (size_t i = 0; i < pages; i++)
		verify(w, i);
	return NULL;
}

static void verify_shared(const struct worker *w)
{
	for (size_t i = 0; i < words; i++) {
		uint64_t sum = 0;

		for (unsigned t = 0; t < threads; t++)
			sum += w[t].tally[i];
		if (sum != shared[i] && wrong++ < 5)
			printf("shared word %zu is %llx, not %llx\n", i,
				(unsigned long long)shared[i], (unsigned long long)sum);
	}
}

int main(int argc, char **argv)
{
	size_t bytes = lab_argument(argc, argv, 1, 128) << 20;
	unsigned long seconds = lab_argument(argc, argv, 2, 60);
	uint64_t writes = 0, reads = 0, atomics = 0;
	struct worker *w;

	threads =
		(unsigned)lab_argument(argc, argv, 3, (unsigned long)sysconf(_SC_NPROCESSORS_ONLN));
	w = calloc(threads, sizeof(*w));
	pages = bytes / 8 * 3 / LAB_PAGE / threads;
	if (pages == 0)
		lab_fail("less than a page for each thread");
	area = lab_map(pages * threads * LAB_PAGE);
	words = bytes / 8 * 5 / (threads + 1) / sizeof(*shared);
	shared = (uint64_t *)lab_map(words * sizeof(*shared));
	end = lab_seconds() + (double)seconds;
	for (unsigned i = 0; i < threads; i++) {
		w[i].number = i;
		w[i].tally = (uint64_t *)lab_map(words * sizeof(*shared));
		w[i].seed = (uint32_t *)lab_map(pages * sizeof(*w[i].seed));
		if (pthread_create(&w[i].thread, NULL, work, &w[i]) != 0)
			lab_fail("no thread %u", i);
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(w[i].thread, NULL);
	verify_shared(w);
	for (unsigned i = 0; i < threads; i++) {
		writes += w[i].writes;
		reads += w[i].reads;
		atomics += w[i].atomics;
	}
	free(w);
	if (wrong != 0)
		lab_fail("%u wrong pages and words", wrong);
	printf("%zu MiB on %u CPUs: %llu pages written, %llu read, %llu atomic additions, every "
	       "word "
	       "right\n",
		bytes >> 20, threads, (unsigned long long)writes, (unsigned long long)reads,
		(unsigned long long)atomics);
	return 0;
}
