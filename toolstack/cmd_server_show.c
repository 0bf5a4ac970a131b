/* SPDX-License-Identifier: MIT */
/* annex server show */
#include <stdio.h>
#include <stdlib.h>
#include "toolstack/output.h"
#include "toolstack/server.h"
#include "toolstack/size.h"

static void print(struct annex *annex, const struct registry_server *s, const char *state,
	const json_t *status)
{
	char text[SIZE_TEXT_MAX];
	char *page;

	printf("name:        %s\naddress:     %s:%u\nstate:       %s\n", s->name,
		size_ipv4_text(s->address, text), s->port, state);
	printf("pool:        %s\n", s->pool ? size_text(s->pool, text) : "unknown");
	if (s->provisioned) {
		char *directory = server_directory(annex, s->name);

		printf("domain:      annex-server-%s\nconsole log: %s/console.log\n", s->name,
			directory);
		free(directory);
	}
	if (s->ssh[0])
		printf("ssh:         %s\n", s->ssh);
	page = status ? json_dumps(status, JSON_INDENT(2)) : NULL;
	if (page)
		printf("status:\n%s\n", page);
	free(page);
}

static int run(struct annex *annex, int count, char **arguments)
{
	const struct registry_server *server;
	struct registry registry;
	int code = registry_load(&registry, annex->state);

	if (code)
		return code;
	server = registry_get(&registry, arguments[0]);
	if (server) {
		json_t *status, *answer;
		const char *state = server_state(annex, server, &status);

		answer = server_json(server, state);
		json_object_set_new(answer, "status", status ? json_incref(status) : json_null());
		if (!output_answer(annex, answer))
			print(annex, server, state, status);
		json_decref(status);
	} else {
		code = (int)error_code();
	}
	registry_free(&registry);
	return code;
}

const struct command cmd_server_show = {
	.name = "server show",
	.arguments = "NAME",
	.summary = "Show one memory server and, if it is reached, what it says of itself",
	.minimum = 1,
	.maximum = 1,
	.run = run,
};
