/* SPDX-License-Identifier: MIT */
/* annex guest show */
#include <stdio.h>
#include "toolstack/agent.h"
#include "toolstack/agent_show.h"
#include "toolstack/connect.h"
#include "toolstack/guest.h"
#include "toolstack/manage.h"
#include "toolstack/output.h"
#include "toolstack/size.h"

static void print_vmm(const json_t *status)
{
	const char *state = "", *reason = "";
	json_int_t uptime = 0, vmm = 0, total = 0;
	size_t i;
	json_t *server;

	json_unpack((json_t *)status, "{s?s,s?s,s?I,s?I,s?{s?I}}", "state", &state, "reason",
		&reason, "uptime_ns", &uptime, "vmm_bytes", &vmm, "frames", "total", &total);
	printf("VMM:         %s%s%s, up %lld s\n", state, *reason ? ": " : "", reason,
		(long long)(uptime / 1000000000));
	if (total)
		printf("page cache:  %lld frames of 4 KiB\n", (long long)total);
	json_array_foreach(json_object_get(status, "servers"), i, server)
	{
		const char *name = "", *address = "", *at = "";

		json_unpack(
			server, "{s?s,s?s,s?s}", "name", &name, "address", &address, "state", &at);
		printf("server:      %s at %s: %s\n", name, address, at);
	}
}

static void print_guest(const struct guest *guest)
{
	const struct wish *wish = &guest->wish;
	char text[SIZE_TEXT_MAX];

	printf("name:        %s\nuuid:        %s\nstate:       %s\n", guest->name, guest->uuid,
		guest->state);
	printf("tenant:      %016llx\n", (unsigned long long)domain_tenant(guest->uuid));
	printf("CPUs:        %u, %s\n", wish->vcpus,
		wish->service_core ? "and the VMM's service core" : "no service core");
	printf("local:       %s\n", size_text(guest->memory, text));
	printf("pinned:      %s\n", size_text(wish->pinned, text));
	printf("far:         %s\n", size_text(wish->far, text));
	if (wish->pin)
		printf("pin:         at most %s\n", size_text(wish->pin, text));
	for (unsigned i = 0; i < wish->servers; i++)
		printf("far server:  %s\n", wish->server[i]);
	printf("fabric:      %s/%u on %s, MTU %u\n", size_ipv4_text(wish->address, text),
		wish->prefix, wish->bridge, wish->mtu);
	printf("kernel:      %s\n", wish->kernel     ? wish->kernel
				    : wish->recorded ? "its own disk's"
						     : "(not defined by annex yet)");
	if (wish->initrd)
		printf("initrd:      %s\n", wish->initrd);
	if (wish->cmdline)
		printf("cmdline:     %s\n", wish->cmdline);
}

static int run(struct annex *annex, int count, char **arguments)
{
	virDomainPtr domain = connect_guest(annex, arguments[0]);
	json_t *status = NULL, *answer;
	struct agent agent;
	struct guest guest;
	bool heard = false;
	int code;

	if (!domain)
		return (int)error_code();
	code = guest_read(domain, &guest);
	if (code) {
		virDomainFree(domain);
		return code;
	}
	manage_hold(domain);
	/* A silent VMM is part of the answer here, not a failure of the command. */
	if (virDomainIsActive(domain) > 0 && manage_ask(domain, "status", &status)) {
		output_warning(annex, "%s", error_text());
		error_clear();
	}
	if (status && json_object_get(status, "far")) {
		heard = !agent_ask(domain, status, &agent);
		if (!heard)
			output_warning(annex, "%s", error_text());
		error_clear();
	}
	manage_release();
	answer = guest_json(&guest);
	json_object_set_new(answer, "agent", heard ? agent_show_json(&agent) : json_null());
	json_object_set_new(answer, "vmm", status ? json_incref(status) : json_null());
	if (!output_answer(annex, answer)) {
		print_guest(&guest);
		if (status)
			print_vmm(status);
		if (heard)
			agent_show_text(&agent, false);
	}
	json_decref(status);
	guest_free(&guest);
	virDomainFree(domain);
	return 0;
}

const struct command cmd_guest_show = {
	.name = "guest show",
	.arguments = "NAME",
	.summary = "Show one guest: what was asked for and, if it runs, what its VMM says",
	.minimum = 1,
	.maximum = 1,
	.run = run,
};
