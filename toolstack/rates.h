/* SPDX-License-Identifier: MIT */
/* Rates and ratios from two samples of a VMM's counters. */
#ifndef ANNEX_RATES_H
#define ANNEX_RATES_H

#include <jansson.h>

struct rates_sample {
	json_t *counters; /* result of `counters` */
	json_t *status; /* result of `status`, asked right after it */
};

struct rates {
	double seconds; /* between the samples, by the VMM's clock */
	double hit_ratio; /* 0..1 of the faults between them; 1 when there were none */
	double hit_ratio_total; /* since boot */
	double fills; /* remote, per second */
	double zero_fills, victim_hits, evictions, writebacks;
	double prefetched; /* pages filled before their touch, per second */
	double prefetch_ratio; /* 0..1 of those known to be touched or not, since boot; 1: none */
	long long resident, remote, zero; /* pages in the later sample */
};

void rates_between(
	const struct rates_sample *before, const struct rates_sample *after, struct rates *rates);
json_t *rates_json(const struct rates *rates);

#endif
