/* SPDX-License-Identifier: MIT */
/* Pages filled before they are touched, because faults come in streams. Service core only. */
#ifndef ANNEX_FAR_PREFETCH_H
#define ANNEX_FAR_PREFETCH_H

#include "far/engine.h"

void prefetch_start(struct far *far);

/* A vCPU's fault on this page was served, or waits for its READ. */
void prefetch_note(struct far *far, unsigned cpu, uint32_t page);

/* Fills pages of open windows, as far as READs and frames are to spare. */
void prefetch_turn(struct far *far, uint64_t now);

/* R5: what lies below the low mark is for faults. */
bool prefetch_frame_to_spare(const struct far *far);

/*
 * With a frame to spare: the frame of a ZERO page, zeroed, to be mapped; that of a REMOTE page whose
 * READ is posted, the server being ready and the extent held, or ENGINE_NONE: no READ to spare.
 */
uint32_t prefetch_zero(struct far *far, uint32_t page);
uint32_t prefetch_read(
	struct far *far, uint32_t page, uint64_t entry, enum prefetched as, uint64_t now);

/* A READ is here that no vCPU waits for: its page is mapped or kept as a victim, or given back. */
void prefetch_arrived(struct far *far, uint32_t frame, bool ok);

/* A prefetched page was touched; its frame goes untouched. */
void prefetch_hit(struct far *far, struct frame *f);
void prefetch_wasted(struct far *far, struct frame *f);

/* A hint wants the FILLING page too: it is mapped when its READ is here. */
void prefetch_adopt(struct far *far, struct frame *f);

static inline void prefetch_touched(struct far *far, struct frame *f)
{
	if (f->prefetched != PREFETCHED_NOT)
		prefetch_hit(far, f);
}

#endif
