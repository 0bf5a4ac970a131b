/* SPDX-License-Identifier: MIT */
/* annex server forget */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/connect.h"
#include "toolstack/forget.h"
#include "toolstack/guest.h"
#include "toolstack/output.h"

struct search {
	const char *text; /* what the user gave */
	uint64_t tenant;
	bool found; /* as a guest */
};

static bool parse_tenant(const char *text, uint64_t *tenant)
{
	if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
		return false;
	*tenant = strtoull(text, NULL, 16);
	return true;
}

static int by_name(const struct guest *guest, void *context)
{
	struct search *search = context;

	if (!strcmp(guest->name, search->text) || !strcmp(guest->uuid, search->text)) {
		search->tenant = domain_tenant(guest->uuid);
		search->found = true;
	}
	return 0;
}

static int not_running(const struct guest *guest, void *context)
{
	const struct search *search = context;

	if (domain_tenant(guest->uuid) != search->tenant || !strcmp(guest->state, "shut off"))
		return 0;
	return error_set(ERROR_REFUSED,
		"tenant %016llx is guest '%s', which is %s: its far memory would be lost under it. "
		"Stop it first: annex guest stop %s",
		(unsigned long long)search->tenant, guest->name, guest->state, guest->name);
}

static int find_tenant(struct annex *annex, struct search *search)
{
	int code = guest_each(annex, by_name, search);

	if (code)
		return code;
	if (!search->found && !parse_tenant(search->text, &search->tenant))
		return error_set(ERROR_NOT_FOUND,
			"'%s' is neither a guest here nor a tenant. A tenant is 16 hexadecimal "
			"digits, as annex guest show and annex server show name it",
			search->text);
	return guest_each(annex, not_running, search);
}

static int run(struct annex *annex, int count, char **arguments)
{
	const struct registry_server *server;
	struct search search = {.text = arguments[1]};
	struct registry registry;
	char tenant[17];
	bool known = false;
	int code = registry_load(&registry, annex->state);

	if (code)
		return code;
	server = registry_get(&registry, arguments[0]);
	code = server ? find_tenant(annex, &search) : (int)error_code();
	if (!code)
		code = forget_tenant(annex, server, search.tenant, &known);
	registry_free(&registry);
	snprintf(tenant, sizeof(tenant), "%016llx", (unsigned long long)search.tenant);
	if (!code && !output_answer(annex, json_pack("{s:s,s:s,s:b}", "name", arguments[0],
						   "tenant", tenant, "known", (int)known)))
		printf(known ? "Server '%s' has forgotten tenant %s; what it held is free.\n"
			     : "Server '%s' knows no tenant %s; nothing was to be freed.\n",
			arguments[0], tenant);
	return code;
}

const struct command cmd_server_forget = {
	.name = "server forget",
	.arguments = "NAME TENANT|GUEST",
	.summary = "Free on a memory server what a tenant has there",
	.details =
		"For a guest that is gone or off: annex guest undefine does it by itself where it\n"
		"can. A provisioned server is told through its domain, another one over ssh "
		"(annex\n"
		"server add --ssh). Refused while a guest of the tenant runs here; one that runs "
		"on\n"
		"another machine is not known here, and would be stopped.\n",
	.minimum = 2,
	.maximum = 2,
	.run = run,
};
