/* SPDX-License-Identifier: MIT */
/* Times in ns, 8 sub-buckets per power of two: a percentile is right to 12.5 %. */
#ifndef ANNEX_HISTOGRAM_H
#define ANNEX_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS (40u * 8u) /* up to 2^42 ns */

struct histogram {
	uint64_t count;
	uint64_t max;
	uint64_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t ns);

/* Upper bound of the bucket that holds the value at per_mille (500 = median); 0 when empty. */
uint64_t histogram_at(const struct histogram *h, unsigned per_mille);

#endif
