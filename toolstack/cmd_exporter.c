/* SPDX-License-Identifier: MIT */
/* annex exporter: every guest's numbers for Prometheus, over HTTP. One thread; nothing in it waits. */
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/collect.h"
#include "toolstack/metrics.h"
#include "toolstack/metrics_guest.h"
#include "toolstack/output.h"
#include "toolstack/size.h"

#define LISTEN      "127.0.0.1:9750"
#define CONNECTIONS 64u
#define PATIENCE    30u /* s, for a client that stands still */

static const char *listen_at = LISTEN;
static uint64_t seconds = 5;

static const struct option_spec options[] = {
	{"listen", "ADDR:PORT", "where to answer (default " LISTEN ")", OPTION_TEXT, &listen_at},
	{"timeout", "SECONDS", "longest time of a scrape (default 5)", OPTION_NUMBER, &seconds},
	{NULL, NULL, NULL, OPTION_FLAG, NULL},
};

/* A client that waits for the collection under way. */
struct client {
	struct client *next;
	struct MHD_Connection *connection;
	char *text; /* when it is there */
	bool waits; /* in the list */
};

struct exporter {
	const struct annex *annex;
	struct MHD_Daemon *daemon;
	struct collect *collect; /* NULL: none under way */
	struct client *clients;
	unsigned long long scrapes;
};

static volatile sig_atomic_t ended;

static void on_signal(int signal)
{
	ended = 1;
}

static const char index_page[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Annex exporter"
	"</title></head>\n<body><h1>Annex exporter</h1>\n<p><a href=\"/metrics\">/metrics</a>: the "
	"guests of this machine, for Prometheus. annex(1) describes them.</p>\n</body></html>\n";

/* Takes the text over. */
static enum MHD_Result reply(
	struct MHD_Connection *connection, unsigned code, const char *type, char *text)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result result;

	if (!response) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = MHD_queue_response(connection, code, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result plain(struct MHD_Connection *connection, unsigned code, const char *text)
{
	return reply(connection, code, "text/plain; charset=utf-8", error_memory(strdup(text)));
}

static void wait_for_text(struct exporter *e, struct client *client)
{
	client->waits = true;
	client->next = e->clients;
	e->clients = client;
	MHD_suspend_connection(client->connection);
	if (!e->collect)
		e->collect = collect_start(e->annex, (double)seconds);
}

static enum MHD_Result request(void *context, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *data, size_t *size, void **state)
{
	struct exporter *e = context;
	struct client *client = *state;

	/* The first call comes with the head only; what a client uploads is never read. */
	if (!client) {
		client = error_memory(calloc(1, sizeof(*client)));
		client->connection = connection;
		*state = client;
		return MHD_YES;
	}
	if (*size > 0) {
		*size = 0;
		return MHD_YES;
	}
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return plain(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "this server is read only\n");
	if (strcmp(url, "/") == 0)
		return reply(connection, MHD_HTTP_OK, "text/html; charset=utf-8",
			error_memory(strdup(index_page)));
	if (strcmp(url, "/metrics") != 0)
		return plain(connection, MHD_HTTP_NOT_FOUND, "there are / and /metrics\n");
	if (client->text) {
		char *text = client->text;

		client->text = NULL;
		return reply(connection, MHD_HTTP_OK, METRICS_TYPE, text);
	}
	if (!client->waits)
		wait_for_text(e, client);
	return MHD_YES;
}

static void completed(void *context, struct MHD_Connection *connection, void **state,
	enum MHD_RequestTerminationCode code)
{
	struct exporter *e = context;
	struct client *client = *state;

	for (struct client **p = &e->clients; client && *p; p = &(*p)->next)
		if (*p == client) {
			*p = client->next;
			break;
		}
	if (client)
		free(client->text);
	free(client);
	*state = NULL;
}

static char *render(const json_t *result, unsigned long long scrapes)
{
	struct metrics *m = metrics_new();
	const json_t *guest;
	char *text;
	size_t i;

	metrics_add(m, "annex_exporter_info", "gauge", "Version of the exporter.", "", 1, "version",
		ANNEX_VERSION, NULL);
	metrics_add(m, "annex_exporter_libvirt_up", "gauge",
		"Whether libvirt has listed the guests.", "",
		json_is_true(json_object_get(result, "libvirt")), NULL);
	metrics_add(m, "annex_exporter_collect_seconds", "gauge",
		"Time that asking all guests has taken.", "",
		json_number_value(json_object_get(result, "seconds")), NULL);
	metrics_add(m, "annex_exporter_collections_total", "counter",
		"Times that all guests were asked.", "", (double)scrapes, NULL);
	json_array_foreach(json_object_get(result, "guests"), i, guest) metrics_guest(m, guest);
	text = metrics_text(m);
	metrics_free(m);
	return text;
}

/* All that wait get the same text. */
static void finish(struct exporter *e)
{
	char *text = render(collect_result(e->collect), ++e->scrapes);
	struct client *next;

	collect_free(e->collect);
	e->collect = NULL;
	for (struct client *client = e->clients; client; client = next) {
		next = client->next;
		client->text = error_memory(strdup(text));
		client->waits = false;
		client->next = NULL;
		MHD_resume_connection(client->connection);
	}
	e->clients = NULL;
	free(text);
}

static int turn(struct exporter *e, const sigset_t *awake)
{
	struct pollfd fds[1 + COLLECT_PARALLEL];
	int epoll = MHD_get_daemon_info(e->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	int limit = e->collect ? collect_timeout(e->collect) : 60000;
	MHD_UNSIGNED_LONG_LONG soon;
	struct timespec t;
	unsigned count = 1;

	if (MHD_get_timeout(e->daemon, &soon) == MHD_YES && soon < (unsigned)limit)
		limit = (int)soon;
	t = (struct timespec){limit / 1000, limit % 1000 * 1000000l};
	fds[0] = (struct pollfd){epoll, POLLIN, 0};
	if (e->collect)
		count += collect_descriptors(e->collect, fds + 1);
	if (ppoll(fds, count, &t, awake) < 0 && errno != EINTR)
		return error_set(ERROR_FAILED, "cannot wait for clients: %s", strerror(errno));
	MHD_run(e->daemon);
	if (e->collect && collect_turn(e->collect)) {
		finish(e);
		MHD_run(e->daemon);
	}
	return 0;
}

static int parse_listen(struct sockaddr_in *address)
{
	const char *colon = strrchr(listen_at, ':');
	char host[SIZE_TEXT_MAX];
	uint32_t ip;
	uint64_t port;

	if (colon && (size_t)(colon - listen_at) < sizeof(host)) {
		snprintf(host, sizeof(host), "%.*s", (int)(colon - listen_at), listen_at);
		if (size_ipv4(host, &ip) && size_number(colon + 1, 1, 65535, &port)) {
			*address = (struct sockaddr_in){.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port),
				.sin_addr.s_addr = htonl(ip)};
			return 0;
		}
	}
	return error_set(ERROR_USAGE,
		"--listen=%s is no IPv4 address with a port. Write it as " LISTEN
		", or 0.0.0.0:9750 for all networks of this machine",
		listen_at);
}

static int open_port(struct exporter *e, const struct sockaddr_in *address)
{
	errno = 0;
	e->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
		request, e, MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
		MHD_OPTION_CONNECTION_TIMEOUT, PATIENCE, MHD_OPTION_NOTIFY_COMPLETED, completed, e,
		MHD_OPTION_END);
	if (e->daemon)
		return 0;
	return error_set(ERROR_FAILED, "cannot listen on %s: %s. Give another --listen", listen_at,
		errno ? strerror(errno) : "is the address one of this machine?");
}

static int run(struct annex *annex, int count, char **arguments)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct exporter e = {.annex = annex};
	struct sockaddr_in address;
	sigset_t masked, awake;
	int code = parse_listen(&address);

	if (!code && (seconds < 1 || seconds > 60))
		code = error_set(ERROR_USAGE, "--timeout is 1 to 60 seconds");
	if (code)
		return code;
	sigemptyset(&masked);
	sigaddset(&masked, SIGTERM);
	sigaddset(&masked, SIGINT);
	sigprocmask(SIG_BLOCK, &masked, &awake);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	code = open_port(&e, &address);
	if (!code)
		output_progress(annex, "metrics at http://%s/metrics", listen_at);
	while (!code && !ended)
		code = turn(&e, &awake);
	if (e.collect)
		finish(&e);
	if (e.daemon)
		MHD_stop_daemon(e.daemon);
	return code;
}

const struct command cmd_exporter = {
	.name = "exporter",
	.arguments = "",
	.summary = "Serve every guest's numbers to Prometheus",
	.details = "Runs until it is ended. GET /metrics asks the VMM of each running guest, all "
		   "at the\n"
		   "same time; one that does not answer within --timeout, or is off, has\n"
		   "annex_up 0. The unit annex-exporter.service runs it.\n",
	.options = options,
	.run = run,
};
