/* SPDX-License-Identifier: MIT */
/* annex guest start */
#include <stdio.h>
#include <string.h>
#include "toolstack/connect.h"
#include "toolstack/guest.h"
#include "toolstack/output.h"
#include "toolstack/size.h"

/* The VMM would find the address taken and stop the boot; this says it before. */
static int address_taken(const struct guest *other, void *context)
{
	const struct guest *guest = context;
	char address[SIZE_TEXT_MAX];

	if (!strcmp(other->uuid, guest->uuid) || other->wish.address != guest->wish.address ||
		strcmp(other->wish.bridge, guest->wish.bridge) || !strcmp(other->state, "shut off"))
		return 0;
	return error_set(ERROR_REFUSED,
		"the fabric address %s is that of guest '%s' too, which is %s. Stop that one "
		"first, or define one of them with another <annex:address>",
		size_ipv4_text(guest->wish.address, address), other->name, other->state);
}

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
	if (!code)
		code = guest_each(annex, address_taken, &guest);
	if (!code && virDomainCreate(domain) < 0) {
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
