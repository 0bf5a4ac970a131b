/* SPDX-License-Identifier: MIT */
/*
 * The policies at work: those of the configuration, and those that the operator added until the
 * agent ends. They make hints as processes come, and send prefetches when one wakes: continued after
 * a stop (state T), or its cgroup thawed (cgroup.events frozen).
 */
#ifndef ANNEX_AGENT_POLICIES_H
#define ANNEX_AGENT_POLICIES_H

#include <stddef.h>
#include <stdint.h>
#include "guest-agent/config.h"
#include "guest-agent/hints.h"
#include "guest-agent/processes.h"

struct policies;

/* cgroup: the mount of cgroup v2. */
struct policies *policies_open(
	struct hints *hints, struct processes *processes, const char *cgroup);
void policies_close(struct policies *p);

/* Takes the configuration's policies instead of those taken before; equal ones go on undisturbed. */
void policies_set(struct policies *p, const struct config *config);

/* Returns its number, or 0: error says why not. */
unsigned policies_add(struct policies *p, const char *line, char error[CONFIG_ERROR]);

/* Whether there was one of that number. One of the configuration comes back with its next reading. */
bool policies_remove(struct policies *p, unsigned number);

/* Once a turn. */
void policies_turn(struct policies *p, uint64_t now_ns);
uint64_t policies_deadline(const struct policies *p);

/* How many there are, and to how many processes and files they apply now. */
unsigned policies_count(const struct policies *p);
unsigned policies_targets(const struct policies *p);

/* A line for each: number, where it is from, its line, its targets. */
void policies_text(const struct policies *p, char *out, size_t size);

#endif
