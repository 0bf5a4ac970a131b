/* SPDX-License-Identifier: MIT */
/* What verbs.c, verbs_link.c and verbs_memory.c share. */
#ifndef ANNEX_MEMSERVER_VERBS_STATE_H
#define ANNEX_MEMSERVER_VERBS_STATE_H

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>
#include <time.h>
#include "annex/rpc.h"
#include "memserver/verbs.h"

#define VERBS_MESSAGES 16u /* receives posted at a time, each with its own answer's buffer */
#define VERBS_READS    16u /* READs granted to a queue pair, if the device has them */
#define VERBS_PATIENCE 30 /* s from connection request to ATTACH */

/* The wall around one session: what its queue pairs may reach is registered here. */
struct protection {
	struct protection *next;
	uint64_t tenant;
	uint64_t session;
	struct ibv_pd *pd;
	unsigned users; /* queue pairs, extents, the scratch page */
	void *scratch;
	struct ibv_mr *scratch_mr;
};

/* One queue pair. */
struct link {
	struct link *next;
	struct verbs *verbs;
	struct rdma_cm_id *id;
	struct policy_link *policy; /* NULL before the policy has accepted it */
	struct protection *protection;
	struct ibv_cq *cq;
	struct ibv_mr *mr; /* of buffer[] */
	time_t since;
	bool accepted;
	/* Receives, then the answers to them. */
	uint8_t (*buffer)[RPC_MESSAGE_MAX];
};

struct verbs {
	struct rdma_event_channel *channel;
	struct rdma_cm_id *listener;
	struct ibv_context *context;
	struct ibv_comp_channel *completions;
	struct policy *policy;
	struct pool *pool;
	struct link *links;
	struct protection *protections;
	struct ibv_mr **extent; /* by slot */
	struct protection **owner; /* of extent[] */
	uint16_t reads;
	time_t ticked;
};

/* verbs.c: of the monotonic clock. */
time_t verbs_seconds(void);

/* verbs_memory.c */
struct protection *verbs_memory_enter(struct verbs *v, uint64_t tenant, uint64_t session);
void verbs_memory_leave(struct verbs *v, struct protection *p);
bool verbs_memory_open(struct verbs *v);
void verbs_memory_close(struct verbs *v);

/* verbs_link.c */
void verbs_link_request(struct verbs *v, struct rdma_cm_id *id,
	const struct rdma_conn_param *wanted, const void *private_data, size_t length);
/* Destroys the queue pair and everything of the link. */
void verbs_link_destroy(struct link *link);
/* The same, for one that the policy still knows. */
void verbs_link_lost(struct link *link);
void verbs_link_complete(struct link *link);

#endif
