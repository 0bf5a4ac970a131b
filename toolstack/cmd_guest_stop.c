/* SPDX-License-Identifier: MIT */
/* annex guest stop */
#include <stdio.h>
#include <unistd.h>
#include "toolstack/connect.h"
#include "toolstack/output.h"

static bool force;
static uint64_t patience = 60;

static const struct option_spec options[] = {
	{"force", NULL, "pull the plug, as virsh destroy does", OPTION_FLAG, &force},
	{"timeout", "SECONDS", "how long the guest may take to shut down (default: 60)",
		OPTION_NUMBER, &patience},
	{NULL, NULL, NULL, OPTION_FLAG, NULL},
};

static int shut_down(virDomainPtr domain, const char *name)
{
	if (virDomainShutdown(domain) < 0)
		return connect_failed("the guest cannot be told to shut down",
			"annex guest stop --force ends it at once");
	for (uint64_t tenths = 0; tenths < patience * 10; tenths++) {
		if (virDomainIsActive(domain) <= 0)
			return 0;
		usleep(100000);
	}
	return error_set(ERROR_FAILED,
		"guest '%s' still runs %llu s after it was told to shut down. Wait longer with "
		"--timeout, or end it with --force",
		name, (unsigned long long)patience);
}

static int run(struct annex *annex, int count, char **arguments)
{
	virDomainPtr domain = connect_guest(annex, arguments[0]);
	int code = 0;

	if (!domain)
		return (int)error_code();
	if (virDomainIsActive(domain) <= 0)
		code = error_set(ERROR_FAILED, "guest '%s' does not run", arguments[0]);
	else if (!force)
		code = shut_down(domain, arguments[0]);
	else if (virDomainDestroy(domain) < 0)
		code = connect_failed("the guest cannot be ended", NULL);
	if (!code && !output_answer(annex,
			     json_pack("{s:s,s:s}", "name", arguments[0], "state", "shut off")))
		printf("Guest '%s' stopped.\n", arguments[0]);
	virDomainFree(domain);
	return code;
}

const struct command cmd_guest_stop = {
	.name = "guest stop",
	.arguments = "NAME",
	.summary = "Ask a guest to shut down and wait for it",
	.options = options,
	.minimum = 1,
	.maximum = 1,
	.run = run,
};
