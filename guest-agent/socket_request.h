/* SPDX-License-Identifier: MIT */
/* One packet of a client: what it asks, who may, and the answer. */
#ifndef ANNEX_AGENT_SOCKET_REQUEST_H
#define ANNEX_AGENT_SOCKET_REQUEST_H

#include "guest-agent/socket.h"

enum socket_request_end {
	SOCKET_REQUEST_DONE, /* answered; the connection goes on */
	SOCKET_REQUEST_NONE, /* nothing to read */
	SOCKET_REQUEST_CLOSE, /* over, or not worth going on with */
	SOCKET_REQUEST_HOSTILE, /* file descriptors came with it, and were thrown away */
};

/* Reads and answers one request of fd; *pages is set to what to charge it for. */
enum socket_request_end socket_request_serve(int fd, const struct socket_config *config,
	struct socket_counters *counters, uint64_t *pages);

#endif
