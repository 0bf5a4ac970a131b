/* SPDX-License-Identifier: MIT */
/*
 * The pool's memory: one file on hugetlbfs or tmpfs, mapped shared, so that its content survives
 * the process (not the machine). The file's name carries the pool's random id: a pool that was made
 * anew is another one.
 */
#ifndef ANNEX_MEMSERVER_POOL_H
#define ANNEX_MEMSERVER_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "memserver/options.h"

struct pool {
	uint8_t *memory;
	uint64_t bytes;
	uint64_t page; /* bytes of one of its pages */
	uint8_t id[16];
	bool made; /* just now: all zeros, and not kept yet */
	int fd;
	char directory[256];
};

/*
 * Finds the pool or makes it, fully allocated. Logs why it cannot; returns whether it can. A pool
 * that is found smaller than asked for grows. `id` is the one that the store names, or NULL: a pool
 * that is found must have it, since only that store knows which of its slots are zeros.
 */
bool pool_open(struct pool *pool, const struct options *options, const uint8_t *id);

/* The store names the pool now: a pool just made gets its name. */
bool pool_keep(struct pool *pool);

/* Unmaps it; the content stays. */
void pool_close(struct pool *pool);

#endif
