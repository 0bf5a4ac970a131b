/* SPDX-License-Identifier: MIT */
/* annex guest hint: a hint or a policy for the agent in a guest, sent through its VMM. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "annex/doorbell.h"
#include "toolstack/connect.h"
#include "toolstack/message.h"
#include "toolstack/output.h"
#include "toolstack/size.h"

static uint64_t max;
static uint64_t timeout = MESSAGE_PATIENCE;
static const char *policy, *number;
static bool list;

static const struct option_spec options[] = {
	{"max", "SIZE", "at most so much of what the selector means, a multiple of 4K", OPTION_SIZE,
		&max},
	{"policy", "LINE", "add LINE, as in the agent's agent.conf, until it ends", OPTION_TEXT,
		&policy},
	{"list", NULL, "the agent's policies, numbered", OPTION_FLAG, &list},
	{"remove", "N", "take policy N away, until the agent starts again", OPTION_TEXT, &number},
	{"timeout", "SECONDS", "how long to wait for the agent's reply (default 5)", OPTION_NUMBER,
		&timeout},
	{NULL, NULL, NULL, OPTION_FLAG, NULL},
};

static int build_policy(char *out)
{
	char text[512];
	int code = message_check("--policy", policy);

	if (code)
		return code;
	snprintf(text, sizeof(text), "policy add %s", policy);
	code = message_check("--policy", text);
	if (!code)
		memcpy(out, text, strlen(text) + 1);
	return code;
}

static int build_remove(char *out)
{
	uint64_t n;

	if (!size_number(number, 1, UINT32_MAX, &n))
		return error_set(ERROR_USAGE,
			"--remove=%s is no number of a policy. --list numbers them, from 1 on",
			number);
	snprintf(out, DOORBELL_MESSAGE_MAX + 1, "policy remove %llu", (unsigned long long)n);
	return 0;
}

/* What is asked for, as one message; out has DOORBELL_MESSAGE_MAX + 1 bytes. */
static int build(int count, char **arguments, char *out)
{
	int wanted = (count > 1) + (policy != NULL) + list + (number != NULL);

	if (wanted != 1)
		return error_set(ERROR_USAGE, "give one of: a hint (pin, unpin, prefetch or cold, "
					      "and a SELECTOR), --policy, "
					      "--list, --remove. See annex guest hint --help");
	if (max && count == 1)
		return error_set(
			ERROR_USAGE, "--max belongs to a hint. In --policy write max=SIZE");
	if (max && count > 1 && !strcmp(arguments[1], "unpin"))
		return error_set(ERROR_USAGE, "unpin ends the whole pin. Leave --max out");
	if (timeout < 1 || timeout > 3600)
		return error_set(ERROR_USAGE, "--timeout is 1 to 3600 seconds");
	if (policy)
		return build_policy(out);
	if (number)
		return build_remove(out);
	if (list) {
		memcpy(out, "policies", sizeof("policies"));
		return 0;
	}
	if (count == 2)
		return error_set(ERROR_USAGE,
			"'%s' needs a SELECTOR: unit=, cgroup=, comm=, exe=, user=, pid= or file=, "
			"such as unit=redis.service",
			arguments[1]);
	return message_hint(arguments[1], arguments + 2, count - 2, max, out);
}

static int ask(struct annex *annex, virDomainPtr domain, const char *message, char **reply)
{
	struct agent agent;
	char advice[400];
	int code = message_ready(domain, &agent);

	if (code)
		return code;
	agent_advice(&agent, advice, sizeof(advice));
	if (agent.state != AGENT_ALIVE)
		output_warning(
			annex, "the guest's agent is %s: %s", agent_name(agent.state), advice);
	code = message_send(domain, message, timeout, reply);
	return code ? code : message_verdict(virDomainGetName(domain), *reply);
}

static int run(struct annex *annex, int count, char **arguments)
{
	char message[DOORBELL_MESSAGE_MAX + 1], *reply = NULL;
	int code = build(count, arguments, message);
	virDomainPtr domain = code ? NULL : connect_guest(annex, arguments[0]);

	if (!domain)
		return (int)error_code();
	code = ask(annex, domain, message, &reply);
	if (!code && !output_answer(annex, json_pack("{s:s,s:s,s:s}", "name", arguments[0],
						   "message", message, "reply", reply)))
		puts(strncmp(reply, "ok\n", 3) ? reply : reply + 3);
	free(reply);
	virDomainFree(domain);
	return code;
}

const struct command cmd_guest_hint = {
	.name = "guest hint",
	.arguments = "NAME [pin|unpin|prefetch|cold SELECTOR...]",
	.summary = "Tell a guest's agent which memory is worth holding",
	.details =
		"SELECTOR says whose memory is meant, in the guest: unit=redis.service,\n"
		"cgroup=/system.slice/redis.service, comm=redis-server,\n"
		"exe=/usr/bin/redis-server, user=redis, pid=4711 (and with it\n"
		"address=0x7f0000000000 length=2M) or file=/var/lib/db/main, a file's page cache.\n"
		"All of several must fit.\n\n"
		"  pin       filled, and not evicted until unpin or the agent's end, within the\n"
		"            budget that <annex:pin max='...'/> sets\n"
		"  unpin     as any other memory again\n"
		"  prefetch  filled in the background\n"
		"  cold      evicted before others\n\n"
		"A hint acts once; a policy as processes come and go. The agent's reply is "
		"printed;\n"
		"one that begins with \"error:\" ends with exit code 1, none at all with 5.\n",
	.options = options,
	.minimum = 1,
	.maximum = 8,
	.run = run,
};
