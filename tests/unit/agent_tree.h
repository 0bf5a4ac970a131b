/* SPDX-License-Identifier: MIT */
/* A directory that stands for / : files of /proc and /sys as a test wants them. */
#ifndef ANNEX_TEST_AGENT_TREE_H
#define ANNEX_TEST_AGENT_TREE_H

#include <stddef.h>

/* A new empty root below /tmp; tree_end() removes it and its content. */
const char *agent_tree_begin(void);
void agent_tree_end(void);

void agent_tree_put(const char *path, const char *text);
void agent_tree_put_bytes(const char *path, const void *bytes, size_t size);
/* At offset, leaving a hole before it. */
void agent_tree_put_at(const char *path, long offset, const void *bytes, size_t size);
void agent_tree_link(const char *path, const char *target);
void agent_tree_remove(const char *path); /* with all below it */

/*
 * A guest of two nodes as it should be: node 0 pinned (512 MiB), node 1 far with all four CPUs, from
 * AGENT_TREE_FAR on, in blocks of 128 MiB.
 */
#define AGENT_TREE_FAR       0x240000000ull /* 9 GiB */
#define AGENT_TREE_FAR_PAGES 262144ull /* 1 GiB */
void agent_tree_guest(void);

#endif
