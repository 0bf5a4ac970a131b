/* SPDX-License-Identifier: MIT */
/* annex guest undefine */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "toolstack/connect.h"
#include "toolstack/files.h"
#include "toolstack/forget.h"
#include "toolstack/guest.h"
#include "toolstack/output.h"

static bool keep_far;

static const struct option_spec options[] = {
	{"keep-far", NULL,
		"tell no server: the tenant's far memory stays, as for a guest that moved",
		OPTION_FLAG, &keep_far},
	{NULL, NULL, NULL, OPTION_FLAG, NULL},
};

static int remove_files(const struct annex *annex, const struct guest *guest)
{
	char *directory = files_path("%s/guests/%s", annex->state, guest->uuid);
	char *keep = files_path("/dev/shm/annex-%s", guest->uuid);
	int code = files_remove(directory);

	unlink(keep); /* QEMU leaves it behind; see add_keep() in domain.c */
	free(keep);
	free(directory);
	return code;
}

/* What one server still keeps for the guest that is no more; a failure is a warning. */
static json_t *free_one(
	struct annex *annex, const struct registry *registry, const char *name, uint64_t tenant)
{
	const struct registry_server *server = registry_get(registry, name);
	bool known = false;
	int code = server ? forget_tenant(annex, server, tenant, &known) : (int)error_code();
	json_t *row = json_pack("{s:s,s:b,s:s*}", "name", name, "free", code == 0, "reason",
		code ? error_text() : NULL);

	if (code && server)
		output_warning(annex,
			"what the guest had on server '%s' stays promised to it: %s. Then, or "
			"later: annex server forget %s %016llx",
			name, error_text(), name, (unsigned long long)tenant);
	else if (code)
		output_warning(annex, "what the guest had on server '%s' stays there: %s", name,
			error_text());
	error_clear();
	return row;
}

static json_t *free_servers(struct annex *annex, const struct guest *guest)
{
	json_t *rows = json_array();
	struct registry registry;

	if (registry_load(&registry, annex->state)) {
		output_warning(annex, "no server was told that guest '%s' is no more: %s",
			guest->name, error_text());
		error_clear();
		return rows;
	}
	for (unsigned i = 0; i < guest->wish.servers; i++)
		json_array_append_new(rows, free_one(annex, &registry, guest->wish.server[i],
						    domain_tenant(guest->uuid)));
	registry_free(&registry);
	return rows;
}

static int undefine(struct annex *annex, virDomainPtr domain, const struct guest *guest)
{
	int active = virDomainIsActive(domain), code;

	if (active < 0)
		return connect_failed("libvirt does not say whether the guest runs", NULL);
	if (active)
		return error_set(ERROR_FAILED,
			"guest '%s' is %s. Stop it first: annex guest stop %s", guest->name,
			connect_state(domain), guest->name);
	code = guest_tenant_stopped(annex, domain_tenant(guest->uuid));
	if (code)
		return code;
	if (virDomainUndefineFlags(domain, VIR_DOMAIN_UNDEFINE_MANAGED_SAVE |
						   VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
						   VIR_DOMAIN_UNDEFINE_NVRAM) < 0)
		return connect_failed("libvirt does not undefine the domain", NULL);
	/* Started between the two: it is a transient domain now, and needs its memory. */
	if (guest_tenant_stopped(annex, domain_tenant(guest->uuid)))
		return error_set(ERROR_FAILED,
			"guest '%s' was started meanwhile; it is undefined and may run on",
			guest->name);
	return 0;
}

static int run(struct annex *annex, int count, char **arguments)
{
	virDomainPtr domain = connect_guest(annex, arguments[0]);
	json_t *servers = NULL;
	struct guest guest;
	int code;

	if (!domain)
		return (int)error_code();
	code = guest_read(domain, &guest);
	if (!code)
		code = undefine(annex, domain, &guest);
	if (!code) {
		servers = keep_far ? json_array() : free_servers(annex, &guest);
		code = remove_files(annex, &guest);
	}
	if (!code && !output_answer(annex, json_pack("{s:s,s:s,s:O}", "name", guest.name, "state",
						   "undefined", "servers", servers)))
		printf("Guest '%s' undefined; its disks%s kernel files%s are left.\n", guest.name,
			keep_far ? "," : " and", keep_far ? " and far memory" : "");
	json_decref(servers);
	guest_free(&guest);
	virDomainFree(domain);
	return code;
}

const struct command cmd_guest_undefine = {
	.name = "guest undefine",
	.arguments = "NAME",
	.summary = "Forget a guest that is shut off, annex's files of it, and its far memory",
	.details =
		"Its memory servers are told to free what they promised to it and what it held\n"
		"(annex server forget). One that cannot be told is named in a warning, with what\n"
		"to run; the guest is undefined all the same.\n\n"
		"This ends the tenant everywhere. A guest with this UUID that runs on another\n"
		"machine is the same tenant: it loses its far memory, and stops. When the guest\n"
		"has moved there, and only its old definition is to go, use --keep-far.\n",
	.options = options,
	.minimum = 1,
	.maximum = 1,
	.run = run,
};
