/* SPDX-License-Identifier: MIT */
/* A memory server as annex sees it: its registry entry, its domain, its status page. */
#ifndef ANNEX_SERVER_H
#define ANNEX_SERVER_H

#include <jansson.h>
#include "toolstack/annex.h"
#include "toolstack/registry.h"

/* "annex-server-NAME", the domain of a provisioned server; malloc()ed. */
char *server_domain_name(const char *name);

/* STATE/servers/NAME, where a provisioned server's files lie; malloc()ed. */
char *server_directory(const struct annex *annex, const char *name);

/*
 * "serving" (its status page answers), the state of its domain, or "not reached". *status is its
 * status page's object or NULL (one reference for the caller).
 */
const char *server_state(
	struct annex *annex, const struct registry_server *server, json_t **status);

/* name, address, port, http, provisioned, pool, state; ssh if it is given. */
json_t *server_json(const struct registry_server *server, const char *state);

#endif
