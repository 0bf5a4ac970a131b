/* SPDX-License-Identifier: MIT */
/*
 * The simulation's variant of slat/format.h: other CPUs may act just before and just after any
 * locked change of an entry. Comes first by -I and wraps the real one.
 */
#ifndef ANNEX_SIM_BETWEEN_FORMAT_H
#define ANNEX_SIM_BETWEEN_FORMAT_H

#define slat_exchange         slat_exchange_alone
#define slat_compare_exchange slat_compare_exchange_alone
#include_next "slat/format.h"
#undef slat_exchange
#undef slat_compare_exchange

/* guest.c: steps of other CPUs, some of them on the page whose entry this is. */
void guest_between(const _Atomic uint64_t *entry, bool before);

static inline uint64_t slat_exchange(_Atomic uint64_t *entry, uint64_t value)
{
	uint64_t old;

	guest_between(entry, true);
	old = slat_exchange_alone(entry, value);
	guest_between(entry, false);
	return old;
}

static inline bool slat_compare_exchange(
	_Atomic uint64_t *entry, uint64_t *expected, uint64_t value)
{
	bool done;

	guest_between(entry, true);
	done = slat_compare_exchange_alone(entry, expected, value);
	guest_between(entry, false);
	return done;
}

#endif
