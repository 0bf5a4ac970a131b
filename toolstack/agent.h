/* SPDX-License-Identifier: MIT */
/*
 * The agent in a guest, as its VMM tells of it (management command `agent`): whether it lives, and its
 * report (annex/report.h). The report is the guest's own word: it is believed as far as the VMM's
 * numbers allow it to be true.
 */
#ifndef ANNEX_AGENT_H
#define ANNEX_AGENT_H

#include <jansson.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>
#include "annex/report.h"

enum agent_state {
	AGENT_NO_DOORBELL, /* the VMM is of a version that knows no agent */
	AGENT_NONE, /* none has come since the guest started */
	AGENT_ALIVE,
	AGENT_SILENT, /* its session holds still, but it does not ring */
	AGENT_ENDED, /* said good-bye, or was silent for too long */
	AGENT_OLD, /* its report is of a version that is no longer read */
	AGENT_NEW, /* its report is of a version that is not read yet */
	AGENT_LYING, /* what it reports cannot be */
};

struct agent {
	enum agent_state state;
	uint64_t session;
	uint64_t age_ns; /* since its last request */
	uint64_t pinned, budget, queued; /* pages, by the VMM's count */
	uint64_t message, replied; /* numbers of the last message, and of the last replied to */
	bool has_report; /* `report` can be read */
	struct report report; /* texts are ended and printable */
	char problem[200]; /* with OLD, NEW, LYING: what is wrong, a clause; else "" */
};

/*
 * Reads the VMM's answer to `agent`. `status` is its answer to `status`, against which the report is
 * held. Returns 0, or ERROR_FAILED when the VMM itself answers nonsense.
 */
int agent_read(const json_t *answer, const json_t *status, struct agent *agent);

/* Asks a running guest's VMM. Returns 0, or what manage_ask() returns. */
int agent_ask(virDomainPtr domain, const json_t *status, struct agent *agent);

/* "none", "alive", ...; what it means and what to do about it, a sentence or two of at most size - 1. */
const char *agent_name(enum agent_state state);
void agent_advice(const struct agent *agent, char *out, size_t size);

#endif
