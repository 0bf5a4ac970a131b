/* SPDX-License-Identifier: MIT */
/*
 * scan MIB SECONDS: fills MIB mebibytes, then reads a word of each page, in sequence and at random,
 * for SECONDS each. Prints pages per second, the accesses that hit local memory included.
 */
#include "lab.h"

static size_t pages;
static char *area;
static unsigned long wrong;

static void touch(size_t page)
{
	const uint64_t *words = (const uint64_t *)(area + page * LAB_PAGE);

	wrong += words[7] != lab_word(lab_mix(3 ^ (page << 20)), 7);
}

static double scan(int random, double seconds)
{
	uint64_t state = 11;
	size_t touched = 0;
	double began = lab_seconds(), now;

	do {
		for (unsigned i = 0; i < 16; i++, touched++)
			touch(random ? lab_random(&state) % pages : touched % pages);
		now = lab_seconds();
	} while (now - began < seconds);
	return (double)touched / (now - began);
}

int main(int argc, char **argv)
{
	double seconds = (double)lab_argument(argc, argv, 2, 20);
	double began = lab_seconds();
	double fill, sequential, random;

	pages = lab_argument(argc, argv, 1, 128) * 256;
	if (pages == 0)
		lab_fail("nothing to scan");
	area = lab_map(pages * LAB_PAGE);
	for (size_t i = 0; i < pages; i++)
		lab_write_page(area + i * LAB_PAGE, 3, i);
	fill = (double)pages / (lab_seconds() - began);
	sequential = scan(0, seconds);
	random = scan(1, seconds);
	if (wrong != 0)
		lab_fail("%lu pages had wrong content", wrong);
	printf("fill %.0f sequential %.0f random %.0f pages/s\n", fill, sequential, random);
	return 0;
}
