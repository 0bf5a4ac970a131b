/* SPDX-License-Identifier: MIT */
#include "lib/histogram.h"

#define SUB_BITS 3u
#define SUB      (1u << SUB_BITS)

static unsigned bucket_of(uint64_t ns)
{
	unsigned exponent, index;

	if (ns < SUB)
		return (unsigned)ns;
	exponent = 63u - (unsigned)__builtin_clzll(ns);
	index = (exponent - SUB_BITS + 1) * SUB + (ns >> (exponent - SUB_BITS)) % SUB;
	return index < HISTOGRAM_BUCKETS ? index : HISTOGRAM_BUCKETS - 1;
}

static uint64_t upper_bound(unsigned index)
{
	if (index < SUB)
		return index;
	return ((uint64_t)(SUB + index % SUB + 1) << (index / SUB - 1)) - 1;
}

void histogram_add(struct histogram *h, uint64_t ns)
{
	h->count++;
	h->bucket[bucket_of(ns)]++;
	if (ns > h->max)
		h->max = ns;
}

uint64_t histogram_at(const struct histogram *h, unsigned per_mille)
{
	/* Two steps, so that no count overflows. */
	uint64_t rank = h->count / 1000 * per_mille + (h->count % 1000 * per_mille + 999) / 1000;
	uint64_t seen = 0;

	if (!h->count)
		return 0;
	if (!rank)
		rank = 1;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		seen += h->bucket[i];
		if (seen >= rank)
			return upper_bound(i) < h->max ? upper_bound(i) : h->max;
	}
	return h->max;
}
