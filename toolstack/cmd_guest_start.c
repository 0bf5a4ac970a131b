/* SPDX-License-Identifier: MIT */
/* annex guest start */
#include <stdio.h>
#include "toolstack/connect.h"
#include "toolstack/guest.h"
#include "toolstack/output.h"

static int run(struct annex *annex, int count, char **arguments)
{
	virDomainPtr domain = connect_guest(annex, arguments[0]);
	struct guest guest;
	char advice[160];
	int code;

	if (!domain)
		return (int)error_code();
	code = guest_read(domain, &guest);
	if (!code && virDomainIsActive(domain) > 0)
		code = error_set(ERROR_FAILED, "guest '%s' is %s already", guest.name, guest.state);
	else if (!code && virDomainCreate(domain) < 0) {
		snprintf(advice, sizeof(advice),
			"Its bridge is %s (ip link show %s); its files are those that annex guest "
			"show "
			"names",
			guest.wish.bridge, guest.wish.bridge);
		code = connect_failed("the guest does not start", advice);
	}
	if (!code && !output_answer(
			     annex, json_pack("{s:s,s:s}", "name", guest.name, "state", "running")))
		printf("Guest '%s' started. virsh console %s shows its console.\n", guest.name,
			guest.name);
	guest_free(&guest);
	virDomainFree(domain);
	return code;
}

const struct command cmd_guest_start = {
	.name = "guest start",
	.arguments = "NAME",
	.summary = "Start a guest, as virsh start does",
	.minimum = 1,
	.maximum = 1,
	.run = run,
};
