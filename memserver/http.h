/* SPDX-License-Identifier: MIT */
/* Status for people and tools, read only: GET /status (JSON) and GET /metrics (Prometheus). */
#ifndef ANNEX_MEMSERVER_HTTP_H
#define ANNEX_MEMSERVER_HTTP_H

#include <netinet/in.h>
#include "memserver/options.h"
#include "memserver/policy.h"
#include "memserver/pool.h"

struct http;

/* What is shown. Read only from within http_event(), by the caller's own thread. */
struct http_view {
	const struct policy *policy;
	const struct options *options;
	const struct pool *pool;
};

/* Logs why it cannot listen; then NULL. */
struct http *http_open(const struct sockaddr_in *address, const struct http_view *view);

/* One descriptor to poll for input, and how long the poll may take at most (ms, -1: for ever). */
int http_descriptor(const struct http *h);
int http_timeout(const struct http *h);

/* Serves what can be served now. */
void http_event(struct http *h);

void http_close(struct http *h);

#endif
