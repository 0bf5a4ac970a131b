/* SPDX-License-Identifier: MIT */
/*
 * cpu [ROUNDS]: integer work over a table of 2 MiB that stays local. Prints the milliseconds of the
 * fastest of 60 equal rounds, short so that some have the host's CPU for themselves, and the result, which is the same everywhere.
 */
#include "lab.h"

#define TABLE   (1u << 18)
#define REPEATS 60u

static uint64_t table[TABLE];

static uint64_t work(unsigned rounds)
{
	uint64_t sum = 1;

	for (unsigned i = 0; i < TABLE; i++)
		table[i] = lab_mix(i);
	for (unsigned r = 0; r < rounds; r++)
		for (unsigned i = 0; i < TABLE; i++) {
			uint64_t *slot = &table[(sum ^ i) % TABLE];

			sum = sum * 6364136223846793005u + *slot;
			*slot ^= sum >> 17;
		}
	return sum;
}

int main(int argc, char **argv)
{
	unsigned rounds = (unsigned)lab_argument(argc, argv, 1, 10);
	uint64_t sum = 0;
	double best = 1e9;

	for (unsigned i = 0; i < REPEATS; i++) {
		double began = lab_seconds();
		double took;

		sum = work(rounds);
		took = lab_seconds() - began;
		best = took < best ? took : best;
	}
	printf("%.2f ms, result %016lx\n", best * 1000, sum);
	return 0;
}
