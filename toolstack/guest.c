/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/connect.h"
#include "toolstack/guest.h"
#include "toolstack/size.h"
#include "toolstack/xml.h"

int guest_read(virDomainPtr domain, struct guest *guest)
{
	char *text = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
	xmlNode *root, *far;
	xmlDoc *doc;
	int code;

	*guest = (struct guest){0};
	if (!text)
		return connect_failed("cannot read the domain's XML", NULL);
	doc = xml_parse(text, strlen(text), virDomainGetName(domain));
	free(text);
	if (!doc)
		return (int)error_code();
	root = xmlDocGetRootElement(doc);
	far = wish_find(root);
	code = far ? domain_identity(doc, guest->name, guest->uuid) : (int)error_code();
	if (!code)
		code = wish_parse(far, &guest->wish);
	guest->memory = domain_memory(root);
	guest->state = connect_state(domain);
	xmlFreeDoc(doc);
	return code;
}

void guest_free(struct guest *guest)
{
	wish_free(&guest->wish);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(virDomainGetName(*(const virDomainPtr *)a),
		virDomainGetName(*(const virDomainPtr *)b));
}

int guest_each(
	struct annex *annex, int (*visit)(const struct guest *guest, void *context), void *context)
{
	virDomainPtr *domains;
	int count, code = connect_open(annex);

	if (code)
		return code;
	count = virConnectListAllDomains(annex->connection, &domains, 0);
	if (count < 0)
		return connect_failed("cannot list the domains", NULL);
	qsort(domains, (size_t)count, sizeof(virDomainPtr), by_name);
	for (int i = 0; i < count; i++) {
		struct guest guest;

		if (!code && connect_is_guest(domains[i])) {
			if (guest_read(domains[i], &guest)) {
				error_clear();
			} else {
				code = visit(&guest, context);
				guest_free(&guest);
			}
		}
		virDomainFree(domains[i]);
	}
	free(domains);
	return code;
}

json_t *guest_json(const struct guest *guest)
{
	const struct wish *wish = &guest->wish;
	char address[SIZE_TEXT_MAX], tenant[17];
	json_t *servers = json_array();

	for (unsigned i = 0; i < wish->servers; i++)
		json_array_append_new(servers, json_string(wish->server[i]));
	snprintf(tenant, sizeof(tenant), "%016llx", (unsigned long long)domain_tenant(guest->uuid));
	return json_pack(
		"{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:o,s:s,s:i,s:s,s:i,s:i,s:b,s:s*,s:s*,s:s*}",
		"name", guest->name, "uuid", guest->uuid, "state", guest->state, "tenant", tenant,
		"memory", (json_int_t)guest->memory, "far", (json_int_t)wish->far, "pinned",
		(json_int_t)wish->pinned, "pcache", (json_int_t)wish->pcache, "servers", servers,
		"address", size_ipv4_text(wish->address, address), "prefix", (int)wish->prefix,
		"bridge", wish->bridge, "mtu", (int)wish->mtu, "vcpus", (int)wish->vcpus,
		"service_core", wish->service_core, "kernel", wish->kernel, "initrd", wish->initrd,
		"cmdline", wish->cmdline);
}
