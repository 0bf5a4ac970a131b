/* SPDX-License-Identifier: MIT */
/*
 * Control messages between the VMM and a memory server: SEND/RECV on the data queue pair, one
 * message per packet, so at most RPC_MESSAGE_MAX bytes (fits the smallest path MTU we accept, 1024).
 * The VMM asks, the server answers with the same id; every request is idempotent, so that one whose
 * answer was lost with a queue pair is simply asked again. All integers big-endian.
 *
 * Order on a new queue pair: ATTACH, then LIST until its end, then a write and read-back of the
 * scratch page, then anything. The server names no rkey before it has destroyed every older queue
 * pair of the session, and the VMM sends nothing else before ATTACHED has arrived.
 */
#ifndef ANNEX_RPC_H
#define ANNEX_RPC_H

#include <assert.h>
#include "annex/endian.h"

#define RPC_MAGIC        0x414e5852u /* "ANXR" */
#define RPC_VERSION_LOW  1u /* lowest version this tree speaks */
#define RPC_VERSION      1u /* highest, and the one it writes */
#define RPC_MESSAGE_MAX  1024u
#define RPC_EXTENT_SHIFT 24u /* 16 MiB */
#define RPC_EXTENT_SIZE  (1ull << RPC_EXTENT_SHIFT)
#define RPC_PORT         7471u /* default listening port */
#define RPC_SCRATCH_SIZE 4096u
#define RPC_LIST_END     0xffffffffu

/* Private data of the connection request (56 bytes: all that IPv4 connections have). */
struct rpc_hello {
	be32 magic;
	be16 version_low;
	be16 version_high;
	be64 tenant;
	be64 session; /* drawn by the VMM at boot, never 0 */
	uint8_t reserved[32]; /* zero; nonce and HMAC of the handshake */
};

/* Private data of the server's acceptance. */
struct rpc_welcome {
	be32 magic;
	be16 version; /* the one both will use */
	be16 reads; /* READs the server takes at once */
};

/* Private data of the server's rejection: code is an enum rpc_error. */
struct rpc_refusal {
	be32 magic;
	be32 code;
	char text[120]; /* NUL-terminated, printable ASCII */
};

enum rpc_type {
	RPC_ATTACH = 1,
	RPC_LIST = 2,
	RPC_LEASE = 3,
	RPC_RELEASE = 4,
	RPC_PING = 5,
	RPC_ANSWER = 0x8000, /* or-ed to the request's type */
	RPC_ERROR = 0xffff, /* answer to any request */
};

struct rpc_header {
	be32 magic;
	be16 version;
	be16 type;
	be32 id; /* of the request; repeated in its answer */
	be32 length; /* of the body behind this header, in bytes */
	be64 counter; /* per direction and queue pair, from 1 */
	uint8_t hmac[32]; /* zero until the handshake exists */
};

enum rpc_attach_mode {
	RPC_ATTACH_FRESH = 1, /* the VMM has just booted: all older sessions of the tenant end */
	RPC_ATTACH_RESUME = 2, /* the same session on a new queue pair */
};

struct rpc_attach {
	be32 mode;
	be32 extent_shift;
	be32 extents; /* to be promised, now and for the session's life */
	be32 zero;
	uint8_t domain[16]; /* UUID of the libvirt domain; a tenant belongs to one */
};

struct rpc_attached {
	uint8_t pool[16]; /* random id of the pool; another one means the pages are gone */
	be64 scratch_address; /* RPC_SCRATCH_SIZE bytes, READ and WRITE */
	be32 scratch_rkey;
	be32 extents_promised;
	be32 extents_held; /* how many LIST will name */
	be32 zero;
	be64 pool_free; /* bytes, for the operator */
	be64 quota; /* bytes, 0 = none */
	be64 seal_address; /* 16 bytes, or 0: this server keeps no seal */
	be32 seal_rkey;
	be32 zero2;
};

enum rpc_extent_state {
	RPC_EXTENT_HELD = 1,
	RPC_EXTENT_LOST = 2, /* was leased, its content is gone (the server's host rebooted) */
};

struct rpc_extent {
	be32 index; /* of the far window, counted in extents */
	be32 state;
	be64 address;
	be32 rkey;
	be32 zero;
};

/* LIST: extents with index >= first, in ascending order. */
struct rpc_list {
	be32 first;
	be32 zero;
};

struct rpc_listed {
	be32 count; /* entries behind this */
	be32 next; /* first of the next LIST, or RPC_LIST_END */
	struct rpc_extent extent[];
};

/* LEASE and RELEASE; LEASE answers with a struct rpc_extent, RELEASE repeats the request. */
struct rpc_index {
	be32 index;
	be32 zero;
};

enum rpc_error {
	RPC_ERROR_NONE = 0,
	RPC_ERROR_VERSION = 1, /* no common version; number[] = server's lowest, highest */
	RPC_ERROR_MALFORMED = 2, /* bad magic, length, field or type */
	RPC_ERROR_TENANT = 3, /* tenant unknown, and this server serves known ones only */
	RPC_ERROR_DOMAIN = 4, /* tenant belongs to another domain */
	RPC_ERROR_QUOTA = 5, /* tenant's quota; number[] = bytes wanted, bytes allowed */
	RPC_ERROR_POOL = 6, /* cannot be promised; number[] = bytes wanted, bytes free */
	RPC_ERROR_ENDED = 7, /* a newer session of the tenant has ended this one */
	RPC_ERROR_UNKNOWN = 8, /* RESUME of a session that this server does not know */
	RPC_ERROR_ATTACH = 9, /* not attached on this queue pair */
	RPC_ERROR_EXTENT = 10, /* index outside what was promised, or not held */
	RPC_ERROR_STORE = 11, /* the lease could not be made durable (disk) */
	RPC_ERROR_LOST = 12, /* the extent's content is gone */
	RPC_ERROR_RESOURCES = 13, /* the server ran out of something; try again later */
};

struct rpc_error_body {
	be32 code;
	be32 zero;
	be64 number[2];
	char text[160]; /* NUL-terminated, printable ASCII */
};

#define RPC_BODY_MAX (RPC_MESSAGE_MAX - sizeof(struct rpc_header))
#define RPC_LIST_MAX ((RPC_BODY_MAX - sizeof(struct rpc_listed)) / sizeof(struct rpc_extent))

static_assert(sizeof(struct rpc_hello) == 56, "private data of REQ");
static_assert(sizeof(struct rpc_refusal) <= 148, "private data of REJ");
static_assert(sizeof(struct rpc_header) == 56, "rpc header");
static_assert(sizeof(struct rpc_attach) == 32, "attach");
static_assert(sizeof(struct rpc_attached) == 72, "attached");
static_assert(sizeof(struct rpc_extent) == 24, "extent");
static_assert(sizeof(struct rpc_error_body) == 184, "error");

#endif
