/* SPDX-License-Identifier: MIT */
/*
 * The daemon's end of ANNEX_HINT_SOCKET (annex_hint.h): who may hint about what, how often, and clients
 * that are slow or hostile. A request reaches the daemon's hint() only if it is well-formed and about the
 * process that has sent it (SO_PASSCRED, not what it says), or one with the same user and group that the
 * sender could trace.
 *
 * One thread. The daemon polls socket_fd() for POLLIN and calls socket_turn() when it is readable, once a
 * second for time-outs, and ten times a second while socket_waiting(). SIGALRM is the socket's own.
 */
#ifndef ANNEX_AGENT_SOCKET_H
#define ANNEX_AGENT_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "guest-agent/annex_hint.h"

#define SOCKET_CLIENTS      64u /* connections */
#define SOCKET_CLIENTS_UID  8u /* of one user */
#define SOCKET_REQUESTS     200u /* per second and user; as many at once */
#define SOCKET_REQUESTS_ALL 1000u /* per second, of all users */
#define SOCKET_PAGES        1048576u /* of ranges, per second and user: 4 GiB; as many at once */
#define SOCKET_PAGES_ALL    2097152u
#define SOCKET_IDLE_NS      30000000000ull /* a connection without a request is closed */
/*
 * File descriptors that a client sends are thrown away unseen, but that can take time: see socket_guard.h.
 * Such a user is shut out for a while, and after a wait nobody is let in for a shorter one.
 */
#define SOCKET_GUARD_US   20000u
#define SOCKET_BARRED_NS  10000000000ull
#define SOCKET_PAUSE_NS   1000000000ull
#define SOCKET_REASON_MAX 200u

/* A hint that was checked; address and length are of whole pages. */
struct socket_hint {
	enum annex_hint_kind kind; /* PIN, UNPIN, PREFETCH or COLD */
	pid_t pid;
	uint64_t
		starttime; /* field 22 of /proc/PID/stat: a process of another one is another process */
	uid_t uid;
	uint64_t address;
	uint64_t length;
};

struct socket_answer {
	enum annex_hint_result result;
	uint32_t pages;
	uint64_t used; /* PIN: bytes of applications' pins, this one included if accepted */
	uint64_t limit;
	char reason[SOCKET_REASON_MAX]; /* unless OK: one line, what to do */
};

struct socket_config {
	const char *path; /* of the socket; its directory exists */
	uint64_t pin_max; /* bytes, of all applications together (applications-pin); 0: refused */
	/* Called from socket_turn(), must return soon. For PIN it holds pin_max. */
	void (*hint)(void *context, const struct socket_hint *hint, struct socket_answer *answer);
	/* Writes the daemon's state as JSON, at most size bytes with the end; returns the length. */
	size_t (*status)(void *context, char *text, size_t size);
	void *context;
};

struct socket_counters {
	uint64_t accepted, refused; /* connections */
	uint64_t requests, bad,
		not_yours; /* requests that were read; malformed; of another's memory */
	uint64_t held; /* times that what a client had sent held us up, see SOCKET_GUARD_US */
	uint64_t waits; /* times that a client was left waiting for its rate */
};

struct socket_state;

/*
 * Listens on config->path (mode 0666; a socket that is there and has no listener is replaced). NULL with
 * the reason in error (one line, at most size bytes).
 */
struct socket_state *socket_new(const struct socket_config *config, char *error, size_t size);
/* Closes all and removes the socket. */
void socket_free(struct socket_state *state);

int socket_fd(const struct socket_state *state);
/* Never waits for a client; at most one request of each connection. now_ns: CLOCK_MONOTONIC. */
void socket_turn(struct socket_state *state, uint64_t now_ns);
/* Whether a client waits for its rate, or nobody is let in for a while. */
bool socket_waiting(const struct socket_state *state);
void socket_counters(const struct socket_state *state, struct socket_counters *counters);
/* A new configuration's limit. */
void socket_pin_max(struct socket_state *state, uint64_t pin_max);

#endif
