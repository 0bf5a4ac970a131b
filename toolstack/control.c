/* SPDX-License-Identifier: MIT */
#include <libvirt/virterror.h>
#include <stdlib.h>
#include "toolstack/appliance.h"
#include "toolstack/connect.h"
#include "toolstack/control.h"
#include "toolstack/manage.h"
#include "toolstack/server.h"

static const struct manage_peer appliance = {
	.alias = APPLIANCE_CONTROL,
	.port = "control port of",
	.who = "init of",
	.missing = "The server was provisioned by an older annex; remove and provision it anew, or "
		   "restart its domain: its pool is free then",
	.silent = "Its console's log, named by annex server show, may tell why",
	.patience = 10,
};

int control_ask(struct annex *annex, const struct registry_server *server, const char *command,
	json_t **result, bool *runs)
{
	char *name = server_domain_name(server->name);
	virDomainPtr domain = NULL;
	int active = 0, code = connect_open(annex);

	*result = NULL;
	if (!code) {
		domain = virDomainLookupByName(annex->connection, name);
		if (!domain && virGetLastErrorCode() != VIR_ERR_NO_DOMAIN)
			code = connect_failed("cannot look up the server's domain", NULL);
	}
	if (domain)
		active = virDomainIsActive(domain);
	if (active < 0)
		code = connect_failed(
			"libvirt does not say whether the server's domain runs", NULL);
	*runs = active > 0;
	if (*runs)
		code = manage_ask_peer(domain, &appliance, command, result);
	if (domain)
		virDomainFree(domain);
	free(name);
	return code;
}
