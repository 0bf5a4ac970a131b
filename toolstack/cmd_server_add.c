/* SPDX-License-Identifier: MIT */
/* annex server add */
#include <stdio.h>
#include <string.h>
#include "annex/rpc.h"
#include "toolstack/http.h"
#include "toolstack/output.h"
#include "toolstack/registry.h"
#include "toolstack/size.h"

static uint64_t http_port = ANNEX_HTTP_PORT;
static const char *ssh_option;

static const struct option_spec options[] = {
	{"http", "PORT", "of its status page (default: 7480; 0: it has none that we reach)",
		OPTION_NUMBER, &http_port},
	{"ssh", "[USER@]HOST",
		"where annex server forget and guest undefine run annex-memserver forget",
		OPTION_TEXT, &ssh_option},
	{NULL, NULL, NULL, OPTION_FLAG, NULL},
};

static int parse(char *text, struct registry_server *server)
{
	char *colon = strchr(text, ':');
	uint64_t port = RPC_PORT;

	if (colon)
		*colon = '\0';
	if (!size_ipv4(text, &server->address))
		return error_set(ERROR_USAGE,
			"'%s' is no IPv4 address. Give the address of the server's RDMA port as "
			"A.B.C.D or "
			"A.B.C.D:PORT",
			text);
	if (colon && !size_number(colon + 1, 1, 65535, &port))
		return error_set(ERROR_USAGE, "port '%s' is none. Give 1 to 65535", colon + 1);
	if (http_port > 65535)
		return error_set(ERROR_USAGE, "--http %llu is no port. Give 0 to 65535",
			(unsigned long long)http_port);
	if (ssh_option && !registry_ssh_ok(ssh_option))
		return error_set(ERROR_USAGE,
			"--ssh '%s' is no destination. Give HOST or USER@HOST of letters, digits, "
			"'-', '_' and '.'; what else ssh must know belongs into ~/.ssh/config",
			ssh_option);
	if (ssh_option)
		snprintf(server->ssh, sizeof(server->ssh), "%s", ssh_option);
	server->port = (uint16_t)port;
	server->http = (uint16_t)http_port;
	return 0;
}

/* Adding the same server again changes it, unless it was provisioned. */
static int store(struct annex *annex, struct registry_server *server)
{
	struct registry registry;
	const struct registry_server *old, *there;
	char address[SIZE_TEXT_MAX];
	int code = registry_lock(&registry, annex->state);

	if (code)
		return code;
	old = registry_find(&registry, server->name);
	there = registry_at(&registry, server->address);
	if (old && old->provisioned)
		code = error_set(ERROR_FAILED,
			"server '%s' was provisioned by annex. Remove it first: annex server "
			"remove %s",
			server->name, server->name);
	else if (there && there != old && there->port == server->port)
		code = error_set(ERROR_FAILED, "%s is server '%s' already",
			size_ipv4_text(server->address, address), there->name);
	if (code) {
		registry_unlock();
	} else {
		registry_put(&registry, server);
		code = registry_save(&registry, annex->state);
	}
	registry_free(&registry);
	return code;
}

static int run(struct annex *annex, int count, char **arguments)
{
	struct registry_server server = {0};
	char address[SIZE_TEXT_MAX];
	json_t *status;
	int code;

	if (!registry_name_ok(arguments[0]))
		return error_set(ERROR_USAGE,
			"'%s' is no name for a server. Use 1 to 31 letters, digits, '-', '_' or "
			"'.', a "
			"letter or digit first",
			arguments[0]);
	snprintf(server.name, sizeof(server.name), "%s", arguments[0]);
	code = parse(arguments[1], &server);
	if (code)
		return code;
	status = http_status(&server);
	server.pool = (uint64_t)json_integer_value(
		json_object_get(json_object_get(status, "pool"), "bytes"));
	code = store(annex, &server);
	if (!code && !status && server.http)
		output_warning(annex,
			"the status page of '%s' was not reached from here; the pool's "
			"size is not known",
			server.name);
	if (!code &&
		!output_answer(annex, json_pack("{s:s,s:s,s:i,s:b}", "name", server.name, "address",
					      size_ipv4_text(server.address, address), "port",
					      (int)server.port, "reached", status != NULL)))
		printf("Server '%s' added.\n", server.name);
	json_decref(status);
	return code;
}

const struct command cmd_server_add = {
	.name = "server add",
	.arguments = "NAME ADDRESS[:PORT]",
	.summary = "Make a memory server known that exists already",
	.details =
		"ADDRESS is where annex-memserver listens for RDMA connections (port 7471 unless\n"
		"given). Adding a known name again replaces what was said of it.\n",
	.options = options,
	.minimum = 2,
	.maximum = 2,
	.run = run,
};
