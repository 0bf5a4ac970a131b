/* SPDX-License-Identifier: MIT */
/*
 * The durable store: one file of POLICY_RECORD_SIZE byte records at policy_record_place(), each
 * synced to the disk before it counts.
 */
#ifndef ANNEX_MEMSERVER_STORE_H
#define ANNEX_MEMSERVER_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include "memserver/policy.h"

struct store {
	int fd;
	char path[256];
};

/* Opens or makes it and locks it for this process; logs why not. */
bool store_open(struct store *store, const char *directory);

/* The pool that the store names; false: it is new, or its header is damaged. */
bool store_pool(struct store *store, uint8_t *id);

/* Hands every record to the policy; logs why not. */
bool store_load(struct store *store, struct policy *policy);

/* 0, or an errno. */
int store_write(struct store *store, uint32_t number, const void *record);

void store_close(struct store *store);

#endif
