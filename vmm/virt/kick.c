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
	atomic_store(&kick->repeated, 1);
	return true;
}

/* Was a kick that seemed lost only late, then two arrive, and the second is not the guest's. */
bool kick_answer(struct kick *kick)
{
	return atomic_exchange(&kick->at, 0) || atomic_exchange(&kick->repeated, 0);
}
