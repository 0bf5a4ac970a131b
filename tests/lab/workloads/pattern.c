/* SPDX-License-Identifier: MIT */
/*
 * pattern MIB: writes and verifies every word of MIB mebibytes, in sequential and in random order.
 * Each pass writes with its own seed, so that a page which fell back to older content shows.
 */
#include "lab.h"

static unsigned wrong_pages;

static void check(const char *area, size_t page, uint64_t seed, const char *pass)
{
	unsigned wrong = lab_wrong_words(area + page * LAB_PAGE, seed, page);

	if (wrong == 0)
		return;
	if (wrong_pages++ < 5)
		printf("%s: page %zu has %u wrong words\n", pass, page, wrong);
}

/* A random order of all pages, by Fisher and Yates. */
static uint32_t *shuffle(size_t pages, uint64_t seed)
{
	uint32_t *order = malloc(pages * sizeof(*order));

	if (order == NULL)
		lab_fail("no memory for the order of %zu pages", pages);
	for (size_t i = 0; i < pages; i++)
		order[i] = (uint32_t)i;
	for (size_t i = pages - 1; i > 0; i--) {
		size_t other = lab_random(&seed) % (i + 1);
		uint32_t swap = order[i];

		order[i] = order[other];
		order[other] = swap;
	}
	return order;
}

int main(int argc, char **argv)
{
	size_t mib = lab_argument(argc, argv, 1, 128);
	size_t pages = mib * 256;
	char *area = lab_map(pages * LAB_PAGE);
	uint32_t *order = shuffle(pages, 7);

	for (size_t i = 0; i < pages; i++)
		lab_write_page(area + i * LAB_PAGE, 1, i);
	for (size_t i = 0; i < pages; i++)
		check(area, i, 1, "sequential");
	for (size_t i = 0; i < pages; i++) {
		check(area, order[i], 1, "random, first");
		lab_write_page(area + (size_t)order[i] * LAB_PAGE, 2, order[i]);
	}
	for (size_t i = 0; i < pages; i++)
		check(area, order[pages - 1 - i], 2, "random, second");
	free(order);
	if (wrong_pages != 0)
		lab_fail("%u wrong pages of %zu", wrong_pages, pages);
	printf("%zu MiB sequential and random, every word right\n", mib);
	return 0;
}
