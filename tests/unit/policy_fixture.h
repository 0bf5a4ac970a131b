/* SPDX-License-Identifier: MIT */
/*
 * A memory server's policy on plain memory: a pool of a few small slots, a store in an array whose
 * writes can be made to fail, and a trace of what the policy asked for, in its order.
 */
#ifndef ANNEX_TESTS_POLICY_FIXTURE_H
#define ANNEX_TESTS_POLICY_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "annex/rpc.h"
#include "memserver/policy.h"

#define FIXTURE_SLOTS   4u
#define FIXTURE_RECORDS (1u + POLICY_SESSIONS + 2 * FIXTURE_SLOTS)

struct fixture {
	struct policy *policy;
	struct policy_config config;
	uint8_t memory[FIXTURE_SLOTS]; /* one byte stands for a slot's content */
	uint64_t exposed[FIXTURE_SLOTS]; /* the session, or 0 */
	uint8_t store[FIXTURE_RECORDS][POLICY_RECORD_SIZE];
	int stores_good; /* so many stores succeed, */
	int store_errors; /* then so many fail */
	bool store_tears; /* and write although they fail */
	int expose_error;
	int scratch_error;
	char trace[4096];
	char log[256]; /* the last line */
	unsigned log_lines;
	uint32_t id;
	uint64_t counter;
};

extern const struct policy_ops fixture_ops;

/* A process starts on what the store and the pool hold. */
void fixture_load(struct fixture *f, const struct policy_ops *ops);
/* A server's first start: empty store, pool of zeros. */
void fixture_start(struct fixture *f);
/* The process ends and starts again; with `reboot` its pool is another, empty one. */
void fixture_restart(struct fixture *f, bool reboot);
void fixture_stop(struct fixture *f);

/* cmocka setup and teardown: a server at its first start, *state is its fixture. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
#define fixture_test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* A connection request that must be accepted; `name` is one letter for the trace. */
struct policy_link *fixture_connect(
	struct fixture *f, const char *name, uint64_t tenant, uint64_t session);

/* The answer to the last request. */
struct answer {
	struct rpc_header header;
	uint8_t body[RPC_BODY_MAX];
	size_t length; /* of the body */
};

/* Sends a well-formed message; its header is checked in the answer. */
struct answer fixture_ask(struct fixture *f, struct policy_link *link, enum rpc_type type,
	const void *body, size_t length);
/* ... of these, the error code (RPC_ERROR_NONE when it is a proper answer). */
enum rpc_error fixture_error(const struct answer *a);
struct rpc_error_body fixture_error_body(const struct answer *a);
enum rpc_error fixture_attach(struct fixture *f, struct policy_link *link,
	enum rpc_attach_mode mode, uint32_t extents, uint8_t domain);
enum rpc_error fixture_lease(struct fixture *f, struct policy_link *link, uint32_t index);
enum rpc_error fixture_release(struct fixture *f, struct policy_link *link, uint32_t index);
/* A session that is attached, its trace cleared. */
struct policy_link *fixture_attached(
	struct fixture *f, const char *name, uint64_t tenant, uint64_t session, uint32_t extents);
/* Reads a session's whole list; states[i] is the state of index i. How many there are. */
unsigned fixture_list(struct fixture *f, struct policy_link *link, uint32_t *states, size_t size);

/* Empties the trace / compares it and empties it. */
void fixture_trace_clear(struct fixture *f);
#define fixture_trace_is(f, expected)                                                              \
	do {                                                                                       \
		assert_string_equal((f)->trace, expected);                                         \
		fixture_trace_clear(f);                                                            \
	} while (0)

#endif
