/* SPDX-License-Identifier: MIT */
/* A memory server's peer on rdma-core, one connection at a time per struct; all calls block. */
#ifndef ANNEX_TESTS_LAB_RDMA_PEER_H
#define ANNEX_TESTS_LAB_RDMA_PEER_H

#include <rdma/rdma_cma.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "annex/rpc.h"

#define PEER_DATA 65536u /* bytes of local memory for READ and WRITE */

struct peer {
	struct rdma_cm_id *id;
	struct ibv_mr *mr;
	uint8_t *memory; /* receives, one send, then data */
	uint8_t *data;
	struct rpc_welcome welcome;
	uint32_t request;
	uint64_t counter;
	uint8_t answer[RPC_MESSAGE_MAX];
	size_t answer_length;
};

/*
 * Connects with this private data. 0, an enum rpc_error with the server's text in `text` (160
 * bytes), or -1 when no answer of a memory server came.
 */
int peer_connect(struct peer *p, const char *address, const char *port, const void *hello,
	size_t length, char *text);
void peer_close(struct peer *p);

/* Sends bytes as they are and waits for an answer; false: the queue pair died or nothing came. */
bool peer_send(struct peer *p, const void *message, size_t length);

/* A well-formed request. RPC_ERROR_NONE, the server's error, or -1; `body` is in p->answer. */
int peer_ask(struct peer *p, uint16_t type, const void *body, size_t length);
const void *peer_body(const struct peer *p);

/* READ into or WRITE from p->data; the work completion's status. */
enum ibv_wc_status peer_read(struct peer *p, uint64_t address, uint32_t rkey, uint32_t length);
enum ibv_wc_status peer_write(struct peer *p, uint64_t address, uint32_t rkey, uint32_t length);

/* Whether the server says good-bye within so many seconds. */
bool peer_disconnected(struct peer *p, unsigned seconds);

#endif
