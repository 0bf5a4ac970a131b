/* SPDX-License-Identifier: MIT */
/*
 * churn MIB sequential|random [SECONDS]: fills MIB mebibytes, then touches their pages, until it is
 * ended or for SECONDS. Every word that it reads is checked. Each fourth touch writes.
 */
#include <signal.h>
#include "tests/lab/workloads/lab.h"

static volatile sig_atomic_t ended;

static void on_end(int number)
{
	(void)number;
	ended = 1;
}

int main(int argc, char **argv)
{
	size_t pages = lab_argument(argc, argv, 1, 128) * 256, touched = 0;
	double seconds = (double)lab_argument(argc, argv, 3, 0), began;
	int random = argc > 2 && strcmp(argv[2], "random") == 0;
	uint64_t state = (uint64_t)getpid();
	char *area;

	if (pages == 0)
		lab_fail("nothing to touch");
	signal(SIGTERM, on_end);
	area = lab_map(pages * LAB_PAGE);
	for (size_t i = 0; i < pages; i++)
		lab_write_page(area + i * LAB_PAGE, 9, i);
	printf("filled\n");
	fflush(stdout);
	began = lab_seconds();
	while (!ended && (seconds == 0 || lab_seconds() - began < seconds)) {
		size_t page = (random ? lab_random(&state) : touched) % pages;
		volatile uint64_t *words = (volatile uint64_t *)(area + page * LAB_PAGE);
		uint64_t wanted = lab_word(lab_mix(9 ^ ((uint64_t)page << 20)), 3);

		if (words[3] != wanted)
			lab_fail("page %zu has wrong content", page);
		if (touched++ % 4 == 0)
			words[3] = wanted;
	}
	printf("%.0f pages/s, every word right\n", (double)touched / (lab_seconds() - began));
	return 0;
}
