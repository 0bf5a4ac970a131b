/* SPDX-License-Identifier: MIT */
/*
 * guest-agent/socket*.c in this process, and clients that are real processes of several users, in a mount
 * namespace with a /run of its own. Needs root. Link with --wrap=setsockopt.
 */
#ifndef ANNEX_TEST_AGENT_CLIENT_H
#define ANNEX_TEST_AGENT_CLIENT_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#include "guest-agent/annex_hint.h"
#include "guest-agent/socket.h"

#define SECOND 1000000000ull
#define NOBODY 65534u
#define OTHER  65533u

extern struct agent_client_world {
	struct socket_state *server;
	struct socket_hint last; /* that reached the daemon */
	unsigned hints; /* how many did */
	enum annex_hint_result answer_with; /* what it answers */
	uint64_t skew; /* of the server's clock */
	bool old_kernel; /* before 6.16, without SO_PASSRIGHTS */
	uint64_t longest; /* turn of the server, ns */
} world;

/* Of the group; of each test. */
int agent_client_private_run(void **state);
int agent_client_begin(void **state);
int agent_client_end(void **state);

uint64_t agent_client_clock(void);
struct socket_state *agent_client_listen(uint64_t pin_max, char *error, size_t size);
void agent_client_turn(int wait_ms);
/* Turns the server until the child has ended; its exit code. */
int agent_client_serve(pid_t child);
struct socket_counters agent_client_counters(void);

/* A process that waits to be looked at. */
pid_t agent_client_target(uid_t user, bool dumpable, gid_t saved_group, uid_t saved);

/* In a child. */
void agent_client_become(uid_t user);
int agent_client_connect(void);
struct annex_hint_request agent_client_request(unsigned kind, uint64_t address, uint64_t length);
/* The answer's result; -1: the connection has ended. */
int agent_client_exchange(int fd, const void *bytes, size_t size);

#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: not true in the client: %s (errno %d, %s)\n",      \
				__FILE__, __LINE__, #x, errno, annex_hint_reason());               \
			_exit(98);                                                                 \
		}                                                                                  \
	} while (0)

/* A client as a child process: the statement behind runs there, as `user`. */
#define CLIENT(user, ...)                                                                          \
	({                                                                                         \
		pid_t client_ = fork();                                                            \
		if (client_ == 0) {                                                                \
			agent_client_become(user);                                                 \
			__VA_ARGS__;                                                               \
			_exit(0);                                                                  \
		}                                                                                  \
		client_;                                                                           \
	})

#endif
