/* SPDX-License-Identifier: MIT */
/* The guest's NUMA nodes, and which of them is the far one. */
#ifndef ANNEX_AGENT_NODES_H
#define ANNEX_AGENT_NODES_H

#include <stdint.h>

#include <annex/report.h>

#define NODES_MAX 1024u /* Linux' own limit */

/*
 * The node of the first memory block in the far window (/sys/devices/system/memory), or, in a kernel
 * without memory hot-plug, of the zone that begins in it (/proc/zoneinfo). far_pages 0: the window is not
 * known; then the node of the highest block or zone, as Annex puts the window above all RAM.
 * -1: cannot be told.
 */
int nodes_far(const char *root, uint64_t far_base, uint64_t far_pages);

/* Of one node (/sys/devices/system/node/nodeN/meminfo), bytes; what is not told is REPORT_UNKNOWN. */
void nodes_read(const char *root, int node, struct report_node *usage);

/* Of all nodes but `far`, added up; unknown if none, or one of them is, or far is unknown (-1). */
void nodes_others(const char *root, int far, struct report_node *usage);

/* Calls each() with the number of every node. Returns how many there are. */
unsigned nodes_each(const char *root, void (*each)(void *context, int node), void *context);

#endif
