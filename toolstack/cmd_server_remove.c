/* SPDX-License-Identifier: MIT */
/* annex server remove */
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/connect.h"
#include "toolstack/files.h"
#include "toolstack/guest.h"
#include "toolstack/output.h"
#include "toolstack/server.h"

static bool force;

static const struct option_spec options[] = {
	{"force", NULL, "although guests name it, and without asking libvirt if it is away",
		OPTION_FLAG, &force},
	{NULL, NULL, NULL, OPTION_FLAG, NULL},
};

/* By its definition, or by the one that it was started with. */
static int used_by(virDomainPtr domain, void *context)
{
	const char *server = context, *name = virDomainGetName(domain);
	bool running = virDomainIsActive(domain) != 0, names = false;
	int code = 0;

	if (running)
		code = guest_names_server(domain, 0, server, &names);
	if (!code && !names)
		code = guest_names_server(domain, VIR_DOMAIN_XML_INACTIVE, server, &names);
	if (code == ERROR_LIBVIRT)
		return code;
	if (code) {
		char *reason = error_memory(strdup(error_text()));

		code = error_set(ERROR_REFUSED,
			"guest '%s' (%s) may have far memory on server '%s': it cannot be read: "
			"%s. Define it anew or undefine it first, or use --force: its far memory "
			"is lost then",
			name, connect_state(domain), server, reason);
		free(reason);
	} else if (names) {
		code = error_set(ERROR_REFUSED,
			"guest '%s' (%s) has far memory on server '%s'. Undefine the guest first, "
			"or use --force: its far memory is lost then",
			name, connect_state(domain), server);
	}
	return code;
}

static int remove_domain(struct annex *annex, const char *server)
{
	char *name = server_domain_name(server);
	char *directory = server_directory(annex, server);
	virDomainPtr domain = virDomainLookupByName(annex->connection, name);
	int code = 0;

	if (!domain && virGetLastErrorCode() != VIR_ERR_NO_DOMAIN)
		code = connect_failed("cannot look up the server's domain", NULL);
	if (domain && virDomainIsActive(domain) > 0 && virDomainDestroy(domain) < 0)
		code = connect_failed("the server's domain cannot be ended", NULL);
	if (!code && domain && virDomainUndefine(domain) < 0)
		code = connect_failed("libvirt does not undefine the server's domain", NULL);
	if (!code)
		code = files_remove(directory);
	if (domain)
		virDomainFree(domain);
	free(directory);
	free(name);
	return code;
}

static int remove_server(struct annex *annex, struct registry *registry, char *name)
{
	const struct registry_server *server = registry_get(registry, name);
	int code = 0;

	if (!server)
		return (int)error_code();
	if (!force)
		code = connect_each(annex, used_by, name);
	if (!code && server->provisioned) {
		code = connect_open(annex);
		if (!code)
			code = remove_domain(annex, name);
	}
	if (!code)
		registry_drop(registry, name);
	return code;
}

static int run(struct annex *annex, int count, char **arguments)
{
	struct registry registry;
	int code = registry_lock(&registry, annex->state);

	if (code)
		return code;
	code = remove_server(annex, &registry, arguments[0]);
	if (code)
		registry_unlock();
	else
		code = registry_save(&registry, annex->state);
	registry_free(&registry);
	if (!code && !output_answer(annex,
			     json_pack("{s:s,s:s}", "name", arguments[0], "state", "removed")))
		printf("Server '%s' removed.\n", arguments[0]);
	return code;
}

const struct command cmd_server_remove = {
	.name = "server remove",
	.arguments = "NAME",
	.summary = "Forget a memory server; a provisioned one is ended and deleted",
	.options = options,
	.minimum = 1,
	.maximum = 1,
	.run = run,
};
