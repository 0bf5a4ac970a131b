/* SPDX-License-Identifier: MIT */
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/connect.h"
#include "toolstack/guest.h"
#include "toolstack/size.h"
#include "toolstack/xml.h"

/* The document of that text, which is freed; NULL with an error set, also if there is no text. */
static xmlDoc *document(virDomainPtr domain, char *text)
{
	xmlDoc *doc;

	if (!text) {
		connect_failed("cannot read the domain's XML", NULL);
		return NULL;
	}
	doc = xml_parse(text, strlen(text), virDomainGetName(domain));
	free(text);
	return doc;
}

int guest_read(virDomainPtr domain, struct guest *guest)
{
	xmlDoc *doc = document(domain, virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE));
	xmlNode *root, *far;
	int code;

	*guest = (struct guest){0};
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

struct visitor {
	int (*visit)(const struct guest *guest, void *context);
	void *context;
};

static int visit_readable(virDomainPtr domain, void *context)
{
	const struct visitor *visitor = context;
	struct guest guest;
	int code = 0;

	if (!connect_is_guest(domain))
		return 0;
	if (guest_read(domain, &guest))
		error_clear();
	else
		code = visitor->visit(&guest, visitor->context);
	guest_free(&guest);
	return code;
}

int guest_each(
	struct annex *annex, int (*visit)(const struct guest *guest, void *context), void *context)
{
	struct visitor visitor = {visit, context};

	return connect_each(annex, visit_readable, &visitor);
}

/* Needs no XML: what cannot be read may run all the same. */
static int stopped(virDomainPtr domain, void *context)
{
	const uint64_t *tenant = context;
	char uuid[VIR_UUID_STRING_BUFLEN];
	const char *name = virDomainGetName(domain);
	int active;

	if (virDomainGetUUIDString(domain, uuid) < 0)
		return connect_failed("cannot tell a domain's UUID", NULL);
	if (domain_tenant(uuid) != *tenant)
		return 0;
	active = virDomainIsActive(domain);
	if (active == 0)
		return 0;
	if (active < 0)
		return error_set(ERROR_REFUSED,
			"tenant %016llx is guest '%s', and libvirt does not say whether it runs: "
			"its far memory might be lost under it. See virsh domstate %s",
			(unsigned long long)*tenant, name, name);
	return error_set(ERROR_REFUSED,
		"tenant %016llx is guest '%s', which is %s: its far memory would be lost under it. "
		"Stop it first: annex guest stop %s",
		(unsigned long long)*tenant, name, connect_state(domain), name);
}

int guest_tenant_stopped(struct annex *annex, uint64_t tenant)
{
	return connect_each(annex, stopped, &tenant);
}

/* Whether an element of ours, of any version, is in the domain's metadata. */
static bool has_wish(const xmlNode *root)
{
	static const char family[] = "urn:annex:domain:";
	const xmlNode *metadata = xml_child(root, "metadata");

	for (const xmlNode *n = metadata ? metadata->children : NULL; n; n = n->next)
		if (n->type == XML_ELEMENT_NODE && n->ns && n->ns->href &&
			!strncmp((const char *)n->ns->href, family, sizeof(family) - 1))
			return true;
	return false;
}

static int wish_names(const xmlNode *root, const char *server, bool *names)
{
	const xmlNode *far = wish_find(root);
	struct wish wish = {0};
	int code = far ? wish_parse(far, &wish) : (int)error_code();

	for (unsigned i = 0; !code && i < wish.servers; i++)
		*names |= !strcmp(wish.server[i], server);
	wish_free(&wish);
	return code;
}

int guest_names_server(virDomainPtr domain, unsigned flags, const char *server, bool *names)
{
	char *text = virDomainGetXMLDesc(domain, flags);
	xmlNode *root;
	xmlDoc *doc;
	int code = 0;

	*names = false;
	if (!text && virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
		return 0; /* ended meanwhile */
	doc = document(domain, text);
	if (!doc)
		return (int)error_code();
	root = xmlDocGetRootElement(doc);
	if (has_wish(root))
		code = wish_names(root, server, names);
	xmlFreeDoc(doc);
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
		"{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:o,s:s,s:i,s:s,s:i,s:i,s:b,s:s*,s:s*,s:s*}",
		"name", guest->name, "uuid", guest->uuid, "state", guest->state, "tenant", tenant,
		"memory", (json_int_t)guest->memory, "far", (json_int_t)wish->far, "pinned",
		(json_int_t)wish->pinned, "pcache", (json_int_t)wish->pcache, "pin",
		(json_int_t)wish->pin, "servers", servers, "address",
		size_ipv4_text(wish->address, address), "prefix", (int)wish->prefix, "bridge",
		wish->bridge, "mtu", (int)wish->mtu, "vcpus", (int)wish->vcpus, "service_core",
		wish->service_core, "kernel", wish->kernel, "initrd", wish->initrd, "cmdline",
		wish->cmdline);
}
