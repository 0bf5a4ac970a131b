/* SPDX-License-Identifier: MIT */
/* annex guest define: an ordinary domain XML becomes a guest of the VMM. */
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/connect.h"
#include "toolstack/files.h"
#include "toolstack/guest.h"
#include "toolstack/kvm.h"
#include "toolstack/output.h"
#include "toolstack/size.h"
#include "toolstack/xml.h"

#define XML_LIMIT     (4u << 20)
#define VMM_INSTALLED "/usr/lib/annex/annex-vmm.elf"

static const char *vmm_option;
static bool print_only;

static const struct option_spec options[] = {
	{"vmm", "FILE", "the VMM (default: ANNEX_VMM, beside this program, or " VMM_INSTALLED ")",
		OPTION_TEXT, &vmm_option},
	{"print", NULL, "print the domain XML instead of defining it", OPTION_FLAG, &print_only},
	{NULL, NULL, NULL, OPTION_FLAG, NULL},
};

static char *vmm_path(void)
{
	char *own = files_beside("annex-vmm.elf", VMM_INSTALLED), *path;

	if (!vmm_option)
		vmm_option = getenv("ANNEX_VMM");
	path = files_absolute(vmm_option && *vmm_option ? vmm_option : own, "the VMM",
		"Name the VMM with --vmm FILE or ANNEX_VMM");
	free(own);
	return path;
}

/* A document without UUID gets that of the domain it replaces, else a fresh one. */
static int find_uuid(struct annex *annex, const char *name, char uuid[DOMAIN_UUID_MAX])
{
	virDomainPtr old = virDomainLookupByName(annex->connection, name);
	char *random;
	size_t length;
	int code;

	if (old) {
		code = virDomainGetUUIDString(old, uuid) < 0
			       ? connect_failed("cannot read the domain's UUID", NULL)
			       : 0;
		virDomainFree(old);
		return code;
	}
	if (virGetLastErrorCode() != VIR_ERR_NO_DOMAIN)
		return connect_failed("cannot look up the domain", NULL);
	code = files_read("/proc/sys/kernel/random/uuid", 64, &random, &length);
	if (!code) {
		snprintf(uuid, DOMAIN_UUID_MAX, "%.36s", random);
		free(random);
	}
	return code;
}

struct others {
	struct annex *annex;
	const struct domain_plan *plan;
};

/* Two guests with one address would kill each other's connections, once both run. */
static int other_guest(const struct guest *guest, void *context)
{
	const struct others *others = context;
	const struct domain_plan *plan = others->plan;
	char address[SIZE_TEXT_MAX];

	if (!strcmp(guest->uuid, plan->uuid) || guest->wish.address != plan->wish.address ||
		strcmp(guest->wish.bridge, plan->wish.bridge))
		return 0;
	size_ipv4_text(plan->wish.address, address);
	if (strcmp(guest->state, "shut off"))
		return error_set(ERROR_REFUSED,
			"<annex:address> %s is that of guest '%s' on the same bridge, which is %s. "
			"Give another one",
			address, guest->name, guest->state);
	output_warning(others->annex,
		"<annex:address> %s is that of guest '%s' on the same bridge too: only one of them "
		"can run at a time",
		address, guest->name);
	return 0;
}

static int write_files(const struct domain_plan *plan)
{
	char *config = files_path("%s/config", plan->directory);
	char *cmdline = files_path("%s/cmdline", plan->directory);
	int code = files_write(config, plan->config, strlen(plan->config), 0644);

	if (!code && plan->cmdline)
		code = files_write(cmdline, plan->cmdline, strlen(plan->cmdline), 0644);
	free(config);
	free(cmdline);
	return code;
}

static int define(struct annex *annex, const struct domain_plan *plan, const char *text)
{
	virDomainPtr domain;
	char far[SIZE_TEXT_MAX];
	bool active;
	struct others others = {annex, plan};
	int code = guest_each(annex, other_guest, &others);

	if (!code)
		code = write_files(plan);
	if (code)
		return code;
	domain = virDomainDefineXML(annex->connection, text);
	if (!domain)
		return connect_failed("libvirt does not take the domain",
			"annex guest define --print shows what it was given");
	active = virDomainIsActive(domain) > 0;
	virDomainFree(domain);
	if (active)
		output_warning(annex, "guest '%s' runs; what has changed acts at its next start",
			plan->name);
	if (!output_answer(annex, json_pack("{s:s,s:s,s:s,s:I,s:b}", "name", plan->name, "uuid",
					  plan->uuid, "directory", plan->directory, "far",
					  (json_int_t)plan->wish.far, "active", (int)active)))
		printf("Guest '%s' defined: %s of far memory on %u server%s.\n", plan->name,
			size_text(plan->wish.far, far), plan->wish.servers,
			plan->wish.servers > 1 ? "s" : "");
	return 0;
}

static int transform(struct annex *annex, xmlDoc *doc, struct domain_setup setup)
{
	char uuid[DOMAIN_UUID_MAX], name[DOMAIN_NAME_MAX];
	struct domain_plan plan;
	char *text;
	int code = domain_identity(doc, name, uuid);

	if (!code && !uuid[0])
		code = find_uuid(annex, name, uuid);
	setup.uuid = uuid;
	if (!code)
		code = domain_transform(doc, &setup, &plan);
	if (code)
		return code;
	for (unsigned i = 0; i < plan.warnings; i++)
		output_warning(annex, "%s", plan.warning[i]);
	text = xml_print(doc);
	if (print_only && !output_answer(annex,
				  json_pack("{s:s,s:s,s:s,s:s?}", "name", plan.name, "xml", text,
					  "config", plan.config, "cmdline", plan.cmdline)))
		fputs(text, stdout);
	else if (!print_only)
		code = define(annex, &plan, text);
	xmlFree(text);
	domain_free(&plan);
	return code;
}

static int run(struct annex *annex, int count, char **arguments)
{
	struct registry registry;
	struct domain_setup setup = {.kvm = kvm_missing_nested(), .registry = &registry};
	char *data, *vmm, *state = NULL;
	xmlDoc *doc;
	size_t length;
	int code = files_read(arguments[0], XML_LIMIT, &data, &length);

	if (code)
		return code;
	doc = xml_parse(data, length, arguments[0]);
	free(data);
	if (!doc)
		return (int)error_code();
	vmm = vmm_path();
	code = vmm ? registry_load(&registry, annex->state) : (int)error_code();
	if (!code) {
		code = connect_open(annex);
		if (!code)
			code = connect_local(annex);
		if (!code && !print_only)
			code = files_directory(annex->state);
		state = realpath(annex->state, NULL);
		setup.vmm = vmm;
		setup.state = state ? state : annex->state;
		if (!code)
			code = transform(annex, doc, setup);
		registry_free(&registry);
	}
	free(state);
	free(vmm);
	xmlFreeDoc(doc);
	return code;
}

const struct command cmd_guest_define = {
	.name = "guest define",
	.arguments = "FILE.xml",
	.summary = "Define a libvirt domain whose memory is, in part, far",
	.details =
		"FILE.xml is an ordinary libvirt domain with one <annex:far> element in its\n"
		"<metadata> (docs/examples/guest.xml). The domain that comes out starts the VMM "
		"as\n"
		"its kernel, and the guest's kernel on top of it; without <kernel> the guest "
		"boots\n"
		"from its own disk, as on a machine without VMM. Defining the file again, or the\n"
		"output of virsh dumpxml, gives the same domain; a wish recorded in the metadata\n"
		"(<annex:wish>) goes before <vcpu>, <kernel>, <initrd> and <cmdline>.\n"
		"Save, snapshot with memory and migration of the domain are refused by QEMU.\n",
	.options = options,
	.minimum = 1,
	.maximum = 1,
	.run = run,
};
