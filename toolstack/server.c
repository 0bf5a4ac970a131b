/* SPDX-License-Identifier: MIT */
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/connect.h"
#include "toolstack/files.h"
#include "toolstack/http.h"
#include "toolstack/server.h"
#include "toolstack/size.h"

char *server_domain_name(const char *name)
{
	return files_path("annex-server-%s", name);
}

char *server_directory(const struct annex *annex, const char *name)
{
	return files_path("%s/servers/%s", annex->state, name);
}

static const char *domain_state(struct annex *annex, const struct registry_server *server)
{
	char *name = server_domain_name(server->name);
	virDomainPtr domain = NULL;
	const char *state = "domain missing";

	if (connect_open(annex)) {
		error_clear();
		state = "libvirt not reached";
	} else {
		domain = virDomainLookupByName(annex->connection, name);
	}
	if (domain) {
		state = connect_state(domain);
		virDomainFree(domain);
	}
	free(name);
	return state;
}

const char *server_state(struct annex *annex, const struct registry_server *server, json_t **status)
{
	const char *state = "not reached";

	*status = NULL;
	if (server->provisioned) {
		state = domain_state(annex, server);
		if (strcmp(state, "running") && strcmp(state, "libvirt not reached"))
			return state;
	}
	*status = http_status(server);
	return *status ? "serving" : state;
}

json_t *server_json(const struct registry_server *server, const char *state)
{
	char address[SIZE_TEXT_MAX];

	return json_pack("{s:s,s:s,s:i,s:i,s:b,s:I,s:s,s:s*}", "name", server->name, "address",
		size_ipv4_text(server->address, address), "port", (int)server->port, "http",
		(int)server->http, "provisioned", (int)server->provisioned, "pool",
		(json_int_t)server->pool, "state", state, "ssh",
		server->ssh[0] ? server->ssh : NULL);
}
