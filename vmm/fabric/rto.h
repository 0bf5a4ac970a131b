/* SPDX-License-Identifier: MIT */
/* Retransmission timeout from measured round trips (the estimator of RFC 6298). */
#ifndef ANNEX_RTO_H
#define ANNEX_RTO_H

#include <stdint.h>

#define RTO_FIRST_NS 100000000ull /* before anything was measured */
#define RTO_MIN_NS   10000000ull
#define RTO_MAX_NS   1000000000ull
#define RTO_KEPT     3u /* doublings that last until something was measured */

struct rto {
	uint64_t smoothed; /* 0: nothing measured yet */
	uint64_t variance;
	unsigned backoff; /* doublings since the last measurement */
};

static inline void rto_sample(struct rto *r, uint64_t rtt)
{
	uint64_t distance = rtt > r->smoothed ? rtt - r->smoothed : r->smoothed - rtt;

	r->backoff = 0;
	if (rtt == 0)
		rtt = 1;
	if (r->smoothed == 0) {
		r->smoothed = rtt;
		r->variance = rtt / 2;
		return;
	}
	r->variance = (3 * r->variance + distance) / 4;
	r->smoothed = (7 * r->smoothed + rtt) / 8;
	if (r->smoothed == 0)
		r->smoothed = 1;
}

/*
 * Something was acknowledged that was sent more than once, so not measured. Some of the longer timeout
 * stays: else a round trip that has become longer than it would be sent twice for ever. Not all of it:
 * under steady loss there may be nothing to measure for a long time.
 */
static inline void rto_progress(struct rto *r)
{
	if (r->backoff > RTO_KEPT)
		r->backoff = RTO_KEPT;
}

static inline uint64_t rto_timeout(const struct rto *r)
{
	uint64_t timeout = r->smoothed == 0 ? RTO_FIRST_NS : r->smoothed + 4 * r->variance;

	if (timeout < RTO_MIN_NS)
		timeout = RTO_MIN_NS;
	for (unsigned i = 0; i < r->backoff && timeout < RTO_MAX_NS; i++)
		timeout *= 2;
	return timeout < RTO_MAX_NS ? timeout : RTO_MAX_NS;
}

#endif
