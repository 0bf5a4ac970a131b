/* SPDX-License-Identifier: MIT */
/* The way of a far fault, from the mailbox to the mapped page. Service core only. */
#ifndef ANNEX_FAR_FAULT_H
#define ANNEX_FAR_FAULT_H

#include "far/engine.h"

/* A mailbox was posted: serves it at once, or leaves it waiting. */
void fault_serve(struct far *far, unsigned cpu, uint64_t now);

/* Posts the READ of a FILLING frame; false: not possible now. */
bool fault_post_read(struct far *far, uint32_t frame, uint64_t now);

/* Serves anew the faults that found no frame or no lease. */
void fault_again(struct far *far, uint64_t now);

/* Posts READs that could not be posted when their fault came, or failed. */
void fault_refill(struct far *far, unsigned server, uint64_t now);

/* Tells which faults stall; gives up READs without an answer: their faults are served anew. */
void fault_patience(struct far *far, uint64_t now);

/* session_events.read_done */
void fault_read_done(
	struct far *far, unsigned server, uint32_t frame, enum session_status status, uint64_t now);

/* ns at which fault_patience() or fault_refill() next has work, or UINT64_MAX. */
uint64_t fault_deadline(const struct far *far);

#endif
