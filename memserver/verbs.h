/* SPDX-License-Identifier: MIT */
/*
 * The queue pairs and registered memory under the policy: librdmacm and libibverbs. The data path
 * never runs here; READ and WRITE are the device's own business.
 */
#ifndef ANNEX_MEMSERVER_VERBS_H
#define ANNEX_MEMSERVER_VERBS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include "memserver/policy.h"
#include "memserver/pool.h"

struct verbs;

/* Listens on the address of an RDMA device. Logs why it cannot, and what to do; then NULL. */
struct verbs *verbs_open(const struct sockaddr_in *address, struct pool *pool);

/* READs that one queue pair may be granted. */
uint16_t verbs_reads(const struct verbs *v);

/* Begins to listen; connections are the policy's. Logs why it cannot. */
bool verbs_serve(struct verbs *v, struct policy *policy);

/* File descriptors to poll for input, and what to call then. False: the device is gone. */
#define VERBS_DESCRIPTORS 3
void verbs_descriptors(const struct verbs *v, int fd[VERBS_DESCRIPTORS]);
bool verbs_event(struct verbs *v, unsigned which);

/* At every turn: drops connections that never attached. */
void verbs_tick(struct verbs *v);

/* Says good-bye to every peer and closes everything. */
void verbs_close(struct verbs *v);

/* For struct policy_ops; `v` is a struct verbs. */
void verbs_destroy(struct verbs *v, void *link_context);
int verbs_expose(struct verbs *v, uint64_t tenant, uint64_t session, uint32_t slot,
	uint64_t *address, uint32_t *rkey);
void verbs_conceal(struct verbs *v, uint64_t tenant, uint64_t session, uint32_t slot);
int verbs_scratch(
	struct verbs *v, uint64_t tenant, uint64_t session, uint64_t *address, uint32_t *rkey);
void verbs_session_end(struct verbs *v, uint64_t tenant, uint64_t session);

#endif
