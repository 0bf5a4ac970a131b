/* SPDX-License-Identifier: MIT */
/* Signs that the guest's kernel has moved pages, from /proc/vmstat. */
#ifndef ANNEX_AGENT_MOVES_H
#define ANNEX_AGENT_MOVES_H

#include <stdbool.h>
#include <stdint.h>

/* The sum of the counters of migration, compaction, huge pages joined and split; path: of vmstat. */
uint64_t moves_count(const char *path);

#endif
