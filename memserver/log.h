/* SPDX-License-Identifier: MIT */
/* The server's log: lines on stderr, with sd-daemon's <N> in front unless it is a terminal. */
#ifndef ANNEX_MEMSERVER_LOG_H
#define ANNEX_MEMSERVER_LOG_H

#include <syslog.h>

/*
 * One line; level as in syslog.h. Warnings and below are limited to LOG_LINES a second, so that
 * hostile messages cannot fill a disk: what was left out is counted in the next line.
 */
#define LOG_LINES 50

void log_line(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
