/* SPDX-License-Identifier: MIT */
/* annex guest list */
#include "toolstack/guest.h"
#include "toolstack/output.h"
#include "toolstack/size.h"

struct listing {
	json_t *json;
	struct output_table *table;
};

static int list_one(const struct guest *guest, void *context)
{
	struct listing *listing = context;
	char text[SIZE_TEXT_MAX];
	char servers[CONFIG_SERVERS * (CONFIG_NAME_MAX + 1)];
	size_t used = 0;

	json_array_append_new(listing->json, guest_json(guest));
	for (unsigned i = 0; i < guest->wish.servers; i++)
		used += (size_t)snprintf(servers + used, sizeof(servers) - used, "%s%s",
			i ? "," : "", guest->wish.server[i]);
	output_table_cell(listing->table, "%s", guest->name);
	output_table_cell(listing->table, "%s", guest->state);
	output_table_cell(listing->table, "%s", size_text(guest->memory, text));
	output_table_cell(listing->table, "%s", size_text(guest->wish.far, text));
	output_table_cell(listing->table, "%s", servers);
	return 0;
}

static int run(struct annex *annex, int count, char **arguments)
{
	static const char *const heads[] = {"NAME", "STATE", "LOCAL", "FAR", "SERVERS"};
	struct listing listing = {json_array(), output_table_new(5)};
	int code;

	for (unsigned i = 0; i < 5; i++)
		output_table_cell(listing.table, "%s", heads[i]);
	code = guest_each(annex, list_one, &listing);
	if (code) {
		json_decref(listing.json);
		return code;
	}
	if (!output_answer(annex, json_pack("{s:o}", "guests", listing.json)))
		output_table_end(listing.table);
	return 0;
}

const struct command cmd_guest_list = {
	.name = "guest list",
	.arguments = "",
	.summary = "List the domains that have far memory",
	.run = run,
};
