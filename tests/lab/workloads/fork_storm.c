/* SPDX-License-Identifier: MIT */
/*
 * fork_storm CHILDREN MIB: a parent with MIB mebibytes of known content forks CHILDREN children.
 * Each verifies what it was born with, while the parent goes on writing (copy-on-write on both
 * sides). When all live, they rewrite their private copies with their own seeds and verify them, all
 * at once.
 */
#include <sys/wait.h>
#include "lab.h"

static size_t pages;
static char *area;
static int gate[2]; /* a pipe: closed by the parent when all children live */

static unsigned wrong(uint64_t seed)
{
	unsigned n = 0;

	for (size_t i = 0; i < pages; i++)
		n += lab_wrong_words(area + i * LAB_PAGE, seed, i) != 0;
	return n;
}

static void rewrite(uint64_t seed)
{
	for (size_t i = 0; i < pages; i++)
		lab_write_page(area + i * LAB_PAGE, seed, i);
}

/* Exit code: 0, 1 wrong at birth, 2 wrong after rewriting, 3 no gate. */
static int child(uint64_t inherited, uint64_t own)
{
	char byte;

	close(gate[1]);
	if (wrong(inherited) != 0)
		return 1;
	if (read(gate[0], &byte, 1) != 0)
		return 3;
	rewrite(own);
	return wrong(own) != 0 ? 2 : 0;
}

int main(int argc, char **argv)
{
	unsigned children = (unsigned)lab_argument(argc, argv, 1, 100);
	size_t mib = lab_argument(argc, argv, 2, 2);
	unsigned bad = 0;

	pages = mib * 256;
	area = lab_map(pages * LAB_PAGE);
	rewrite(0);
	if (pipe(gate) != 0)
		lab_fail("no pipe");
	for (unsigned i = 0; i < children; i++) {
		pid_t pid = fork();

		if (pid < 0)
			lab_fail("fork of child %u of %u failed", i, children);
		if (pid == 0)
			_exit(child(i, 1000 + i));
		rewrite(i + 1); /* while the child reads what was there when it was born */
	}
	close(gate[1]);
	rewrite(children);
	for (unsigned i = 0; i < children; i++) {
		int status = 0;

		if (wait(&status) < 0 || status != 0) {
			bad++;
			printf("a child ended with status 0x%x\n", (unsigned)status);
		}
	}
	if (wrong(children) != 0)
		lab_fail("the parent's memory is wrong");
	if (bad != 0)
		lab_fail("%u of %u children failed", bad, children);
	printf("%u children of %zu MiB, all copies right\n", children, mib);
	return 0;
}
