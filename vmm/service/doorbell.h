/* SPDX-License-Identifier: MIT */
/*
 * The doorbell's device (annex/doorbell.h): the one session of the guest's agent, its buffers and its
 * rate. Owned by the service core; neutral. Everything in a request is hostile until checked here or
 * by the engine (far_hint()).
 */
#ifndef ANNEX_SERVICE_DOORBELL_H
#define ANNEX_SERVICE_DOORBELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "annex/doorbell.h"
#include "service/ring.h"

struct far;

#define DOORBELL_SILENT_NS 3000000000ull /* without a request: the agent is called silent */

/* Counters only grow. X(name, what it counts). */
#define DOORBELL_COUNTERS(X)                                                                       \
	X(rings, "requests at the doorbell")                                                       \
	X(rings_refused, "requests that were not answered with OK or BUSY")                        \
	X(rings_busy, "requests over the rate or the engine's queue")                              \
	X(agent_sessions, "sessions of the guest's agent")                                         \
	X(agent_expired, "sessions ended by silence")

struct doorbell_counters {
#define X(name, text) uint64_t name;
	DOORBELL_COUNTERS(X)
#undef X
};

enum doorbell_state {
	DOORBELL_NONE, /* no agent so far */
	DOORBELL_ALIVE,
	DOORBELL_ENDED, /* by BYE or by silence */
};

struct doorbell {
	struct far *far; /* NULL until the engine is started: every request is refused */
	uint64_t far_base;
	uint64_t far_pages;
	enum doorbell_state state;
	uint64_t session; /* number of the last one, from 1 */
	uint64_t heard; /* ns, its last request that was answered with OK */
	uint64_t turned; /* ns, last look at its silence */
	uint64_t rate_at; /* ns, until when the credit below was counted */
	uint64_t credit; /* ns, of which a request costs a second's part */
	uint64_t message; /* number of the last message, from 1 */
	bool waits; /* it waits for its reply */
	size_t message_length;
	char message_text[DOORBELL_MESSAGE_MAX];
	uint64_t replied; /* number of the last message replied to, whose reply this is */
	size_t reply_length;
	char reply[DOORBELL_REPLY_MAX];
	size_t report_length;
	uint8_t report[DOORBELL_REPORT_MAX];
	uint8_t put_report[DOORBELL_REPORT_MAX]; /* not committed */
	uint8_t put_reply[DOORBELL_REPLY_MAX];
	unsigned next; /* ring to look at first */
	struct doorbell_counters counters;
};

/* The engine is there: requests are taken from now (ns) on. */
void doorbell_start(
	struct doorbell *d, struct far *far, uint64_t far_base, uint64_t far_pages, uint64_t now);

/* Answers the request in the ring's words; its state is not looked at. */
void doorbell_request(struct doorbell *d, struct ring *ring, uint64_t now);

/* One of the rings, one for each of `cpus`, is posted. */
bool doorbell_posted(const struct ring *ring, unsigned cpus);

/*
 * Service loop, each turn: ends a session that is silent; answers at most one ring, so that faults do
 * not wait for many. True if it answered one.
 */
bool doorbell_turn(struct doorbell *d, struct ring *ring, unsigned cpus, uint64_t now);

/*
 * A message for the agent, up to DOORBELL_MESSAGE_MAX bytes; one that waits is forgotten. Its number,
 * or 0 without a session.
 */
uint64_t doorbell_tell(struct doorbell *d, const char *text, size_t length);

#endif
