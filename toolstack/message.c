/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "annex/doorbell.h"
#include "toolstack/error.h"
#include "toolstack/manage.h"
#include "toolstack/message.h"
#include "toolstack/printable.h"
#include "toolstack/size.h"

#define POLL_US 200000u

int message_check(const char *what, const char *text)
{
	size_t length = strlen(text);

	if (!length || strspn(text, " ") == length)
		return error_set(ERROR_USAGE, "%s is empty", what);
	if (length > DOORBELL_MESSAGE_MAX)
		return error_set(ERROR_USAGE, "%s has %zu bytes; up to %u fit", what, length,
			DOORBELL_MESSAGE_MAX);
	if (!printable_is(text, false))
		return error_set(ERROR_USAGE,
			"%s has characters that cannot be sent. Give one line of printable UTF-8",
			what);
	return 0;
}

static bool is_path(const char *value)
{
	return value[0] == '/' && !strstr(value, "//") && !strstr(value, "/../");
}

static bool is_cgroup(const char *value)
{
	return value[0] == '/' ? is_path(value) : !strstr(value, "/../");
}

static bool is_unit(const char *value)
{
	return strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			     ":_.\\@-*?") == strlen(value);
}

static bool is_comm(const char *value)
{
	return strlen(value) < 16;
}

static bool is_user(const char *value)
{
	return strlen(value) <= 32 && !strpbrk(value, ":/") && value[0] != '-';
}

static bool is_length(const char *value)
{
	uint64_t bytes;

	return size_parse(value, &bytes) && bytes;
}

/* An address as in /proc/PID/maps. */
static bool is_address(const char *value)
{
	return !strncmp(value, "0x", 2) && value[2] && strlen(value) <= 18 &&
	       strspn(value + 2, "0123456789abcdefABCDEF") == strlen(value + 2);
}

static bool is_pid(const char *value)
{
	uint64_t pid;

	return size_number(value, 1, 4194304, &pid); /* PID_MAX_LIMIT */
}

static const struct selector {
	const char *key;
	bool (*allowed)(const char *value);
	const char *rule;
} known_selectors[] = {
	{"unit", is_unit, "a systemd unit, such as redis.service"},
	{"cgroup", is_cgroup, "a cgroup's path, such as /system.slice/redis.service"},
	{"comm", is_comm, "a process name of up to 15 bytes, as ps -o comm shows it"},
	{"exe", is_path, "a program's absolute path, such as /usr/bin/redis-server"},
	{"user", is_user, "a user's name or number"},
	{"pid", is_pid, "a process id, 1 to 4194304"},
	{"address", is_address, "an address of the process pid=, such as 0x7f0000000000"},
	{"length", is_length, "bytes from address= on, such as 2M"},
	{"file", is_path, "the absolute path of a file whose page cache is meant"},
};

static int check_selector(const char *selector)
{
	const char *equals = strchr(selector, '=');

	for (size_t i = 0; equals && i < sizeof(known_selectors) / sizeof(known_selectors[0]);
		i++) {
		const struct selector *s = &known_selectors[i];

		if (strlen(s->key) != (size_t)(equals - selector) ||
			strncmp(s->key, selector, strlen(s->key)))
			continue;
		if (equals[1] && !strpbrk(equals + 1, " \t") && s->allowed(equals + 1))
			return 0;
		return error_set(ERROR_USAGE,
			"selector '%s': give %s=VALUE with %s, without blanks", selector, s->key,
			s->rule);
	}
	return error_set(ERROR_USAGE,
		"'%s' is no selector. There are unit=, cgroup=, comm=, exe=, user=, pid= (and with "
		"it "
		"address= and length=) and file=, such as unit=redis.service",
		selector);
}

/* The words one behind the other; false: more than can be sent. */
static bool join(char *out, const char *word)
{
	size_t used = strlen(out), length = strlen(word);

	if (used + (used != 0) + length > DOORBELL_MESSAGE_MAX)
		return false;
	if (used)
		out[used++] = ' ';
	memcpy(out + used, word, length + 1);
	return true;
}

int message_hint(const char *verb, char *const *selectors, int count, uint64_t max, char *out)
{
	static const char *const verbs[] = {"pin", "unpin", "prefetch", "cold"};
	char most[SIZE_TEXT_MAX + 4] = "max=";
	bool known = false, fits;

	for (unsigned i = 0; i < 4; i++)
		known |= !strcmp(verb, verbs[i]);
	if (!known)
		return error_set(ERROR_USAGE,
			"'%s' is no hint. There are pin, unpin, prefetch and cold", verb);
	if (max % 4096)
		return error_set(ERROR_USAGE, "--max is no multiple of 4K. Give one, such as 256M");
	out[0] = '\0';
	fits = join(out, verb);
	for (int i = 0; i < count; i++) {
		int code = message_check("the selector", selectors[i]);

		if (!code)
			code = check_selector(selectors[i]);
		if (code)
			return code;
		fits = fits && join(out, selectors[i]);
	}
	if (max)
		fits = fits && (size_exact(max, most + 4), join(out, most));
	return fits ? 0
		    : error_set(
			      ERROR_USAGE, "the hint has more than %u bytes", DOORBELL_MESSAGE_MAX);
}

int message_ready(virDomainPtr domain, struct agent *agent)
{
	const char *name = virDomainGetName(domain);
	json_t *status = NULL;
	char advice[400];
	int code;

	manage_hold(domain);
	code = manage_ask(domain, "status", &status);
	if (!code && !json_object_get(status, "far"))
		code = error_set(ERROR_SILENT,
			"the VMM of guest '%s' has stopped, and the agent with it. annex stat %s "
			"says why",
			name, name);
	if (!code)
		code = agent_ask(domain, status, agent);
	manage_release();
	json_decref(status);
	if (code || (agent->state != AGENT_NO_DOORBELL && agent->state != AGENT_NONE &&
			    agent->state != AGENT_SILENT && agent->state != AGENT_ENDED))
		return code;
	agent_advice(agent, advice, sizeof(advice));
	return error_set(ERROR_SILENT, "guest '%s' has no agent that would answer (%s): %s", name,
		agent_name(agent->state), advice);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int await(virDomainPtr domain, json_int_t message, uint64_t seconds, char **reply)
{
	double deadline = now() + (double)seconds;

	do {
		json_t *answer = NULL;
		int code = manage_ask(domain, "reply", &answer);
		const char *text = json_string_value(json_object_get(answer, "text"));
		json_int_t replied = json_integer_value(json_object_get(answer, "message"));

		if (!code && replied == message && text)
			*reply = error_memory(strdup(text));
		json_decref(answer);
		if (*reply || (code && code != ERROR_SILENT))
			return code;
		if (!code && replied > message)
			return error_set(ERROR_FAILED, "another message was sent to the agent "
						       "before it replied to this one. "
						       "Try again");
		usleep(POLL_US);
	} while (now() < deadline);
	return error_set(ERROR_SILENT,
		"the agent of guest '%s' did not reply in %llu s; it may do so yet, and what was "
		"asked "
		"may be done. Wait longer with --timeout, or see annex guest show %s",
		virDomainGetName(domain), (unsigned long long)seconds, virDomainGetName(domain));
}

int message_send(virDomainPtr domain, const char *text, uint64_t seconds, char **reply)
{
	char command[DOORBELL_MESSAGE_MAX + 8];
	json_t *answer = NULL;
	json_int_t message;
	size_t length;
	int code;

	*reply = NULL;
	snprintf(command, sizeof(command), "tell %s", text);
	code = manage_ask(domain, command, &answer);
	message = json_integer_value(json_object_get(answer, "message"));
	json_decref(answer);
	if (!code)
		code = await(domain, message, seconds, reply);
	if (code)
		return code;
	error_clear(); /* of a busy port meanwhile */
	printable_text(*reply, true);
	length = strlen(*reply);
	while (length && (*reply)[length - 1] == '\n')
		(*reply)[--length] = '\0';
	return 0;
}

int message_verdict(const char *guest, const char *reply)
{
	if (!strncmp(reply, "error: ", 7))
		return error_set(
			ERROR_FAILED, "the agent of guest '%s' refuses: %s", guest, reply + 7);
	if (!strncmp(reply, "ok", 2) && (!reply[2] || isspace((unsigned char)reply[2])))
		return 0;
	return error_set(ERROR_FAILED,
		"the agent of guest '%s' replied what this annex does not understand: '%.200s'. Is "
		"its "
		"version another one? annex guest show %s",
		guest, reply, guest);
}
