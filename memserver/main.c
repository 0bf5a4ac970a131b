/* SPDX-License-Identifier: MIT */
/* annex-memserver: brings the parts together and turns the one loop. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "annex/rpc.h"
#include "memserver/admin.h"
#include "memserver/http.h"
#include "memserver/log.h"
#include "memserver/options.h"
#include "memserver/policy.h"
#include "memserver/pool.h"
#include "memserver/store.h"
#include "memserver/verbs.h"

#define CAP_IPC_LOCK_BIT 14 /* capabilities(7) */

struct server {
	struct options options;
	struct store store;
	struct pool pool;
	struct verbs *verbs;
	struct policy *policy;
	struct admin *admin;
	struct http *http;
	int signals;
};

static void op_destroy(void *context, void *link)
{
	verbs_destroy(((struct server *)context)->verbs, link);
}

static int op_expose(void *context, uint64_t tenant, uint64_t session, uint32_t slot,
	uint64_t *address, uint32_t *rkey)
{
	struct server *s = context;

	return verbs_expose(s->verbs, tenant, session, slot, address, rkey);
}

static void op_conceal(void *context, uint64_t tenant, uint64_t session, uint32_t slot)
{
	verbs_conceal(((struct server *)context)->verbs, tenant, session, slot);
}

static void op_zero(void *context, uint32_t slot)
{
	struct server *s = context;

	memset(s->pool.memory + (uint64_t)slot * RPC_EXTENT_SIZE, 0, RPC_EXTENT_SIZE);
}

static int op_scratch(
	void *context, uint64_t tenant, uint64_t session, uint64_t *address, uint32_t *rkey)
{
	return verbs_scratch(((struct server *)context)->verbs, tenant, session, address, rkey);
}

static void op_session_end(void *context, uint64_t tenant, uint64_t session)
{
	verbs_session_end(((struct server *)context)->verbs, tenant, session);
}

static int op_store(void *context, uint32_t number, const void *record, size_t length)
{
	struct server *s = context;

	return length == POLICY_RECORD_SIZE ? store_write(&s->store, number, record) : EINVAL;
}

static void op_log(void *context, int level, const char *text)
{
	log_line(level, "%s", text);
}

static bool may_lock_any(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	unsigned long long effective = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "CapEff: %llx", &effective) == 1)
			break;
	}
	if (file)
		fclose(file);
	return effective >> CAP_IPC_LOCK_BIT & 1;
}

/* Registered memory is locked memory: better to find the limit now than at a lease. */
static bool memory_lockable(uint64_t bytes)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	if (may_lock_any() || setrlimit(RLIMIT_MEMLOCK, &limit) == 0)
		return true;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur >= bytes + (64u << 20))
		return true;
	log_line(LOG_ERR,
		"this process may lock %llu MiB, the pool has %llu MiB: raise RLIMIT_MEMLOCK "
		"(ulimit -l unlimited, or LimitMEMLOCK=infinity in the unit)",
		(unsigned long long)limit.rlim_cur >> 20, (unsigned long long)bytes >> 20);
	return false;
}

static bool start_policy(struct server *s)
{
	static const struct policy_ops ops = {op_destroy, op_expose, op_conceal, op_zero,
		op_scratch, op_session_end, op_store, op_log};
	struct policy_config config = {.slots = (uint32_t)(s->pool.bytes / RPC_EXTENT_SIZE),
		.quota = s->options.quota,
		.reads = verbs_reads(s->verbs),
		.overcommit = s->options.overcommit};

	memcpy(config.pool, s->pool.id, sizeof(config.pool));
	s->policy = policy_new(&config, &ops, s);
	if (!s->policy) {
		log_line(LOG_ERR, "out of memory");
		return false;
	}
	return store_load(&s->store, s->policy) && pool_keep(&s->pool);
}

static bool start_signals(struct server *s)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) != 0)
		return false;
	s->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signals >= 0;
}

static bool start(struct server *s)
{
	const struct http_view view = {NULL, &s->options, &s->pool};
	struct http_view shown = view;
	uint8_t id[16];
	bool named;

	if (!start_signals(s) || !memory_lockable(s->options.pool) ||
		!store_open(&s->store, s->options.store))
		return false;
	named = store_pool(&s->store, id);
	if (!pool_open(&s->pool, &s->options, named ? id : NULL))
		return false;
	s->verbs = verbs_open(&s->options.listen, &s->pool);
	if (!s->verbs || !start_policy(s))
		return false;
	s->admin = admin_open(s->options.control, s->policy);
	if (!s->admin)
		return false;
	shown.policy = s->policy;
	if (!s->options.no_http) {
		s->http = http_open(&s->options.http, &shown);
		if (!s->http)
			return false;
	}
	return verbs_serve(s->verbs, s->policy);
}

static void stop(struct server *s)
{
	if (s->http)
		http_close(s->http);
	if (s->admin)
		admin_close(s->admin);
	if (s->verbs)
		verbs_close(s->verbs);
	policy_free(s->policy);
	pool_close(&s->pool);
	store_close(&s->store);
	if (s->signals >= 0)
		close(s->signals);
}

enum {
	POLL_SIGNALS,
	POLL_HTTP,
	POLL_VERBS,
	POLL_ADMIN = POLL_VERBS + VERBS_DESCRIPTORS,
	POLL_ALL = POLL_ADMIN + ADMIN_DESCRIPTORS,
};

static void fill(struct server *s, struct pollfd *fds)
{
	int verbs[VERBS_DESCRIPTORS];

	fds[POLL_SIGNALS] = (struct pollfd){.fd = s->signals, .events = POLLIN};
	fds[POLL_HTTP] =
		(struct pollfd){.fd = s->http ? http_descriptor(s->http) : -1, .events = POLLIN};
	verbs_descriptors(s->verbs, verbs);
	for (unsigned i = 0; i < VERBS_DESCRIPTORS; i++)
		fds[POLL_VERBS + i] = (struct pollfd){.fd = verbs[i], .events = POLLIN};
	admin_descriptors(s->admin, &fds[POLL_ADMIN]);
}

/* ms that poll() may wait: a second at most, none while there is something to zero. */
static int patience(const struct server *s, bool busy)
{
	int http = s->http ? http_timeout(s->http) : -1;

	if (busy)
		return 0;
	return http >= 0 && http < 1000 ? http : 1000;
}

/* Returns whether the end was asked for; false: something broke. */
static bool loop(struct server *s)
{
	struct pollfd fds[POLL_ALL];
	bool busy = true;

	for (;;) {
		fill(s, fds);
		if (poll(fds, POLL_ALL, patience(s, busy)) < 0 && errno != EINTR) {
			log_line(LOG_CRIT, "poll: %s", strerror(errno));
			return false;
		}
		if (fds[POLL_SIGNALS].revents)
			return true;
		for (unsigned i = 0; i < VERBS_DESCRIPTORS; i++) {
			if (fds[POLL_VERBS + i].revents && !verbs_event(s->verbs, i))
				return false;
		}
		verbs_tick(s->verbs);
		admin_event(s->admin, &fds[POLL_ADMIN]);
		if (s->http)
			http_event(s->http);
		busy = policy_turn(s->policy);
	}
}

static int forget(const struct options *options)
{
	char line[64];

	if (snprintf(line, sizeof(line), "forget %s", options->forget) >= (int)sizeof(line)) {
		fprintf(stderr, "annex-memserver: forget: a tenant has 16 digits at most\n");
		return 2;
	}
	return admin_ask(options->control, line);
}

int main(int argc, char **argv)
{
	struct server server = {.store.fd = -1, .pool.fd = -1, .signals = -1};
	char address[INET_ADDRSTRLEN];
	bool good;

	options_parse(&server.options, argc, argv);
	if (server.options.forget)
		return forget(&server.options);
	good = start(&server);
	if (good) {
		inet_ntop(AF_INET, &server.options.listen.sin_addr, address, sizeof(address));
		log_line(LOG_NOTICE, "ready: %s port %u, pool of %llu MiB in pages of %llu KiB",
			address, ntohs(server.options.listen.sin_port),
			(unsigned long long)server.pool.bytes >> 20,
			(unsigned long long)server.pool.page >> 10);
		good = loop(&server);
		if (good)
			log_line(LOG_NOTICE, "ends; leases stay as they are");
	}
	stop(&server);
	return good ? 0 : 1;
}
