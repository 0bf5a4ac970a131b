/* SPDX-License-Identifier: MIT */
/* annex guest undefine */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "toolstack/connect.h"
#include "toolstack/files.h"
#include "toolstack/guest.h"
#include "toolstack/output.h"

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

static int run(struct annex *annex, int count, char **arguments)
{
	virDomainPtr domain = connect_guest(annex, arguments[0]);
	struct guest guest;
	int code;

	if (!domain)
		return (int)error_code();
	code = guest_read(domain, &guest);
	if (!code && virDomainIsActive(domain) > 0)
		code = error_set(ERROR_FAILED,
			"guest '%s' is %s. Stop it first: annex guest stop %s", guest.name,
			guest.state, guest.name);
	if (!code && virDomainUndefineFlags(domain, VIR_DOMAIN_UNDEFINE_MANAGED_SAVE |
							    VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
							    VIR_DOMAIN_UNDEFINE_NVRAM) < 0)
		code = connect_failed("libvirt does not undefine the domain", NULL);
	if (!code)
		code = remove_files(annex, &guest);
	if (!code && !output_answer(annex,
			     json_pack("{s:s,s:s}", "name", guest.name, "state", "undefined")))
		printf("Guest '%s' undefined; its disks and kernel files are left.\n", guest.name);
	guest_free(&guest);
	virDomainFree(domain);
	return code;
}

const struct command cmd_guest_undefine = {
	.name = "guest undefine",
	.arguments = "NAME",
	.summary = "Forget a guest that is shut off, and annex's files of it",
	.minimum = 1,
	.maximum = 1,
	.run = run,
};
