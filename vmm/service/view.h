/* SPDX-License-Identifier: MIT */
/*
 * What the management channel tells: the results of annex/manage.h. Neutral; changes nothing but by
 * `tell`, for the guest's agent.
 */
#ifndef ANNEX_VIEW_H
#define ANNEX_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "far/far.h"
#include "fabric/fabric.h"
#include "nic/nic.h"

struct config;
struct doorbell;
struct emit;
struct manage_request;
struct session;

/* Counters only grow. X(name, what it counts). */
#define SERVICE_COUNTERS(X)                                                                        \
	X(turns, "turns of the service loop")                                                      \
	X(sleeps, "halts of the service core")                                                     \
	X(slow_turns, "turns longer than 1 ms")                                                    \
	X(longest_turn_ns, "the longest turn since hand-off")                                      \
	X(holds, "times that all vCPUs were held")                                                 \
	X(kicks, "NMIs sent to vCPUs for shootdowns")                                              \
	X(requests, "management requests taken")                                                   \
	X(requests_dropped, "management lines dropped: no request, or overtaken")

struct service_counters {
#define X(name, text) uint64_t name;
	SERVICE_COUNTERS(X)
#undef X
};

enum view_state {
	VIEW_BOOTING,
	VIEW_RUNNING,
	VIEW_STALLED,
	VIEW_STOPPED,
};

/* fabric and far are NULL until they are started. */
struct view {
	enum view_state state;
	char reason[256]; /* empty when running */
	uint64_t now; /* ns, of this turn */
	const struct config *config;
	const struct nic *nic;
	const struct fabric *fabric;
	struct session *const *session;
	unsigned sessions;
	const struct far *far;
	struct doorbell *doorbell;
	uint64_t far_base;
	unsigned cpus; /* of the guest */
	uint64_t pinned_bytes;
	uint64_t vmm_bytes;
	struct service_counters counters;
};

/* A manage_answer; context is a struct view. */
const char *view_answer(void *context, struct emit *result, const struct manage_request *request);

/* What is left to tell when the VMM has stopped for good. */
struct view_end {
	const char *state; /* "refused": the boot; "stopped" */
	const char *reason;
	uint64_t now; /* ns */
};

/* A manage_answer; context is a struct view_end. Answers status (no more than this) and log. */
const char *view_end_answer(
	void *context, struct emit *result, const struct manage_request *request);

#endif
