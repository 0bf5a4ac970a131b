/* SPDX-License-Identifier: MIT */
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include "annex/manage.h"
#include "toolstack/annex.h"
#include "toolstack/connect.h"
#include "toolstack/devices.h"
#include "toolstack/manage.h"

#define TICK_MS 50

const struct manage_peer manage_vmm = {
	.alias = DEVICES_MANAGE,
	.port = "management port of guest",
	.who = "VMM of guest",
	.missing = "Was the domain defined by annex guest define?",
	.silent = "It may be starting still; virsh console shows what it says",
	.patience = 2,
};

struct exchange {
	const struct manage_peer *peer;
	virDomainPtr domain;
	virStreamPtr stream;
	char request[MANAGE_REQUEST_MAX + 2];
	size_t sent, length;
	char id[MANAGE_ID_MAX + 1];
	char line[MANAGE_ANSWER_MAX + 2];
	size_t used;
	bool overlong; /* of the line that comes in */
	bool broken;
	json_t *answer;
};

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

int manage_line(const char *line, const char *id, json_t **answer)
{
	json_t *value = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	const char *theirs = json_string_value(json_object_get(value, "id"));

	if (!theirs || strcmp(theirs, id) ||
		json_integer_value(json_object_get(value, "annex")) != MANAGE_VERSION) {
		json_decref(value);
		return 0;
	}
	*answer = value;
	return 1;
}

static void take_byte(struct exchange *x, char byte)
{
	if (byte != '\n') {
		if (x->used < sizeof(x->line) - 1)
			x->line[x->used++] = byte;
		else
			x->overlong = true;
		return;
	}
	x->line[x->used] = '\0';
	if (!x->overlong && !x->answer)
		manage_line(x->line, x->id, &x->answer);
	x->used = 0;
	x->overlong = false;
}

static void receive(struct exchange *x)
{
	char data[1024];
	int n;

	while ((n = virStreamRecv(x->stream, data, sizeof(data))) > 0)
		for (int i = 0; i < n; i++)
			take_byte(x, data[i]);
	if (n != -2) /* -2: nothing more now; 0 and -1: the port is gone */
		x->broken = true;
}

static void transmit(struct exchange *x)
{
	while (x->sent < x->length) {
		int n = virStreamSend(x->stream, x->request + x->sent, x->length - x->sent);

		if (n == -2)
			return;
		if (n < 0) {
			x->broken = true;
			return;
		}
		x->sent += (size_t)n;
	}
	virStreamEventUpdateCallback(x->stream,
		VIR_STREAM_EVENT_READABLE | VIR_STREAM_EVENT_HANGUP | VIR_STREAM_EVENT_ERROR);
}

static void on_stream(virStreamPtr stream, int events, void *context)
{
	struct exchange *x = context;

	if (events & VIR_STREAM_EVENT_READABLE)
		receive(x);
	if (events & VIR_STREAM_EVENT_WRITABLE)
		transmit(x);
	if (events & (VIR_STREAM_EVENT_HANGUP | VIR_STREAM_EVENT_ERROR))
		x->broken = true;
}

static void on_tick(int timer, void *context)
{
}

/* Opens the console; a busy one is tried again until the deadline. */
static int open_port(virDomainPtr domain, struct exchange *x, long long deadline)
{
	bool busy;

	for (;;) {
		x->stream = virStreamNew(virDomainGetConnect(domain), VIR_STREAM_NONBLOCK);
		if (!x->stream)
			return connect_failed("cannot make a libvirt stream", NULL);
		if (virDomainOpenConsole(domain, x->peer->alias, x->stream, 0) == 0)
			return 0;
		/* Freeing the stream would clear libvirt's error. */
		busy = virGetLastErrorCode() == VIR_ERR_OPERATION_FAILED;
		if (!busy)
			connect_failed("cannot open the port", x->peer->missing);
		virStreamFree(x->stream);
		x->stream = NULL;
		if (!busy)
			return (int)error_code();
		if (now() >= deadline)
			return error_set(ERROR_SILENT,
				"the %s '%s' is busy. Another annex may be talking to it; try "
				"again",
				x->peer->port, virDomainGetName(domain));
		usleep(TICK_MS * 1000);
	}
}

static int silent(virDomainPtr domain, const struct exchange *x)
{
	const char *name = virDomainGetName(domain), *state = connect_state(domain);

	if (strcmp(state, "running"))
		return error_set(ERROR_SILENT,
			"the domain '%s' is %s, so its %.*s does not answer. %s", name, state,
			(int)strcspn(x->peer->who, " "), x->peer->who,
			!strcmp(state, "paused") ? "virsh resume makes it go on"
						 : "It has to be started");
	if (x->broken)
		return error_set(ERROR_SILENT,
			"the %s '%s' was closed before an answer came. Try again", x->peer->port,
			name);
	return error_set(ERROR_SILENT, "the %s '%s' is silent: no answer in %d s. %s", x->peer->who,
		name, x->peer->patience, x->peer->silent);
}

static int converse(virDomainPtr domain, struct exchange *x)
{
	long long deadline = now() + x->peer->patience * 1000000000ll;
	int timer = virEventAddTimeout(TICK_MS, on_tick, NULL, NULL);

	if (timer < 0 || virStreamEventAddCallback(x->stream,
				 VIR_STREAM_EVENT_READABLE | VIR_STREAM_EVENT_WRITABLE |
					 VIR_STREAM_EVENT_HANGUP | VIR_STREAM_EVENT_ERROR,
				 on_stream, x, NULL) < 0) {
		if (timer >= 0)
			virEventRemoveTimeout(timer);
		return connect_failed("cannot listen to the management port", NULL);
	}
	while (!x->answer && !x->broken && now() < deadline)
		virEventRunDefaultImpl();
	virStreamEventRemoveCallback(x->stream);
	virEventRemoveTimeout(timer);
	return x->answer ? 0 : silent(domain, x);
}

static int unwrap(
	json_t *answer, const struct manage_peer *peer, const char *command, json_t **result)
{
	const char *text = json_string_value(json_object_get(answer, "error"));
	int code = 0;

	if (json_is_true(json_object_get(answer, "ok")) && json_object_get(answer, "result"))
		*result = json_incref(json_object_get(answer, "result"));
	else
		code = error_set(ERROR_FAILED, "the %.*s answered '%s' with an error: %s",
			(int)strcspn(peer->who, " "), peer->who, command,
			text ? text : "(no text)");
	json_decref(answer);
	return code;
}

/* The port that manage_hold() keeps open; NULL: none. */
static struct exchange *held;

static void close_port(struct exchange *x)
{
	if (x->stream) {
		virStreamAbort(x->stream);
		virStreamFree(x->stream);
	}
	x->stream = NULL;
	x->broken = false;
}

/* A new question; what is left of an answer that came too late is skipped by its id. */
static void prepare(struct exchange *x, const char *command)
{
	uint64_t random = 0;

	if (getrandom(&random, sizeof(random), 0) < 0)
		random = (uint64_t)now();
	snprintf(x->id, sizeof(x->id), "%016llx", (unsigned long long)random);
	/* The first \n ends what a client that died may have left unfinished. */
	x->length = (size_t)snprintf(x->request, sizeof(x->request), "\nannex/%d %s %s\n",
		MANAGE_VERSION, x->id, command);
	x->sent = 0;
	x->answer = NULL;
}

int manage_ask_peer(
	virDomainPtr domain, const struct manage_peer *peer, const char *command, json_t **result)
{
	bool kept = held && held->domain == domain && held->peer == peer;
	struct exchange *x = kept ? held : error_memory(calloc(1, sizeof(*x)));
	int code = 0;

	x->peer = peer;
	x->domain = domain;
	prepare(x, command);
	if (!x->stream)
		code = open_port(domain, x, now() + peer->patience * 1000000000ll);
	if (!code)
		code = converse(domain, x);
	if (!kept || code)
		close_port(x);
	if (!code)
		code = unwrap(x->answer, peer, command, result);
	else
		json_decref(x->answer);
	if (!kept)
		free(x);
	return code;
}

void manage_hold(virDomainPtr domain)
{
	held = error_memory(calloc(1, sizeof(*held)));
	held->peer = &manage_vmm;
	held->domain = domain;
}

void manage_release(void)
{
	if (held)
		close_port(held);
	free(held);
	held = NULL;
}

int manage_ask(virDomainPtr domain, const char *command, json_t **result)
{
	if (virDomainIsActive(domain) <= 0)
		return error_set(ERROR_SILENT,
			"guest '%s' does not run. Start it: annex guest start %s",
			virDomainGetName(domain), virDomainGetName(domain));
	return manage_ask_peer(domain, &manage_vmm, command, result);
}
