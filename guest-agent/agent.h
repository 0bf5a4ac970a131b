/* SPDX-License-Identifier: MIT */
/* The daemon's parts, and its loop. One thread; nothing in it waits but the loop's poll. */
#ifndef ANNEX_AGENT_AGENT_H
#define ANNEX_AGENT_AGENT_H

#include <stdbool.h>
#include <stdint.h>
#include "guest-agent/config.h"
#include "guest-agent/doorbell.h"
#include "guest-agent/hints.h"
#include "guest-agent/policies.h"
#include "guest-agent/processes.h"
#include "guest-agent/session.h"

struct agent {
	const char *config_path;
	struct config config;
	struct doorbell doorbell;
	struct session session;
	struct processes *processes;
	struct hints *hints;
	struct policies *policies;
	uint64_t started_ns; /* CLOCK_MONOTONIC */
	uint64_t now_ns; /* of this turn */
};

/* CLOCK_MONOTONIC. */
uint64_t agent_now(void);

#endif
