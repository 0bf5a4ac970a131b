/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>
#include "annex/version.h"
#include "guest-agent/agent.h"
#include "guest-agent/applications.h"
#include "guest-agent/log.h"
#include "guest-agent/message.h"
#include "guest-agent/notify.h"
#include "guest-agent/paths.h"

#define SECOND  1000000000ull
#define SAMPLE  100000000ull /* between two looks at which pages were filled, while some are */
#define SOCKET  100000000ull /* while clients wait for their rate */
#define ONCE_NS (30 * SECOND)

uint64_t agent_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

/* Into c, from the file or, where none need be, the defaults. */
static bool read_config(const struct agent *a, struct config *c)
{
	char error[CONFIG_ERROR];

	if (!a->config_needed && access(a->config_path, F_OK) != 0 && errno == ENOENT) {
		config_default(c);
		return true;
	}
	if (config_read(c, a->config_path, error) == 0)
		return true;
	log_line(LOG_ERR, "%s", error);
	return false;
}

static void take_config(struct agent *a)
{
	log_level(a->config.log);
	a->session.rate = a->config.requests;
	policies_set(a->policies, &a->config);
	if (a->socket)
		socket_pin_max(a->socket, a->config.applications_pin_pages * RANGES_PAGE);
}

void agent_reload(struct agent *a)
{
	static struct config fresh; /* large */

	notify_reloading();
	if (read_config(a, &fresh)) {
		a->config = fresh;
		take_config(a);
		log_line(LOG_INFO, "%s: read again, %u policies", a->config_path,
			a->config.rule_count);
	} else {
		log_line(
			LOG_ERR, "%s: not taken; the configuration before goes on", a->config_path);
	}
	notify_send("READY=1");
}

/* Systems with both versions have the second one there. */
static const char *cgroup_mount(void)
{
	static const char unified[] = PATHS_CGROUP "/unified";

	return access(PATHS_CGROUP "/cgroup.procs", F_OK) != 0 && access(unified, F_OK) == 0
		       ? unified
		       : PATHS_CGROUP;
}

static bool open_signals(struct agent *a)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	a->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return a->signals >= 0;
}

static bool open_socket(struct agent *a, const char *path)
{
	struct socket_config config = {
		.path = path,
		.pin_max = a->config.applications_pin_pages * RANGES_PAGE,
		.hint = applications_hint,
		.status = applications_status,
		.context = a,
	};
	char error[200];

	a->socket = socket_new(&config, error, sizeof(error));
	if (!a->socket)
		log_line(LOG_ERR, "%s: %s", path, error);
	return a->socket;
}

int agent_open(struct agent *a, const char *socket)
{
	const struct report_config report = {.root = ""};

	a->signals = -1;
	if (!read_config(a, &a->config))
		return 2;
	a->started_ns = a->now_ns = agent_now();
	session_init(&a->session, a->doorbell, a->config.requests);
	a->processes = processes_open("/proc");
	a->hints = hints_open(&a->session, a->processes, &a->config, "/proc/vmstat");
	if (!a->hints)
		return 1;
	a->policies = policies_open(a->hints, a->processes, cgroup_mount());
	a->report = report_fill_new(&report);
	if (!a->report)
		log_no_memory();
	if (!open_signals(a) || (socket && !open_socket(a, socket)))
		return 1;
	take_config(a);
	return 0;
}

void agent_close(struct agent *a)
{
	session_bye(&a->session);
	policies_close(a->policies);
	hints_close(a->hints);
	processes_close(a->processes);
	if (a->report)
		report_fill_free(a->report);
	if (a->socket)
		socket_free(a->socket);
	if (a->signals >= 0)
		close(a->signals);
}

/* The message that waits is acted on once, and its reply sent until it has arrived. */
static void serve_message(struct agent *a)
{
	char text[DOORBELL_MESSAGE_MAX + 1];

	if (!a->session.message)
		return;
	if (a->session.message != a->replied) {
		if (!session_message(&a->session, text))
			return;
		a->replied = a->session.message;
		log_line(LOG_INFO, "message %" PRIu64 ": %s", a->replied, text);
		message_answer(a, text, a->reply, sizeof(a->reply));
	}
	(void)session_reply(&a->session, a->replied, a->reply);
}

static void take_samples(struct agent *a)
{
	uint64_t words[DOORBELL_WORDS] = {0};

	a->sample_ns = a->now_ns + SAMPLE;
	if (a->now_ns >= a->second_ns) {
		a->filling = a->session.fills != a->sampled_fills;
		a->sampled_fills = a->session.fills;
	} else if (!a->filling) {
		return;
	}
	if (session_call(&a->session, DOORBELL_SAMPLE, words) != DOORBELL_OK ||
		words[0] >= DOORBELL_WORDS)
		return;
	report_fill_samples(a->report, &words[1], (unsigned)words[0]);
}

static void send_report(struct agent *a)
{
	struct hints_totals totals;
	struct report_own own = {
		.version = ANNEX_VERSION,
		.uptime_ns = a->now_ns - a->started_ns,
		.policies = policies_count(a->policies),
		.targets = policies_targets(a->policies),
	};
	struct report report;

	hints_totals(a->hints, &totals);
	own.pinned = totals.pinned * RANGES_PAGE;
	own.hints_stale = totals.stale;
	report_fill(a->report, &own, a->now_ns, &report);
	(void)session_report(&a->session, &report);
}

static void new_session(struct agent *a)
{
	if (a->generation == a->session.generation)
		return;
	a->generation = a->session.generation;
	report_fill_window(
		a->report, a->session.window.first * RANGES_PAGE, a->session.window.pages);
}

void agent_turn(struct agent *a, uint64_t now_ns)
{
	bool second = now_ns >= a->second_ns;

	a->now_ns = now_ns;
	session_turn(&a->session, now_ns);
	new_session(a);
	if (second && a->session.id)
		report_fill_total(a->report, a->session.fills);
	if (now_ns >= a->sample_ns || second)
		take_samples(a);
	if (second) {
		a->second_ns = now_ns + SECOND;
		processes_turn(a->processes);
		notify_send("WATCHDOG=1");
	}
	hints_turn(a->hints, now_ns);
	policies_turn(a->policies, now_ns);
	report_fill_scan(a->report, now_ns);
	if (second)
		send_report(a);
	serve_message(a);
	if (a->socket)
		socket_turn(a->socket, now_ns);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t agent_deadline(const struct agent *a)
{
	uint64_t next = earlier(a->second_ns, session_deadline(&a->session));

	next = earlier(next, hints_deadline(a->hints));
	next = earlier(next, policies_deadline(a->policies));
	if (a->filling)
		next = earlier(next, a->sample_ns);
	if (a->socket && socket_waiting(a->socket))
		next = earlier(next, a->now_ns + SOCKET);
	return next;
}

static void take_signals(struct agent *a)
{
	struct signalfd_siginfo signal;

	while (read(a->signals, &signal, sizeof(signal)) == (ssize_t)sizeof(signal)) {
		if (signal.ssi_signo == SIGHUP)
			agent_reload(a);
		else
			a->stopping = true;
	}
}

/* Until the deadline, or until there is something to read. */
static void wait_for_work(struct agent *a)
{
	struct pollfd fds[] = {
		{.fd = a->signals, .events = POLLIN},
		{.fd = hints_descriptor(a->hints), .events = POLLIN},
		{.fd = a->socket ? socket_fd(a->socket) : -1, .events = POLLIN},
	};
	uint64_t now = agent_now(), until = agent_deadline(a);
	struct timespec left = {0};

	if (until > now) {
		left.tv_sec = (time_t)((until - now) / SECOND);
		left.tv_nsec = (long)((until - now) % SECOND);
	}
	if (ppoll(fds, sizeof(fds) / sizeof(fds[0]), &left, NULL) > 0 && fds[0].revents)
		take_signals(a);
}

int agent_run(struct agent *a)
{
	agent_turn(a, agent_now());
	notify_send("READY=1");
	while (!a->stopping && !a->session.refused) {
		wait_for_work(a);
		agent_turn(a, agent_now());
	}
	notify_send("STOPPING=1");
	return a->session.refused ? 1 : 0;
}

int agent_run_once(struct agent *a)
{
	uint64_t end = agent_now() + ONCE_NS;

	/* The first turn finds the processes, the second sends what is for them. */
	for (unsigned turn = 0; !a->stopping && !a->session.refused; turn++) {
		agent_turn(a, agent_now());
		if (!a->session.id)
			return 1;
		if (turn > 0 && processes_passes(a->processes) && !hints_busy(a->hints))
			return 0;
		if (a->now_ns >= end)
			break;
		if (!processes_passes(a->processes))
			a->second_ns = a->now_ns; /* more than a turn's processes */
		wait_for_work(a);
	}
	log_line(LOG_ERR, "not all hints were sent");
	return 1;
}
