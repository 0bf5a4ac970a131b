/* SPDX-License-Identifier: MIT */
/* One queue pair: made at a connection request, its messages, its end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "memserver/log.h"
#include "memserver/verbs_state.h"

#define RNR_TIMER 12 /* 0.64 ms (IBTA 9.7.5.2.8); the default of 0 would be 655 ms */

static int post_receive(struct link *link, uint64_t number)
{
	struct ibv_sge sge = {(uintptr_t)link->buffer[number], RPC_MESSAGE_MAX, link->mr->lkey};
	struct ibv_recv_wr wr = {.wr_id = number, .sg_list = &sge, .num_sge = 1}, *bad;

	return ibv_post_recv(link->id->qp, &wr, &bad);
}

static int post_answer(struct link *link, uint64_t number, size_t length)
{
	struct ibv_sge sge = {
		(uintptr_t)link->buffer[VERBS_MESSAGES + number], (uint32_t)length, link->mr->lkey};
	struct ibv_send_wr wr = {.wr_id = VERBS_MESSAGES + number,
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED};
	struct ibv_send_wr *bad;

	return ibv_post_send(link->id->qp, &wr, &bad);
}

/*
 * When this returns, no WRITE of the peer can be executed any more. If it cannot be had, the
 * process ends: its end takes every queue pair with it.
 */
static void destroy_queue_pair(struct rdma_cm_id *id)
{
	int error;

	if (!id->qp)
		return;
	error = ibv_destroy_qp(id->qp);
	if (error) {
		log_line(LOG_CRIT, "a queue pair cannot be destroyed: %s", strerror(error));
		exit(1);
	}
	id->qp = NULL;
}

void verbs_link_destroy(struct link *link)
{
	struct link **at = &link->verbs->links;

	while (*at && *at != link)
		at = &(*at)->next;
	if (*at)
		*at = link->next;
	if (link->id) {
		/* A good-bye (DREQ) as long as there is a queue pair to say it for. */
		if (link->accepted)
			rdma_disconnect(link->id);
		destroy_queue_pair(link->id);
	}
	if (link->cq)
		ibv_destroy_cq(link->cq);
	if (link->mr)
		ibv_dereg_mr(link->mr);
	if (link->protection)
		verbs_memory_leave(link->verbs, link->protection);
	if (link->id)
		rdma_destroy_id(link->id);
	free(link->buffer);
	free(link);
}

void verbs_link_lost(struct link *link)
{
	policy_unlinked(link->verbs->policy, link->policy);
	verbs_link_destroy(link);
}

void verbs_destroy(struct verbs *v, void *link_context)
{
	verbs_link_destroy(link_context);
}

/* The queue pair in its session's protection domain, its receives posted. 0 or an errno. */
static int make(struct link *link, uint64_t tenant, uint64_t session)
{
	const size_t bytes = 2 * VERBS_MESSAGES * RPC_MESSAGE_MAX;
	struct verbs *v = link->verbs;
	struct ibv_qp_init_attr attributes = {.qp_type = IBV_QPT_RC,
		.cap = {.max_send_wr = VERBS_MESSAGES,
			.max_recv_wr = VERBS_MESSAGES,
			.max_send_sge = 1,
			.max_recv_sge = 1}};

	link->buffer = aligned_alloc(4096, bytes);
	link->protection = verbs_memory_enter(v, tenant, session);
	if (!link->buffer || !link->protection)
		return ENOMEM;
	memset(link->buffer, 0, bytes);
	link->mr = ibv_reg_mr(link->protection->pd, link->buffer, bytes, IBV_ACCESS_LOCAL_WRITE);
	link->cq = ibv_create_cq(v->context, 2 * VERBS_MESSAGES, link, v->completions, 0);
	if (!link->mr || !link->cq || ibv_req_notify_cq(link->cq, 0) != 0)
		return ENOMEM;
	attributes.send_cq = link->cq;
	attributes.recv_cq = link->cq;
	if (rdma_create_qp(link->id, link->protection->pd, &attributes) != 0)
		return errno;
	for (uint64_t i = 0; i < VERBS_MESSAGES; i++) {
		if (post_receive(link, i) != 0)
			return ENOMEM;
	}
	return 0;
}

static int accept_it(
	struct link *link, const struct rdma_conn_param *wanted, const struct rpc_welcome *welcome)
{
	struct rdma_conn_param conn = {.private_data = welcome,
		.private_data_len = sizeof(*welcome),
		.responder_resources = wanted->responder_resources,
		.initiator_depth = 0, /* we only answer */
		.retry_count = 7,
		.rnr_retry_count = 7};
	struct ibv_qp_attr attributes = {.min_rnr_timer = RNR_TIMER};

	if (conn.responder_resources > link->verbs->reads)
		conn.responder_resources = (uint8_t)link->verbs->reads;
	if (rdma_accept(link->id, &conn) != 0)
		return errno;
	link->accepted = true;
	if (ibv_modify_qp(link->id->qp, &attributes, IBV_QP_MIN_RNR_TIMER) != 0)
		log_line(LOG_DEBUG, "the device keeps its own RNR timer");
	return 0;
}

static void refuse(struct rdma_cm_id *id, const struct rpc_refusal *refusal)
{
	rdma_reject(id, refusal, sizeof(*refusal));
	rdma_destroy_id(id);
}

/* The policy has said yes, the device does not. */
static void refuse_resources(struct link *link, int error)
{
	struct rpc_refusal refusal = {.magic = be32_make(RPC_MAGIC),
		.code = be32_make(RPC_ERROR_RESOURCES),
		.text = "the server's device has no room for another queue pair"};
	struct rdma_cm_id *id = link->id;

	log_line(LOG_ERR, "no queue pair for a connection: %s", strerror(error));
	destroy_queue_pair(id);
	link->id = NULL;
	verbs_link_lost(link);
	refuse(id, &refusal);
}

void verbs_link_request(struct verbs *v, struct rdma_cm_id *id,
	const struct rdma_conn_param *wanted, const void *private_data, size_t length)
{
	struct link *link = calloc(1, sizeof(*link));
	struct rpc_refusal refusal = {
		.magic = be32_make(RPC_MAGIC), .code = be32_make(RPC_ERROR_RESOURCES)};
	struct rpc_welcome welcome;
	struct rpc_hello hello;
	int error;

	if (!link || id->verbs != v->context) {
		free(link);
		refuse(id, &refusal);
		return;
	}
	link->verbs = v;
	link->id = id;
	link->since = verbs_seconds();
	id->context = link;
	link->policy = policy_connect(v->policy, private_data, length, link, &welcome, &refusal);
	if (!link->policy) {
		free(link);
		refuse(id, &refusal);
		return;
	}
	link->next = v->links;
	v->links = link;
	memcpy(&hello, private_data, sizeof(hello));
	error = make(link, be64_get(hello.tenant), be64_get(hello.session));
	if (!error)
		error = accept_it(link, wanted, &welcome);
	if (error)
		refuse_resources(link, error);
}

/* A message has come. False: the link is lost. */
static bool serve(struct link *link, uint64_t number, size_t length)
{
	size_t answer;

	/* It may come before ESTABLISHED does (the RTU is late or lost): the queue pair works. */
	answer = policy_message(link->verbs->policy, link->policy, link->buffer[number], length,
		link->buffer[VERBS_MESSAGES + number]);
	return post_answer(link, number, answer) == 0;
}

void verbs_link_complete(struct link *link)
{
	struct ibv_wc wc;
	bool good = ibv_req_notify_cq(link->cq, 0) == 0;
	int got = 0;

	while (good && (got = ibv_poll_cq(link->cq, 1, &wc)) > 0) {
		if (wc.status != IBV_WC_SUCCESS) {
			log_line(LOG_INFO, "a queue pair is in error: %s",
				ibv_wc_status_str(wc.status));
			good = false;
		} else if (wc.wr_id < VERBS_MESSAGES) {
			good = serve(link, wc.wr_id, wc.byte_len);
		} else {
			/* The answer is through: its pair of buffers is free for another message. */
			good = post_receive(link, wc.wr_id - VERBS_MESSAGES) == 0;
		}
	}
	if (!good || got < 0)
		verbs_link_lost(link);
}
