/* SPDX-License-Identifier: MIT */
/*
 * A timer around system calls in which a client's leavings are thrown away: file descriptors that it sent.
 * Closing those can wait, for a TCP connection with SO_LINGER as long as that says. SIGALRM every
 * SOCKET_GUARD_US ends such a wait.
 */
#ifndef ANNEX_AGENT_SOCKET_GUARD_H
#define ANNEX_AGENT_SOCKET_GUARD_H

#include <stdbool.h>

/* Once. The signal must not be blocked. */
void socket_guard_init(void);

void socket_guard_begin(void);

/* Whether the timer has run out since. */
bool socket_guard_end(void);

#endif
