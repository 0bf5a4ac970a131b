/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "annex/version.h"
#include "guest-agent/agent.h"
#include "guest-agent/check.h"
#include "guest-agent/message.h"
#include "guest-agent/status.h"
#include "toolstack/size.h"

#define SPACE " \t\r\n"

/* A reply under way: what does not fit is left out. */
struct reply {
	char *text;
	size_t size;
};

static void say(struct reply *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct reply *r, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(r->text, r->size, format, arguments);
	va_end(arguments);
}

static void ping(struct agent *a, char *rest, struct reply *r)
{
	say(r, "ok annex-agent %s\n", ANNEX_VERSION);
}

static void run_check(struct agent *a, char *rest, struct reply *r)
{
	struct check_annex annex = {
		.found = true,
		.far_base = a->session.window.first * RANGES_PAGE,
		.far_pages = a->session.window.pages,
	};
	struct check *check = calloc(1, sizeof(*check));

	if (!check) {
		say(r, "error: out of memory\n");
		return;
	}
	say(r, "ok\n");
	check_run(check, "", &annex);
	(void)check_text(check, r->text + 3, r->size - 3);
	free(check);
}

static void stat_all(struct agent *a, char *rest, struct reply *r)
{
	say(r, "ok\n");
	status_text(a, r->text + 3, r->size - 3);
}

static void list_policies(struct agent *a, char *rest, struct reply *r)
{
	say(r, "ok\n");
	policies_text(a->policies, r->text + 3, r->size - 3);
}

static void change_policy(struct agent *a, char *rest, struct reply *r)
{
	char error[CONFIG_ERROR], *word = strtok_r(rest, SPACE, &rest), *end;
	unsigned long number;

	if (word && strcmp(word, "add") == 0) {
		unsigned added = policies_add(a->policies, rest + strspn(rest, SPACE), error);

		if (added)
			say(r, "ok policy %u\n", added);
		else
			say(r, "error: %s\n", error);
		return;
	}
	if (word && strcmp(word, "remove") == 0 && (word = strtok_r(rest, SPACE, &rest))) {
		number = strtoul(word, &end, 10);
		if (word[0] < '0' || word[0] > '9' || *end || number > UINT32_MAX ||
			strtok_r(rest, SPACE, &rest))
			say(r, "error: policy remove takes a policy's number\n");
		else if (policies_remove(a->policies, (unsigned)number))
			say(r, "ok\n");
		else
			say(r, "error: there is no policy %lu\n", number);
		return;
	}
	say(r, "error: policy add LINE, or policy remove NUMBER\n");
}

/* SELECTOR... [max=SIZE]. False: the reply says what is wrong. */
static bool read_target(char *rest, bool sized, struct hint_request *request, struct reply *r)
{
	char error[SELECTOR_ERROR], *word;

	selector_init(&request->selector);
	request->max_pages = UINT64_MAX;
	while ((word = strtok_r(rest, SPACE, &rest))) {
		uint64_t bytes;
		int taken;

		if (sized && strncmp(word, "max=", 4) == 0) {
			if (!size_parse(word + 4, &bytes) || bytes < RANGES_PAGE) {
				say(r, "error: max: a size, as in 256M, not '%.60s'\n", word + 4);
				return false;
			}
			request->max_pages = bytes / RANGES_PAGE;
			continue;
		}
		taken = selector_word(&request->selector, word, error);
		if (taken != 0) {
			if (taken > 0)
				snprintf(error, sizeof(error),
					"'%.60s' is no selector (unit=, cgroup=, comm=, exe=, "
					"user=, "
					"pid=, address=, length=, file=)%s",
					word, sized ? " and not max=" : "");
			say(r, "error: %s\n", error);
			return false;
		}
	}
	if (selector_finish(&request->selector, error) == 0)
		return true;
	say(r, "error: %s\n", error);
	return false;
}

static void hint(struct agent *a, char *rest, struct reply *r, enum hint_kind kind)
{
	struct hint_request request = {.kind = kind, .origin = HINT_OF_OPERATOR};
	struct hint_outcome outcome;
	unsigned replaced = 0;
	char text[200];

	if (!read_target(rest, true, &request, r))
		return;
	/* Said again it replaces, and does not pin twice. */
	if (kind == HINT_PIN)
		replaced = hints_remove_selector(a->hints, HINT_OF_OPERATOR, &request.selector);
	hints_add(a->hints, &request, &outcome);
	hints_outcome_text(&outcome, text, sizeof(text));
	if (outcome.answer == HINT_DONE || outcome.answer == HINT_PENDING)
		say(r, "ok %s\n", text);
	else
		say(r, "error: %s%s\n", text, replaced ? "; the pin before it is gone" : "");
}

static void pin(struct agent *a, char *rest, struct reply *r)
{
	hint(a, rest, r, HINT_PIN);
}

static void prefetch(struct agent *a, char *rest, struct reply *r)
{
	hint(a, rest, r, HINT_PREFETCH);
}

static void cold(struct agent *a, char *rest, struct reply *r)
{
	hint(a, rest, r, HINT_COLD);
}

static void unpin(struct agent *a, char *rest, struct reply *r)
{
	struct hint_request request = {0};

	if (!read_target(rest, false, &request, r))
		return;
	if (hints_remove_selector(a->hints, HINT_OF_OPERATOR, &request.selector))
		say(r, "ok\n");
	else
		say(r, "error: the operator has no such pin; a policy's ends with policy remove\n");
}

static const struct {
	const char *name;
	void (*run)(struct agent *a, char *rest, struct reply *r);
	bool words; /* takes some */
} commands[] = {
	{"ping", ping, false},
	{"check", run_check, false},
	{"stat", stat_all, false},
	{"policies", list_policies, false},
	{"policy", change_policy, true},
	{"pin", pin, true},
	{"unpin", unpin, true},
	{"prefetch", prefetch, true},
	{"cold", cold, true},
};

void message_answer(struct agent *a, const char *line, char *reply, size_t size)
{
	struct reply r = {.text = reply, .size = size};
	char copy[CONFIG_LINE], *rest = copy, *word;

	/* Longer than any message that the doorbell carries. */
	snprintf(copy, sizeof(copy), "%s", line);
	word = strtok_r(rest, SPACE, &rest);
	for (unsigned i = 0; word && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(word, commands[i].name) != 0)
			continue;
		if (!commands[i].words && rest[strspn(rest, SPACE)])
			say(&r, "error: %s takes nothing behind it\n", word);
		else
			commands[i].run(a, rest, &r);
		return;
	}
	say(&r,
		"error: '%.60s' is none of ping, check, stat, policies, policy add, policy remove, "
		"pin, "
		"unpin, prefetch, cold\n",
		word ? word : "");
}
