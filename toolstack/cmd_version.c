/* SPDX-License-Identifier: MIT */
/* annex version */
#include <stdio.h>
#include "annex/config.h"
#include "annex/manage.h"
#include "annex/rpc.h"
#include "toolstack/output.h"

static int run(struct annex *annex, int count, char **arguments)
{
	unsigned long libvirt = 0;

	virGetVersion(&libvirt, NULL, NULL);
	if (!output_answer(annex, json_pack("{s:s,s:i,s:i,s:s}", "annex", ANNEX_VERSION,
					  "management", MANAGE_VERSION, "fabric", (int)RPC_VERSION,
					  "metadata", ANNEX_NAMESPACE)))
		printf("annex %s (management protocol %d, fabric protocol %u, metadata %s, libvirt "
		       "%lu.%lu.%lu)\n",
			ANNEX_VERSION, MANAGE_VERSION, RPC_VERSION, ANNEX_NAMESPACE,
			libvirt / 1000000, libvirt / 1000 % 1000, libvirt % 1000);
	return 0;
}

const struct command cmd_version = {
	.name = "version",
	.arguments = "",
	.summary = "Print the versions of annex and of what it speaks",
	.run = run,
};
