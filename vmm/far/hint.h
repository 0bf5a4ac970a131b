/* SPDX-License-Identifier: MIT */
/* What the guest's agent says of its pages; far.h has its entrance. Service core only. */
#ifndef ANNEX_FAR_HINT_H
#define ANNEX_FAR_HINT_H

#include "far/engine.h"

/* Deals with some pages of the queue, oldest first, or releases some pins of a session that ended. */
void hint_turn(struct far *far, uint64_t now);

/* The page of a pinned frame, or of one filled for a hint, goes without content. */
void hint_drop(struct far *far, struct frame *f);

/* A turn would find work at once. */
static inline bool hint_busy(const struct far *far)
{
	return far->unpinning > 0 || (far->hints > 0 && far->hint_wait == HINT_RUNS);
}

#endif
