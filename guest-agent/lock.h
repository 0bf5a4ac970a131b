/* SPDX-License-Identifier: MIT */
/* One agent at a time. */
#ifndef ANNEX_AGENT_LOCK_H
#define ANNEX_AGENT_LOCK_H

#include <sys/types.h>

/*
 * Takes the lock for the life of this process, writes its pid. 0: taken; 1: another process holds it,
 * *holder is its pid or 0; -1: errno.
 */
int lock_take(const char *path, pid_t *holder);

#endif
