/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "annex/rpc.h"
#include "memserver/http.h"
#include "memserver/log.h"

#define CONNECTIONS 16u
#define PATIENCE    10u /* s */

struct http {
	struct MHD_Daemon *daemon;
	struct http_view view;
};

static json_t *text_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

static json_t *text_of(const char *format, ...)
{
	char text[128];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return json_string(text);
}

static json_t *id_of(const uint8_t *id, bool uuid)
{
	char text[40];
	int length = 0;

	for (unsigned i = 0; i < 16; i++) {
		if (uuid && (i == 4 || i == 6 || i == 8 || i == 10))
			text[length++] = '-';
		length += snprintf(text + length, sizeof(text) - (size_t)length, "%02x", id[i]);
	}
	return json_string(text);
}

static json_t *sessions(const struct http *h, unsigned *ended)
{
	json_t *list = json_array();
	struct policy_session_info info;

	*ended = 0;
	for (unsigned i = 0; policy_session(h->view.policy, i, &info); i++) {
		if (info.ended) {
			++*ended;
			continue;
		}
		json_array_append_new(list,
			json_pack("{so so so si si si sb}", "tenant",
				text_of("%016llx", (unsigned long long)info.tenant), "session",
				text_of("%016llx", (unsigned long long)info.session), "domain",
				id_of(info.domain, true), "promised", (int)info.promised, "held",
				(int)info.held, "lost", (int)info.lost, "connected",
				(int)info.connected));
	}
	return list;
}

static char *status(const struct http *h)
{
	const struct options *o = h->view.options;
	struct policy_totals t;
	char address[INET_ADDRSTRLEN], *text;
	json_t *root, *list;
	unsigned ended;

	policy_totals(h->view.policy, &t);
	inet_ntop(AF_INET, &o->listen.sin_addr, address, sizeof(address));
	list = sessions(h, &ended);
	root = json_pack("{si so sI sI sb si so so si}", "annex", 1, "listen",
		text_of("%s:%u", address, ntohs(o->listen.sin_port)), "extent_bytes",
		(json_int_t)RPC_EXTENT_SIZE, "quota_bytes", (json_int_t)o->quota, "overcommit",
		(int)o->overcommit, "queue_pairs", (int)t.links, "pool",
		json_pack("{so ss sI sI si si si si si}", "id", id_of(h->view.pool->id, false),
			"directory", h->view.pool->directory, "bytes",
			(json_int_t)h->view.pool->bytes, "page_bytes",
			(json_int_t)h->view.pool->page, "extents", (int)t.slots, "leased",
			(int)t.leased, "promised", (int)t.promised, "lost", (int)t.lost, "dirty",
			(int)t.dirty),
		"sessions", list, "sessions_ended", (int)ended);
	text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	return text;
}

static const char metrics_format[] =
	"# HELP annex_memserver_pool_bytes Memory of the pool.\n"
	"# TYPE annex_memserver_pool_bytes gauge\n"
	"annex_memserver_pool_bytes %llu\n"
	"# HELP annex_memserver_promised_bytes Memory promised to sessions.\n"
	"# TYPE annex_memserver_promised_bytes gauge\n"
	"annex_memserver_promised_bytes %llu\n"
	"# HELP annex_memserver_extents Extents by state.\n"
	"# TYPE annex_memserver_extents gauge\n"
	"annex_memserver_extents{state=\"leased\"} %u\n"
	"annex_memserver_extents{state=\"lost\"} %u\n"
	"annex_memserver_extents{state=\"dirty\"} %u\n"
	"annex_memserver_extents{state=\"free\"} %u\n"
	"# HELP annex_memserver_sessions Live sessions.\n"
	"# TYPE annex_memserver_sessions gauge\n"
	"annex_memserver_sessions %u\n"
	"# HELP annex_memserver_queue_pairs Queue pairs.\n"
	"# TYPE annex_memserver_queue_pairs gauge\n"
	"annex_memserver_queue_pairs %u\n"
	"# HELP annex_memserver_messages_total Control messages received.\n"
	"# TYPE annex_memserver_messages_total counter\n"
	"annex_memserver_messages_total %llu\n"
	"# HELP annex_memserver_refusals_total Requests and connections refused.\n"
	"# TYPE annex_memserver_refusals_total counter\n"
	"annex_memserver_refusals_total %llu\n"
	"# HELP annex_memserver_leases_total Extents leased.\n"
	"# TYPE annex_memserver_leases_total counter\n"
	"annex_memserver_leases_total %llu\n"
	"# HELP annex_memserver_releases_total Extents released.\n"
	"# TYPE annex_memserver_releases_total counter\n"
	"annex_memserver_releases_total %llu\n";

static char *metrics(const struct http *h)
{
	struct policy_totals t;
	uint32_t used;
	char *text;

	policy_totals(h->view.policy, &t);
	used = t.leased + t.lost + t.dirty;
	if (asprintf(&text, metrics_format, (unsigned long long)h->view.pool->bytes,
		    (unsigned long long)t.promised << RPC_EXTENT_SHIFT, t.leased, t.lost, t.dirty,
		    used < t.slots ? t.slots - used : 0, t.sessions, t.links,
		    (unsigned long long)t.messages, (unsigned long long)t.refusals,
		    (unsigned long long)t.leases, (unsigned long long)t.releases) < 0)
		return NULL;
	return text;
}

/* Takes the text over. */
static enum MHD_Result reply(
	struct MHD_Connection *connection, unsigned code, const char *type, char *text)
{
	struct MHD_Response *response;
	enum MHD_Result result = MHD_NO;

	if (!text)
		return MHD_NO;
	response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
		(code != MHD_HTTP_METHOD_NOT_ALLOWED ||
			MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") ==
				MHD_YES))
		result = MHD_queue_response(connection, code, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result request(void *context, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *data, size_t *size, void **state)
{
	struct http *h = context;

	/* The first call comes with the head only; what a client uploads is never read. */
	if (!*state) {
		*state = h;
		return MHD_YES;
	}
	if (*size > 0) {
		*size = 0;
		return MHD_YES;
	}
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return reply(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain",
			strdup("this server is read only\n"));
	if (strcmp(url, "/status") == 0)
		return reply(connection, MHD_HTTP_OK, "application/json", status(h));
	if (strcmp(url, "/metrics") == 0)
		return reply(connection, MHD_HTTP_OK, "text/plain; version=0.0.4", metrics(h));
	return reply(connection, MHD_HTTP_NOT_FOUND, "text/plain",
		strdup("there are /status and /metrics\n"));
}

struct http *http_open(const struct sockaddr_in *address, const struct http_view *view)
{
	struct http *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->view = *view;
	h->daemon = MHD_start_daemon(MHD_USE_EPOLL, ntohs(address->sin_port), NULL, NULL, request,
		h, MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
		MHD_OPTION_CONNECTION_TIMEOUT, PATIENCE, MHD_OPTION_END);
	if (h->daemon)
		return h;
	log_line(LOG_ERR, "--http: cannot listen on port %u: %s", ntohs(address->sin_port),
		errno ? strerror(errno) : "is the address one of this machine?");
	free(h);
	return NULL;
}

int http_descriptor(const struct http *h)
{
	return MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
}

int http_timeout(const struct http *h)
{
	MHD_UNSIGNED_LONG_LONG timeout;

	if (MHD_get_timeout(h->daemon, &timeout) != MHD_YES)
		return -1;
	return timeout > 1000 ? 1000 : (int)timeout;
}

void http_event(struct http *h)
{
	MHD_run(h->daemon);
}

void http_close(struct http *h)
{
	MHD_stop_daemon(h->daemon);
	free(h);
}
