/* SPDX-License-Identifier: MIT */
/*
 * kv MIB FIFO: a small key-value store: a hash table of MIB mebibytes, three of four slots used. It
 * does what it reads from FIFO, a line each, and prints a line for each when that is done:
 *   gets RATE SECONDS  RATE gets a second of random keys, each value checked, and how long they took
 *   sweep              one get in each page of the table, in random order
 *   address            where the table is, its bytes
 *   quit
 */
#include <fcntl.h>
#include "tests/lab/workloads/lab.h"

#define SLOT_WORDS 8u
#define SUB_BITS   5u /* buckets per octave: 32 */

static uint64_t *table;
static uint64_t slots, keys;
static uint32_t histogram[64 << SUB_BITS];
static uint64_t samples, slowest;

static uint64_t *slot_of(uint64_t key)
{
	uint64_t i = lab_mix(key) % slots;

	while (table[i * SLOT_WORDS] != key && table[i * SLOT_WORDS] != 0)
		i = (i + 1) % slots;
	return &table[i * SLOT_WORDS];
}

static void put(uint64_t key)
{
	uint64_t *slot = slot_of(key);

	slot[0] = key;
	for (unsigned i = 1; i < SLOT_WORDS; i++)
		slot[i] = lab_word(lab_mix(key ^ 5), i);
}

static void get(uint64_t key)
{
	const uint64_t *slot = slot_of(key);
	unsigned wrong = slot[0] != key;

	for (unsigned i = 1; i < SLOT_WORDS; i++)
		wrong += slot[i] != lab_word(lab_mix(key ^ 5), i);
	if (wrong)
		lab_fail("key %lu has %u wrong words", (unsigned long)key, wrong);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static unsigned bucket_of(uint64_t ns)
{
	unsigned octave = ns < (1u << SUB_BITS) ? 0 : 63 - (unsigned)__builtin_clzll(ns) - SUB_BITS;

	return (octave << SUB_BITS) + (unsigned)(ns >> octave);
}

static void note(uint64_t ns)
{
	histogram[bucket_of(ns)]++;
	samples++;
	if (ns > slowest)
		slowest = ns;
}

/* The lower end of the bucket that the share `of` in 1000 lies in, in microseconds. */
static double percentile(unsigned of)
{
	uint64_t wanted = samples * of / 1000, seen = 0;

	for (unsigned i = 0; i < sizeof(histogram) / sizeof(*histogram); i++) {
		unsigned octave = i >> SUB_BITS;

		seen += histogram[i];
		if (seen <= wanted)
			continue;
		if (octave > 0)
			octave--;
		return (double)((uint64_t)(i - (octave << SUB_BITS)) << octave) / 1000;
	}
	return (double)slowest / 1000;
}

static void measured(const char *what, double seconds)
{
	printf("%s %lu in %.3f s, us: p50 %.1f p99 %.1f p999 %.1f max %.1f\n", what,
		(unsigned long)samples, seconds, percentile(500), percentile(990), percentile(999),
		(double)slowest / 1000);
}

static void measure_begin(void)
{
	memset(histogram, 0, sizeof(histogram));
	samples = slowest = 0;
}

static void do_gets(unsigned long rate, unsigned long seconds)
{
	uint64_t began = now_ns(), state = began, due = began;

	if (rate == 0)
		rate = 1;
	if (keys == 0)
		return;
	measure_begin();
	while (due - began < seconds * 1000000000u) {
		struct timespec until = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)};
		uint64_t key, from;

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		key = lab_random(&state) % keys + 1;
		from = now_ns();
		get(key);
		note(now_ns() - from);
		due += 1000000000u / rate;
		if (due < from) /* late: a slow get does not make a burst */
			due = from;
	}
	measured("gets", (double)(now_ns() - began) / 1e9);
}

/* Pages by a full-period step through them. */
static void do_sweep(void)
{
	uint64_t pages = slots * SLOT_WORDS * 8 / LAB_PAGE, step = pages * 5 / 13 | 1;
	uint64_t began = now_ns();

	while (pages % step == 0)
		step += 2;
	measure_begin();
	for (uint64_t i = 0, page = pages / 3; i < pages; i++, page = (page + step) % pages) {
		const uint64_t *slot = table + page * LAB_WORDS;
		uint64_t from = now_ns();

		/* A slot that is used; some pages may have none at their start. */
		for (unsigned s = 0; s < LAB_WORDS / SLOT_WORDS; s++, slot += SLOT_WORDS)
			if (slot[0] != 0) {
				get(slot[0]);
				break;
			}
		note(now_ns() - from);
	}
	measured("sweep", (double)(now_ns() - began) / 1e9);
}

int main(int argc, char **argv)
{
	uint64_t bytes = lab_argument(argc, argv, 1, 16) << 20;
	unsigned long a, b;
	char line[128];
	FILE *in;
	int file;

	if (argc != 3 || bytes == 0)
		lab_fail("kv MIB FIFO");
	setvbuf(stdout, NULL, _IOLBF, 0);
	table = (uint64_t *)lab_map(bytes);
	slots = bytes / (SLOT_WORDS * 8);
	keys = slots * 3 / 4;
	for (uint64_t key = 1; key <= keys; key++)
		put(key);
	file = open(argv[2], O_RDWR); /* never the last writer */
	in = file < 0 ? NULL : fdopen(file, "r");
	if (!in)
		lab_fail("cannot open %s", argv[2]);
	printf("ready %lu keys\n", (unsigned long)keys);
	while (fgets(line, sizeof(line), in)) {
		if (sscanf(line, "gets %lu %lu", &a, &b) == 2)
			do_gets(a, b);
		else if (strcmp(line, "sweep\n") == 0)
			do_sweep();
		else if (strcmp(line, "address\n") == 0)
			printf("address %p %lu\n", (void *)table, (unsigned long)bytes);
		else if (strcmp(line, "quit\n") == 0)
			break;
		else
			printf("unknown\n");
	}
	printf("ended\n");
	return 0;
}
