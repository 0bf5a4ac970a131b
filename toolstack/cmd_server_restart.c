/* SPDX-License-Identifier: MIT */
/* annex server restart */
#include <stdio.h>
#include "toolstack/connect.h"
#include "toolstack/control.h"
#include "toolstack/output.h"

static int restart(struct annex *annex, const struct registry_server *server)
{
	json_t *result = NULL;
	bool runs;
	int code;

	if (!server->provisioned)
		return error_set(ERROR_REFUSED,
			"server '%s' was not provisioned by annex. Run there as root: systemctl "
			"restart annex-memserver",
			server->name);
	code = control_ask(annex, server, "restart", &result, &runs);
	json_decref(result);
	if (!code && !runs)
		code = error_set(ERROR_REFUSED,
			"the machine of server '%s' is off. Start it: virsh start annex-server-%s",
			server->name, server->name);
	return code;
}

static int run(struct annex *annex, int count, char **arguments)
{
	const struct registry_server *server;
	struct registry registry;
	int code = registry_load(&registry, annex->state);

	if (code)
		return code;
	server = registry_get(&registry, arguments[0]);
	code = server ? restart(annex, server) : (int)error_code();
	registry_free(&registry);
	if (!code &&
		!output_answer(annex, json_pack("{s:s,s:b}", "name", arguments[0], "restarted", 1)))
		printf("Server '%s': its process was ended and starts again; guests wait for it "
		       "meanwhile.\n",
			arguments[0]);
	return code;
}

const struct command cmd_server_restart = {
	.name = "server restart",
	.arguments = "NAME",
	.summary = "End a memory server's process and start it again",
	.details =
		"For a server that hangs. What it holds stays in its pool, so guests lose "
		"nothing:\n"
		"whoever needs one of its pages waits until it is back, a second or two. A server\n"
		"that annex has not provisioned is its own host's to restart.\n",
	.minimum = 1,
	.maximum = 1,
	.run = run,
};
