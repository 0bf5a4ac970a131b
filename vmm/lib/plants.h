/* SPDX-License-Identifier: MIT */
/* The planted faults: each breaks one rule, and the simulation must notice. */
#ifndef ANNEX_PLANTS_H
#define ANNEX_PLANTS_H

enum plant {
	PLANT_NONE,
	PLANT_NO_SHOOTDOWN_WRITE, /* write back before the shootdown has settled (R1) */
	PLANT_NO_SHOOTDOWN_ZERO, /* judge a page all-zero before the shootdown has settled (R1) */
	PLANT_DOUBLE_FREE, /* free a frame twice (R3) */
	PLANT_MAP_ERRORED, /* map a fill that failed (R4) */
	PLANT_MAP_STALE, /* map a fill whose checksum is not the entry's (R4) */
	PLANT_DROP_RECORD, /* forget an eviction before its acknowledgement (R6) */
	PLANT_OLD_ACK, /* an acknowledgement of an older generation cleans (R6) */
	PLANT_NO_FENCE, /* older queue pairs survive a re-attach */
	PLANT_ABANDONED_READ, /* a late response lands in its old destination */
	PLANT_OLD_BATCH, /* an older batch releases a frame mapped since (R1) */
	PLANT_RECLAIM_RECENT, /* reclaim a page that an instruction still needs */
	PLANT_PREFETCH_LOST, /* map a prefetched page whose READ failed (R4) */
	PLANT_PREFETCH_RESERVE, /* prefetch takes the frames that faults live on (R5) */
	PLANT_RECLAIM_PINNED, /* reclaim takes a pinned page */
	PLANT_HINT_LOST, /* map a page whose READ for a hint failed (R4) */
	PLANT_COUNT,
};

#endif
