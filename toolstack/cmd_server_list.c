/* SPDX-License-Identifier: MIT */
/* annex server list */
#include <stdio.h>
#include "toolstack/output.h"
#include "toolstack/server.h"
#include "toolstack/size.h"

static int run(struct annex *annex, int count, char **arguments)
{
	static const char *const heads[] = {"NAME", "ADDRESS", "POOL", "STATE"};
	struct output_table *table;
	struct registry registry;
	json_t *all = json_array();
	int code = registry_load(&registry, annex->state);

	if (code) {
		json_decref(all);
		return code;
	}
	table = output_table_new(4);
	for (unsigned i = 0; i < 4; i++)
		output_table_cell(table, "%s", heads[i]);
	for (size_t i = 0; i < registry.count; i++) {
		const struct registry_server *s = &registry.server[i];
		char text[SIZE_TEXT_MAX];
		json_t *status;
		const char *state = server_state(annex, s, &status);

		json_array_append_new(all, server_json(s, state));
		json_decref(status);
		output_table_cell(table, "%s", s->name);
		output_table_cell(table, "%s:%u", size_ipv4_text(s->address, text), s->port);
		output_table_cell(table, "%s", s->pool ? size_text(s->pool, text) : "unknown");
		output_table_cell(table, "%s%s", state, s->provisioned ? " (provisioned)" : "");
	}
	if (!output_answer(annex, json_pack("{s:o}", "servers", all)))
		output_table_end(table);
	registry_free(&registry);
	return 0;
}

const struct command cmd_server_list = {
	.name = "server list",
	.arguments = "",
	.summary = "List the memory servers that annex knows",
	.run = run,
};
