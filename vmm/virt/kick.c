/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include "virt/kick.h"

/* One word says both whether and since when, so that of several kickers one sends. */
bool kick_claim(struct kick *kick, uint64_t now)
{
	uint64_t sent = 0;

	if (atomic_compare_exchange_strong(&kick->at, &sent, now))
		return true;
	if ((int64_t)(now - sent) < KICK_REPEAT_NS)
		return false;
	if (!atomic_compare_exchange_strong(&kick->at, &sent, now))
		return false;
	atomic_store(&kick->late, now);
	return true;
}

/*
 * Was a kick that seemed lost only late, or did the guest's own NMI come before it, then two arrive,
 * and the second is not the guest's.
 */
bool kick_answer(struct kick *kick, uint64_t now, bool guests)
{
	uint64_t late;

	if (atomic_exchange(&kick->at, 0)) {
		if (guests)
			atomic_store(&kick->late, now);
		return true;
	}
	if (guests)
		return false;
	late = atomic_exchange(&kick->late, 0);
	return late && (int64_t)(now - late) < KICK_LATE_NS;
}
