/* SPDX-License-Identifier: MIT */
/* The agent's log: lines on stderr, with sd-daemon's <N> in front unless it is a terminal. */
#ifndef ANNEX_AGENT_LOG_H
#define ANNEX_AGENT_LOG_H

#include <syslog.h>

#define LOG_LINES 20 /* a second, for warnings and below; what was left out is counted */

/* What is below this level (LOG_DEBUG is the lowest) is not written. Default LOG_INFO. */
void log_level(int level);

void log_line(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Out of memory: says so and exits 1. The VMM drops the session's pins (DOORBELL_LEASE_NS). */
void log_no_memory(void) __attribute__((noreturn));

#endif
