/* SPDX-License-Identifier: MIT */
/* CLOCK over the far window's leaf entries, in batches of one shootdown. Service core only. */
#ifndef ANNEX_FAR_RECLAIM_H
#define ANNEX_FAR_RECLAIM_H

#include "far/engine.h"

/* Clears a RESIDENT page's A bit: cold if it is still clear after the next settled flush. */
void reclaim_age(struct far *far, struct frame *f);

/* Evicts when the reserve is low; cleans cold pages ahead of the hand when it is not. */
void reclaim_turn(struct far *far, uint64_t now);

/* ns at which reclaim_turn() next has work, or UINT64_MAX. */
uint64_t reclaim_deadline(const struct far *far);

#endif
