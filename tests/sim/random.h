/* SPDX-License-Identifier: MIT */
/* The simulation's random numbers: everything follows from the seed (splitmix64). */
#ifndef ANNEX_SIM_RANDOM_H
#define ANNEX_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
	uint64_t state;
};

static inline uint64_t random_next(struct random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* 0 .. n-1; n > 0 */
static inline uint32_t random_below(struct random *r, uint32_t n)
{
	return (uint32_t)((random_next(r) >> 32) * n >> 32);
}

/* low .. high */
static inline uint64_t random_between(struct random *r, uint64_t low, uint64_t high)
{
	return low + random_next(r) % (high - low + 1);
}

static inline bool random_chance(struct random *r, uint32_t per_mille)
{
	return random_below(r, 1000) < per_mille;
}

#endif
