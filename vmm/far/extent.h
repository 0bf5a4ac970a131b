/* SPDX-License-Identifier: MIT */
/* Extents: leased when the first page of one is used, given back when none is. Service core only. */
#ifndef ANNEX_FAR_EXTENT_H
#define ANNEX_FAR_EXTENT_H

#include "far/engine.h"

/* Its address and rkey are good as long as its server is ready. */
static inline bool extent_held(const struct extent *e)
{
	return e->state == EXTENT_HELD || e->state == EXTENT_IDLE;
}

void extent_start(struct far *far);

/*
 * May a ZERO page get content? Yes in a held extent; else only while its server is there and has not
 * refused a lease, and for few pages: their frames are pinned until the lease is granted. Asks for
 * the lease.
 */
bool extent_first_touch(struct far *far, uint32_t page);

/* Why extent_first_touch() said no; NULL: the lease is under way. */
const char *extent_reason(const struct far *far, unsigned server);

/* A page of it stopped, or began, being ZERO. */
void extent_use(struct far *far, uint32_t page);
void extent_unuse(struct far *far, uint32_t page);

/* The page's extent is to be leased. */
void extent_want(struct far *far, uint32_t page);

/* Sends leases and releases; a bounded walk. */
void extent_turn(struct far *far, uint64_t now);

/* ns at which extent_turn() next has work, or UINT64_MAX. */
uint64_t extent_deadline(const struct far *far);

/* The engine's half of the session contract (fabric/session.h). */
void extent_named(void *context, unsigned server, uint32_t index, uint32_t state, uint64_t address,
	uint32_t rkey);
void extent_refused(void *context, unsigned server, uint32_t index, enum rpc_error code);
void extent_released(void *context, unsigned server, uint32_t index);

/* The server's queue pair died: nothing is held for certain. */
void extent_away(struct far *far, unsigned server);

/* The server is ready and has named all it holds: what it has not named is lost. */
void extent_back(struct far *far, unsigned server);

/* Pages with content that this server stands behind. */
uint64_t extent_used_pages(const struct far *far, unsigned server);

#endif
