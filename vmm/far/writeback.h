/* SPDX-License-Identifier: MIT */
/* Dirty content on its way to the servers. Service core only. */
#ifndef ANNEX_FAR_WRITEBACK_H
#define ANNEX_FAR_WRITEBACK_H

#include "far/engine.h"

/* Sends what waits for this server: first what a dead queue pair has lost, then the write list. */
void writeback_turn(struct far *far, unsigned server, uint64_t now);

/* session_events.write_done; tag is the record's number. */
void writeback_done(
	struct far *far, unsigned server, uint32_t tag, enum session_status status, uint64_t now);

/* A CLEANING page's content is clean: it is RESIDENT, and writable again where D bits tell writes. */
void writeback_protected_clean(struct far *far, uint32_t frame);

/* Frames that waited for a lease are looked at again, a few each turn. */
void writeback_unblock(struct far *far);

/* True if a turn would send something now. */
bool writeback_busy(const struct far *far, unsigned server);

#endif
