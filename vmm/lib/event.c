/* SPDX-License-Identifier: MIT */
#include "lib/event.h"

static struct event_row ring[EVENT_KEPT];
static _Atomic uint32_t next;

static const char *const names[EVENT_COUNT] = {
	[EVENT_NONE] = "none",
	[EVENT_EXIT] = "exit",
	[EVENT_FAULT] = "fault",
	[EVENT_FILL] = "fill",
	[EVENT_MAP] = "map",
	[EVENT_RECLAIM] = "reclaim",
	[EVENT_SETTLED] = "settled",
	[EVENT_WRITE] = "write",
	[EVENT_WRITTEN] = "written",
	[EVENT_SESSION] = "session",
	[EVENT_KICK] = "kick",
	[EVENT_NMI] = "nmi",
};

void event_record(enum event event, uint64_t a, uint64_t b)
{
	uint32_t sequence = __atomic_fetch_add((uint32_t *)&next, 1, __ATOMIC_RELAXED);
	struct event_row *row = &ring[sequence % EVENT_KEPT];

	row->event = event;
	row->sequence = sequence;
	row->a = a;
	row->b = b;
}

unsigned event_last(struct event_row *row)
{
	uint32_t end = __atomic_load_n((uint32_t *)&next, __ATOMIC_RELAXED);
	unsigned count = 0;

	for (uint32_t i = 0; i < EVENT_KEPT; i++) {
		const struct event_row *from = &ring[(end + i) % EVENT_KEPT];

		if (from->event != EVENT_NONE)
			row[count++] = *from;
	}
	return count;
}

const char *event_name(enum event event)
{
	return (unsigned)event < EVENT_COUNT ? names[event] : "unknown";
}
