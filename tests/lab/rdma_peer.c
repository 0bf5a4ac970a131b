/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "tests/lab/rdma_peer.h"

#define RECEIVES 4u
#define MESSAGE  2048u /* room for a request that is too long */
#define PATIENCE 10000 /* ms */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static bool post_receive(struct peer *p, uint64_t number)
{
	struct ibv_sge sge = {(uintptr_t)(p->memory + number * MESSAGE), MESSAGE, p->mr->lkey};
	struct ibv_recv_wr wr = {.wr_id = number, .sg_list = &sge, .num_sge = 1}, *bad;

	return ibv_post_recv(p->id->qp, &wr, &bad) == 0;
}

static bool make(struct peer *p, const char *address, const char *port)
{
	const size_t bytes = (RECEIVES + 1) * MESSAGE + PEER_DATA;
	struct rdma_addrinfo hints = {.ai_port_space = RDMA_PS_TCP}, *info;
	struct ibv_qp_init_attr attributes = {.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
		.cap = {.max_send_wr = 16,
			.max_recv_wr = RECEIVES,
			.max_send_sge = 1,
			.max_recv_sge = 1}};

	if (rdma_getaddrinfo((char *)(uintptr_t)address, (char *)(uintptr_t)port, &hints, &info) !=
		0)
		return false;
	if (rdma_create_ep(&p->id, info, NULL, &attributes) != 0)
		p->id = NULL;
	rdma_freeaddrinfo(info);
	p->memory = p->id ? calloc(1, bytes) : NULL;
	if (!p->memory)
		return false;
	p->data = p->memory + (RECEIVES + 1) * MESSAGE;
	p->mr = ibv_reg_mr(p->id->pd, p->memory, bytes, IBV_ACCESS_LOCAL_WRITE);
	if (!p->mr)
		return false;
	for (uint64_t i = 0; i < RECEIVES; i++) {
		if (!post_receive(p, i))
			return false;
	}
	return true;
}

int peer_connect(struct peer *p, const char *address, const char *port, const void *hello,
	size_t length, char *text)
{
	struct rdma_conn_param conn = {.private_data = hello,
		.private_data_len = (uint8_t)length,
		.responder_resources = 1,
		.initiator_depth = 16,
		.retry_count = 3,
		.rnr_retry_count = 7};
	const struct rdma_cm_event *event;
	struct rpc_refusal refusal;
	int code = -1;

	memset(p, 0, sizeof(*p));
	text[0] = '\0';
	if (!make(p, address, port)) {
		peer_close(p);
		return -1;
	}
	if (rdma_connect(p->id, &conn) == 0) {
		event = p->id->event;
		if (event && event->param.conn.private_data_len >= sizeof(p->welcome))
			memcpy(&p->welcome, event->param.conn.private_data, sizeof(p->welcome));
		return be32_get(p->welcome.magic) == RPC_MAGIC ? 0 : -1;
	}
	event = p->id->event;
	if (event && event->event == RDMA_CM_EVENT_REJECTED &&
		event->param.conn.private_data_len >= sizeof(refusal)) {
		memcpy(&refusal, event->param.conn.private_data, sizeof(refusal));
		if (be32_get(refusal.magic) == RPC_MAGIC) {
			code = (int)be32_get(refusal.code);
			memcpy(text, refusal.text, sizeof(refusal.text));
		}
	}
	peer_close(p);
	return code;
}

void peer_close(struct peer *p)
{
	/* The kernel says good-bye when the id goes; rdma_disconnect() would wait for the answer. */
	if (p->mr)
		ibv_dereg_mr(p->mr);
	if (p->id)
		rdma_destroy_ep(p->id);
	free(p->memory);
	p->id = NULL;
	p->mr = NULL;
	p->memory = NULL;
}

/* The next completion of one queue; polled, with a nap so that Soft-RoCE gets the CPU. */
static bool complete(struct ibv_cq *cq, struct ibv_wc *wc)
{
	const double end = now() + PATIENCE;
	const struct timespec nap = {0, 200000};

	do {
		int got = ibv_poll_cq(cq, 1, wc);

		if (got != 0)
			return got > 0;
		nanosleep(&nap, NULL);
	} while (now() < end);
	return false;
}

bool peer_send(struct peer *p, const void *message, size_t length)
{
	uint8_t *out = p->memory + RECEIVES * MESSAGE;
	struct ibv_sge sge = {(uintptr_t)out, (uint32_t)length, p->id ? p->mr->lkey : 0};
	struct ibv_send_wr wr = {.sg_list = &sge, .num_sge = 1, .opcode = IBV_WR_SEND}, *bad;
	struct ibv_wc wc;

	if (!p->id)
		return false;
	memcpy(out, message, length);
	if (ibv_post_send(p->id->qp, &wr, &bad) != 0 || !complete(p->id->send_cq, &wc) ||
		wc.status != IBV_WC_SUCCESS)
		return false;
	if (!complete(p->id->recv_cq, &wc) || wc.status != IBV_WC_SUCCESS)
		return false;
	p->answer_length = wc.byte_len;
	if (p->answer_length > sizeof(p->answer))
		return false;
	memcpy(p->answer, p->memory + wc.wr_id * MESSAGE, p->answer_length);
	return post_receive(p, wc.wr_id);
}

int peer_ask(struct peer *p, uint16_t type, const void *body, size_t length)
{
	uint8_t message[RPC_MESSAGE_MAX];
	struct rpc_header header = {be32_make(RPC_MAGIC), p->welcome.version, be16_make(type),
		be32_make(++p->request), be32_make((uint32_t)length), be64_make(++p->counter), {0}};
	struct rpc_error_body error;

	memcpy(message, &header, sizeof(header));
	if (length > 0)
		memcpy(message + sizeof(header), body, length);
	if (!peer_send(p, message, sizeof(header) + length) || p->answer_length < sizeof(header))
		return -1;
	memcpy(&header, p->answer, sizeof(header));
	if (be32_get(header.id) != p->request)
		return -1;
	if (be16_get(header.type) == (type | RPC_ANSWER))
		return RPC_ERROR_NONE;
	memcpy(&error, peer_body(p), sizeof(error));
	return (int)be32_get(error.code);
}

const void *peer_body(const struct peer *p)
{
	return p->answer + sizeof(struct rpc_header);
}

static enum ibv_wc_status transfer(
	struct peer *p, enum ibv_wr_opcode opcode, uint64_t address, uint32_t rkey, uint32_t length)
{
	struct ibv_sge sge = {(uintptr_t)p->data, length, p->id ? p->mr->lkey : 0};
	struct ibv_send_wr wr = {.sg_list = &sge,
		.num_sge = 1,
		.opcode = opcode,
		.wr.rdma = {.remote_addr = address, .rkey = rkey}};
	struct ibv_send_wr *bad;
	struct ibv_wc wc;

	if (!p->id || ibv_post_send(p->id->qp, &wr, &bad) != 0)
		return IBV_WC_GENERAL_ERR;
	if (!complete(p->id->send_cq, &wc))
		return IBV_WC_RESP_TIMEOUT_ERR;
	return wc.status;
}

enum ibv_wc_status peer_read(struct peer *p, uint64_t address, uint32_t rkey, uint32_t length)
{
	return transfer(p, IBV_WR_RDMA_READ, address, rkey, length);
}

enum ibv_wc_status peer_write(struct peer *p, uint64_t address, uint32_t rkey, uint32_t length)
{
	return transfer(p, IBV_WR_RDMA_WRITE, address, rkey, length);
}

bool peer_disconnected(struct peer *p, unsigned seconds)
{
	struct pollfd fd = {.fd = p->id ? p->id->channel->fd : -1, .events = POLLIN};
	struct rdma_cm_event *event;
	bool gone;

	if (!p->id || poll(&fd, 1, (int)seconds * 1000) <= 0)
		return false;
	if (rdma_get_cm_event(p->id->channel, &event) != 0)
		return false;
	gone = event->event == RDMA_CM_EVENT_DISCONNECTED;
	rdma_ack_cm_event(event);
	return gone;
}
