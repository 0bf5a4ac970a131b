/* SPDX-License-Identifier: MIT */
/* Processes for tests of the agent to hint about: small ones, with a command name of their own. */
#ifndef ANNEX_TESTS_AGENT_CHILD_H
#define ANNEX_TESTS_AGENT_CHILD_H

#include <sys/types.h>

/* A copy of sleep(1), so that no other process has its name and file. */
void agent_child_program(const char *name);
void agent_child_program_remove(void);
const char *agent_child_path(void);

/* Runs it; it has its memory when this returns. */
pid_t agent_child_start(void);
void agent_child_end(pid_t pid);

/* Waits until the kernel says that state. */
void agent_child_state(pid_t pid, char state);

#endif
