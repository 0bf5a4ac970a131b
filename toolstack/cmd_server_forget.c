/* SPDX-License-Identifier: MIT */
/* annex server forget */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/connect.h"
#include "toolstack/forget.h"
#include "toolstack/guest.h"
#include "toolstack/output.h"

static bool parse_tenant(const char *text, uint64_t *tenant)
{
	if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
		return false;
	*tenant = strtoull(text, NULL, 16);
	return true;
}

/* A guest's name or UUID, or a tenant. Its XML is not needed: it may be what is broken. */
static int find_tenant(struct annex *annex, const char *text, uint64_t *tenant)
{
	virDomainPtr domain = connect_domain(annex, text);
	char uuid[VIR_UUID_STRING_BUFLEN];
	int code = 0;

	if (!domain && error_code() != ERROR_NOT_FOUND)
		return (int)error_code();
	error_clear();
	if (domain && virDomainGetUUIDString(domain, uuid) < 0)
		code = connect_failed("cannot tell the domain's UUID", NULL);
	else if (domain)
		*tenant = domain_tenant(uuid);
	else if (!parse_tenant(text, tenant))
		code = error_set(ERROR_NOT_FOUND,
			"'%s' is neither a guest here nor a tenant. A tenant is 16 hexadecimal "
			"digits, as annex guest show and annex server show name it",
			text);
	if (domain)
		virDomainFree(domain);
	return code ? code : guest_tenant_stopped(annex, *tenant);
}

static int run(struct annex *annex, int count, char **arguments)
{
	const struct registry_server *server;
	struct registry registry;
	uint64_t id = 0;
	char tenant[17];
	bool known = false;
	int code = registry_load(&registry, annex->state);

	if (code)
		return code;
	server = registry_get(&registry, arguments[0]);
	code = server ? find_tenant(annex, arguments[1], &id) : (int)error_code();
	if (!code)
		code = forget_tenant(annex, server, id, &known);
	registry_free(&registry);
	snprintf(tenant, sizeof(tenant), "%016llx", (unsigned long long)id);
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
