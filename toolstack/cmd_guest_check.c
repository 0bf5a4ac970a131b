/* SPDX-License-Identifier: MIT */
/* annex guest check: annex-agent check, as the guest's agent sees it, from outside. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/connect.h"
#include "toolstack/message.h"
#include "toolstack/output.h"

static uint64_t timeout = MESSAGE_PATIENCE;

static const struct option_spec options[] = {
	{"timeout", "SECONDS", "how long to wait for the agent's reply (default 5)", OPTION_NUMBER,
		&timeout},
	{NULL, NULL, NULL, OPTION_FLAG, NULL},
};

struct checks {
	struct output_table *table;
	json_t *json;
	unsigned failed;
};

/* "STATE NAME: TEXT" */
static bool take_line(struct checks *checks, char *line)
{
	static const char *const states[] = {"ok", "warn", "fail", "skip"};
	char *name = strchr(line, ' '), *text = name ? strstr(name, ": ") : NULL;

	if (!text || text == name + 1)
		return false;
	*name++ = '\0';
	*text = '\0';
	text += 2;
	for (unsigned i = 0; i < 4; i++) {
		if (strcmp(line, states[i]))
			continue;
		checks->failed += i == 2;
		output_table_cell(checks->table, "%s", line);
		output_table_cell(checks->table, "%s", name);
		output_table_cell(checks->table, "%s", text);
		json_array_append_new(checks->json,
			json_pack("{s:s,s:s,s:s}", "state", line, "name", name, "text", text));
		return true;
	}
	return false;
}

/* The reply's lines; a first line "ok" alone says nothing more. Each line is cut up in place. */
static int take(struct checks *checks, const char *guest, char *reply)
{
	char *rest = reply, *line;
	bool first = true;

	if (!strncmp(reply, "error: ", 7))
		return message_verdict(guest, reply);
	while ((line = strsep(&rest, "\n"))) {
		if (!take_line(checks, line) && !(first && !strcmp(line, "ok")))
			return error_set(ERROR_FAILED,
				"the agent of guest '%s' replied to 'check' what this annex does "
				"not "
				"understand: '%.200s'. Is its version another one? annex guest "
				"show %s",
				guest, line, guest);
		first = false;
	}
	if (!json_array_size(checks->json))
		return error_set(
			ERROR_FAILED, "the agent of guest '%s' has checked nothing", guest);
	return 0;
}

/* An agent whose numbers cannot be believed is not asked how well all is. */
static int trusted(virDomainPtr domain)
{
	struct agent agent;
	char advice[400];
	int code = message_ready(domain, &agent);

	if (code || agent.state == AGENT_ALIVE)
		return code;
	agent_advice(&agent, advice, sizeof(advice));
	return error_set(ERROR_REFUSED, "the agent of guest '%s' is %s: %s",
		virDomainGetName(domain), agent_name(agent.state), advice);
}

static int run(struct annex *annex, int count, char **arguments)
{
	struct checks checks = {output_table_new(3), json_array(), 0};
	virDomainPtr domain;
	char *reply = NULL;
	int code;

	if (timeout < 1 || timeout > 3600)
		return error_set(ERROR_USAGE, "--timeout is 1 to 3600 seconds");
	domain = connect_guest(annex, arguments[0]);
	if (!domain)
		return (int)error_code();
	code = trusted(domain);
	if (!code)
		code = message_send(domain, "check", timeout, &reply);
	if (!code)
		code = take(&checks, arguments[0], reply);
	free(reply);
	virDomainFree(domain);
	if (code)
		return code;
	if (!output_answer(annex, json_pack("{s:s,s:o,s:i}", "name", arguments[0], "checks",
					  checks.json, "failed", (int)checks.failed)))
		output_table_end(checks.table);
	if (!checks.failed)
		return 0;
	/* The table is the answer; with --json nothing may follow it. */
	if (annex->json)
		exit(ERROR_FAILED);
	return error_set(
		ERROR_FAILED, "%u of the checks failed; each line says what to do", checks.failed);
}

const struct command cmd_guest_check = {
	.name = "guest check",
	.arguments = "NAME",
	.summary = "Ask a guest's agent whether the guest is set up right for far memory",
	.details = "The lines of annex-agent check, which the agent runs in the guest: ok, warn, "
		   "fail\n"
		   "or skip, what was looked at, and what to do. Exits with 1 if one failed.\n",
	.options = options,
	.minimum = 1,
	.maximum = 1,
	.run = run,
};
