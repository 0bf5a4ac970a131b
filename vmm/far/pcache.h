/* SPDX-License-Identifier: MIT */
/* Frames: their memory, table, lists and mappings; the reserve. Service core only. */
#ifndef ANNEX_FAR_PCACHE_H
#define ANNEX_FAR_PCACHE_H

#include "far/engine.h"

/* Every frame free, every list empty; sets the watermarks' floor. */
void pcache_start(struct far *far);

/* The frame's 4 KiB. */
void *pcache_memory(const struct far *far, uint32_t frame);

/* The frame that a present entry maps. Panics if it maps none of ours. */
uint32_t pcache_mapped(const struct far *far, uint64_t entry);

void pcache_append(struct far *far, enum list_id list, uint32_t frame);
void pcache_unlink(struct far *far, uint32_t frame);

/* Changes a page's state in the frame table (entries are the caller's) and the counts. */
void pcache_state(struct far *far, struct frame *f, enum page_state state);

/*
 * A frame for a fill: a free one, or the oldest clean victim's. ENGINE_NONE: the reserve is gone.
 * Never evicts, never waits (R5). The frame belongs to nobody until the caller gives it a page.
 */
uint32_t pcache_take(struct far *far);

/* The taken frame becomes this page's: FILLING, nothing else set. */
struct frame *pcache_give_page(
	struct far *far, uint32_t frame, uint32_t page, enum page_state from);

/* The page has left its frame (entry and counts are done): the frame becomes free. */
void pcache_free(struct far *far, uint32_t frame);

/*
 * Maps the frame's page, content complete: RESIDENT. `write` is the access that wants it; it counts
 * only where the CPU has no dirty bit. A dirty page is mapped with D set (R8).
 */
void pcache_map(struct far *far, uint32_t frame, bool write);

/* The same for a clean page that nobody has touched yet: A stays clear. */
void pcache_map_untouched(struct far *far, uint32_t frame);

/* A write to a write-protected page: it becomes writable and dirty. */
void pcache_unprotect(struct far *far, uint32_t frame);

/* The vCPU got this frame mapped: it and the ENGINE_RECENT - 1 before it are not reclaimed. */
void pcache_hold(struct far *far, unsigned cpu, uint32_t frame);

/* Free frames and clean victims: what faults can take without waiting. */
uint32_t pcache_reserve(const struct far *far);

/* Frames on their way into the reserve: unsettled, or dirty victims of servers that are there. */
uint32_t pcache_coming(const struct far *far);

/* Moves the watermarks with the rate at which frames are taken. */
void pcache_pace(struct far *far, uint64_t now);

/* All bytes zero? */
bool pcache_all_zero(const void *page);

#endif
