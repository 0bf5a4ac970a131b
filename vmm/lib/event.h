/* SPDX-License-Identifier: MIT */
/* The last events, for the panic report: a ring of 32, written without locks (a torn row is fine). */
#ifndef ANNEX_EVENT_H
#define ANNEX_EVENT_H

#include <stdint.h>

enum event {
	EVENT_NONE,
	EVENT_EXIT, /* a = exit reason, b = guest RIP */
	EVENT_FAULT, /* a = far page, b = access: no frame or no lease for it yet */
	EVENT_FILL, /* a = far page, b = frame: its READ failed, or its checksum */
	EVENT_MAP, /* a = far page, b = frame */
	EVENT_RECLAIM, /* a = far page, b = frame */
	EVENT_SETTLED, /* a = batch's epoch, b = frames */
	EVENT_WRITE, /* a = far page, b = frame: write-back sent */
	EVENT_WRITTEN, /* a = far page, b = status */
	EVENT_SESSION, /* a = server, b = new state */
	EVENT_KICK, /* a = vCPU, b = epoch: for a shootdown */
	EVENT_NMI, /* a = vCPU, b = guest RIP: an NMI of the guest's own */
	EVENT_COUNT,
};

#define EVENT_KEPT 32u

struct event_row {
	uint32_t event;
	uint32_t sequence;
	uint64_t a;
	uint64_t b;
};

void event_record(enum event event, uint64_t a, uint64_t b);

/* Oldest first into row[EVENT_KEPT]; returns how many. */
unsigned event_last(struct event_row *row);
const char *event_name(enum event event);

#endif
