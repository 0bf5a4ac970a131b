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
#include "guest-agent/report_fill.h"
#include "guest-agent/session.h"
#include "guest-agent/socket.h"

struct agent {
	const char *config_path;
	bool config_needed; /* a file that is not there is an error */
	struct config config;
	struct doorbell *doorbell; /* open */
	struct session session;
	struct processes *processes;
	struct hints *hints;
	struct policies *policies;
	struct report_state *report;
	struct socket_state *socket; /* NULL: none */
	uint64_t started_ns; /* CLOCK_MONOTONIC */
	uint64_t now_ns; /* of this turn */
	uint64_t second_ns; /* when what is done once a second is due */
	uint64_t sample_ns; /* when the next samples are due */
	uint64_t sampled_fills; /* the session's fills a second ago */
	bool filling; /* there were some in that second */
	uint64_t generation; /* of the session, at the last turn */
	uint64_t replied; /* number of the last message that was acted on; 0: none */
	bool reply_waits; /* it could not be sent yet */
	char reply[DOORBELL_REPLY_MAX + 1];
	int signals; /* a signalfd; -1: none */
	bool stopping;
};

/* CLOCK_MONOTONIC. */
uint64_t agent_now(void);

/*
 * Sets up a zeroed agent whose config_path, config_needed and doorbell are set. socket: the path of the
 * applications' socket; NULL: none. Returns an exit code, 0: good; what is wrong is logged.
 */
int agent_open(struct agent *a, const char *socket);

/* One turn of the loop at that time: all that is due. */
void agent_turn(struct agent *a, uint64_t now_ns);

/* When the next turn is due at the latest. */
uint64_t agent_deadline(const struct agent *a);

/* Turns until SIGTERM or SIGINT; SIGHUP reads the configuration again. Returns an exit code. */
int agent_run(struct agent *a);

/* Until all hints of the configuration have been sent; at most 30 s. Returns an exit code. */
int agent_run_once(struct agent *a);

/* Reads the configuration again; one that is wrong changes nothing, and is logged. */
void agent_reload(struct agent *a);

/* Says goodbye to the VMM, and closes all. */
void agent_close(struct agent *a);

#endif
