/* SPDX-License-Identifier: MIT */
/* The daemon's state: for the operator's `stat`, and for `annex-agent status`. */
#ifndef ANNEX_AGENT_STATUS_H
#define ANNEX_AGENT_STATUS_H

#include <stddef.h>

struct agent;

/* Lines for people, the hints that live last; as many as fit. */
void status_text(const struct agent *a, char *out, size_t size);

/* One flat JSON object of numbers and plain strings. Returns its length, 0 when size is too small. */
size_t status_json(const struct agent *a, char *out, size_t size);

/*
 * The command line `status [--json] [--help]` (argv[0] is "status"): asks the running daemon, prints.
 * Returns the exit code; 1: no daemon answers, 2: usage.
 */
int status_command(int argc, char **argv);

#endif
