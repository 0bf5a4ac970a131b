/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "annex/rpc.h"
#include "toolstack/annex.h"
#include "toolstack/registry.h"
#include "toolstack/size.h"
#include "toolstack/wish.h"
#include "toolstack/xml.h"

#define EXAMPLE                                                                                    \
	"see docs/examples/guest.xml: <metadata><annex:far xmlns:annex=\"" ANNEX_NAMESPACE         \
	"\"><annex:size unit='MiB'>512</annex:size>..."

static bool ours(const xmlNode *node)
{
	return node->type == XML_ELEMENT_NODE && node->ns && node->ns->href &&
	       !strcmp((const char *)node->ns->href, ANNEX_NAMESPACE);
}

static bool other_version(const xmlNode *node)
{
	static const char family[] = "urn:annex:domain:";

	return node->type == XML_ELEMENT_NODE && node->ns && node->ns->href && !ours(node) &&
	       !strncmp((const char *)node->ns->href, family, sizeof(family) - 1);
}

xmlNode *wish_find(const xmlNode *domain)
{
	xmlNode *found = NULL, *metadata = xml_child(domain, "metadata");

	for (xmlNode *n = metadata ? metadata->children : NULL; n; n = n->next) {
		if (other_version(n)) {
			error_set(ERROR_REFUSED,
				"the metadata's namespace %s is of another version; this annex "
				"knows " ANNEX_NAMESPACE,
				(const char *)n->ns->href);
			return NULL;
		}
		if (!ours(n))
			continue;
		if (strcmp((const char *)n->name, "far")) {
			error_set(ERROR_REFUSED,
				"<annex:%s> is not known in <metadata>; the element is "
				"<annex:far>, " EXAMPLE,
				(const char *)n->name);
			return NULL;
		}
		if (found) {
			error_set(ERROR_REFUSED,
				"<metadata> has several <annex:far> elements. Keep one; it may "
				"name "
				"up to %d servers",
				CONFIG_SERVERS);
			return NULL;
		}
		found = n;
	}
	if (!found)
		error_set(ERROR_REFUSED, "the domain has no <annex:far> element in its <metadata>, "
					 "so it asks for no "
					 "far memory: " EXAMPLE);
	return found;
}

uint64_t wish_pinned_least(uint64_t far)
{
	uint64_t need = far / 128 * 3 + (64 + 128) * SIZE_MIB;

	need = (need + SIZE_MIB - 1) & ~(SIZE_MIB - 1);
	return need < 256 * SIZE_MIB ? 256 * SIZE_MIB : need;
}

static int bad(const xmlNode *node, const char *text, const char *rule)
{
	return error_set(
		ERROR_REFUSED, "<annex:%s> is '%s'. %s", (const char *)node->name, text, rule);
}

static int parse_size(const xmlNode *node, const char *text, uint64_t *bytes, uint64_t step)
{
	char rule[160], unit[SIZE_TEXT_MAX];

	if (size_scaled(text, xml_attr(node, "unit"), bytes) && *bytes && *bytes % step == 0)
		return 0;
	snprintf(rule, sizeof(rule),
		"Give a number above 0 that makes a multiple of %s; the unit attribute is KiB "
		"(default), MiB or GiB",
		size_text(step, unit));
	return bad(node, text, rule);
}

/* <annex:pin max='256M'/>: the budget of the guest's agent. */
static int parse_pin(const xmlNode *node, const char *text, struct wish *wish)
{
	const char *most = xml_attr(node, "max");

	if (*text)
		return bad(node, text, "Write <annex:pin max='256M'/>, with nothing in it");
	if (!most)
		return error_set(ERROR_REFUSED,
			"<annex:pin> has no max. Say how much far memory the guest's agent may "
			"pin: <annex:pin max='256M'/>");
	if (!size_parse(most, &wish->pin) || !wish->pin || wish->pin % (4 * SIZE_KIB))
		return error_set(ERROR_REFUSED,
			"<annex:pin> has max='%s'. Give a multiple of 4K above 0, such as 256M; "
			"without the element nothing can be pinned",
			most);
	return 0;
}

static int parse_server(const xmlNode *node, const char *text, struct wish *wish)
{
	if (wish->servers == CONFIG_SERVERS)
		return error_set(ERROR_REFUSED, "more than %d <annex:server> elements. Keep %d",
			CONFIG_SERVERS, CONFIG_SERVERS);
	if (!registry_name_ok(text))
		return bad(node, text, "Give the name of a server that annex server list shows");
	for (unsigned i = 0; i < wish->servers; i++)
		if (!strcmp(wish->server[i], text))
			return bad(node, text, "It is named twice; name each server once");
	snprintf(wish->server[wish->servers++], CONFIG_NAME_MAX, "%s", text);
	return 0;
}

static int parse_bridge(const xmlNode *node, const char *text, struct wish *wish)
{
	size_t n = strlen(text);

	if (n == 0 || n >= WISH_BRIDGE_MAX || strpbrk(text, "/ \t\n"))
		return bad(node, text, "Give the name of a Linux bridge, such as " ANNEX_BRIDGE);
	memcpy(wish->bridge, text, n + 1);
	return 0;
}

static int parse_log(const xmlNode *node, const char *text, struct wish *wish)
{
	static const char *const levels[] = {"error", "warning", "info", "debug"};

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (!strcmp(text, levels[i])) {
			memcpy(wish->log, text, strlen(text) + 1);
			return 0;
		}
	return bad(node, text, "Give error, warning, info or debug");
}

static int parse_model(const xmlNode *node, const char *text, struct wish *wish)
{
	if (strcmp(text, "virtio") && strcmp(text, "e1000"))
		return bad(node, text, "Give virtio or e1000");
	memcpy(wish->model, text, strlen(text) + 1);
	return 0;
}

static int parse_service_core(const xmlNode *node, const char *text, struct wish *wish)
{
	wish->service_core = !strcmp(text, "yes");
	return wish->service_core || !strcmp(text, "no") ? 0 : bad(node, text, "Give yes or no");
}

static int parse_wakeup(const xmlNode *node, const char *text, struct wish *wish)
{
	wish->wakeup_mailbox = !strcmp(text, "mailbox");
	return wish->wakeup_mailbox || !strcmp(text, "sipi")
		       ? 0
		       : bad(node, text, "Give sipi or mailbox");
}

static int parse_address(const xmlNode *node, const char *text, struct wish *wish)
{
	if (strchr(text, ':'))
		return bad(node, text, "IPv6 is not supported yet; give A.B.C.D/PREFIX");
	if (!strcmp(text, "dhcp"))
		return bad(node, text, "DHCP is not supported; give A.B.C.D/PREFIX");
	if (!size_ipv4_prefix(text, &wish->address, &wish->prefix))
		return bad(node, text,
			"Give the guest's own address on the fabric as A.B.C.D/PREFIX, prefix 8 to "
			"30");
	return 0;
}

/* <annex:wish>: written by us, but the file may have passed through an editor. */
static int parse_recorded(const xmlNode *recorded, struct wish *wish)
{
	for (const xmlNode *n = recorded->children; n; n = n->next) {
		uint64_t vcpus;
		char *text;

		if (n->type != XML_ELEMENT_NODE)
			continue;
		text = xml_text_dup(n);
		if (!strcmp((const char *)n->name, "vcpu") && size_number(text, 1, 255, &vcpus))
			wish->vcpus = (unsigned)vcpus;
		else if (!strcmp((const char *)n->name, "kernel") && !wish->kernel)
			wish->kernel = error_memory(strdup(text));
		else if (!strcmp((const char *)n->name, "initrd") && !wish->initrd)
			wish->initrd = error_memory(strdup(text));
		else if (!strcmp((const char *)n->name, "cmdline") && !wish->cmdline)
			wish->cmdline = error_memory(strdup(text));
		else
			bad(n, text,
				"<annex:wish> is written by annex; define the original file again");
		free(text);
		if (error_code())
			return (int)error_code();
	}
	if (!wish->vcpus || (!wish->kernel && (wish->initrd || wish->cmdline)))
		return error_set(ERROR_REFUSED,
			"<annex:wish> lacks vcpu or kernel; it is written by annex. Define the "
			"original file again");
	wish->recorded = true;
	return 0;
}

static int parse_child(const xmlNode *node, struct wish *wish)
{
	const char *name = (const char *)node->name;
	char text[128];
	uint64_t number;

	if (!strcmp(name, "wish"))
		return parse_recorded(node, wish);
	if (!xml_text(node, text, sizeof(text)))
		return error_set(ERROR_REFUSED, "<annex:%s> is too long", name);
	if (!strcmp(name, "size"))
		return parse_size(node, text, &wish->far, RPC_EXTENT_SIZE);
	if (!strcmp(name, "pinned")) {
		wish->pinned_given = true;
		return parse_size(node, text, &wish->pinned, SIZE_MIB);
	}
	if (!strcmp(name, "pcache"))
		return parse_size(node, text, &wish->pcache, SIZE_MIB);
	if (!strcmp(name, "pin"))
		return parse_pin(node, text, wish);
	if (!strcmp(name, "server"))
		return parse_server(node, text, wish);
	if (!strcmp(name, "address"))
		return parse_address(node, text, wish);
	if (!strcmp(name, "gateway"))
		return size_ipv4(text, &wish->gateway)
			       ? 0
			       : bad(node, text, "Give the router's address as A.B.C.D");
	if (!strcmp(name, "bridge"))
		return parse_bridge(node, text, wish);
	if (!strcmp(name, "model"))
		return parse_model(node, text, wish);
	if (!strcmp(name, "log"))
		return parse_log(node, text, wish);
	if (!strcmp(name, "service-core"))
		return parse_service_core(node, text, wish);
	if (!strcmp(name, "wakeup"))
		return parse_wakeup(node, text, wish);
	if (!strcmp(name, "mtu")) {
		if (!size_number(text, 1500, 9216, &number))
			return bad(node, text, "Give 1500 to 9216");
		wish->mtu = (unsigned)number;
		return 0;
	}
	if (!strcmp(name, "prefetch")) {
		if (!size_number(text, 0, 32, &number))
			return bad(node, text, "Give 0 (none) to 32 pages");
		wish->prefetch = (int)number;
		return 0;
	}
	return error_set(ERROR_REFUSED,
		"<annex:%s> is not known in <annex:far>. Known: size, pinned, pcache, pin, "
		"server, address, "
		"gateway, bridge, mtu, model, prefetch, wakeup, log, service-core",
		name);
}

static int complete(struct wish *wish)
{
	char address[SIZE_TEXT_MAX];

	if (!wish->far)
		return error_set(ERROR_REFUSED, "<annex:far> has no <annex:size>. Say how much far "
						"memory the guest gets: " EXAMPLE);
	if (!wish->servers)
		return error_set(ERROR_REFUSED,
			"<annex:far> has no <annex:server>. Name one that annex server list shows");
	if (!wish->address)
		return error_set(ERROR_REFUSED,
			"<annex:far> has no <annex:address>. Give the guest's own address on the "
			"fabric, such as 10.77.0.2/24");
	if (wish->gateway &&
		(wish->gateway == wish->address ||
			!size_ipv4_on_link(wish->gateway, wish->address, wish->prefix)))
		return error_set(ERROR_REFUSED,
			"<annex:gateway> %s is not another address in the network of "
			"<annex:address>. "
			"Give the router's address in that network",
			size_ipv4_text(wish->gateway, address));
	if (!wish->pinned)
		wish->pinned = wish_pinned_least(wish->far);
	return 0;
}

int wish_parse(const xmlNode *far, struct wish *wish)
{
	int code = 0;

	*wish = (struct wish){.mtu = ANNEX_MTU,
		.prefetch = -1,
		.bridge = ANNEX_BRIDGE,
		.model = "virtio",
		.service_core = true};
	error_clear();
	for (const xmlNode *n = far->children; n && !code; n = n->next) {
		if (n->type != XML_ELEMENT_NODE)
			continue;
		for (const xmlNode *m = far->children; m != n && !code; m = m->next)
			if (m->type == XML_ELEMENT_NODE && xmlStrEqual(m->name, n->name) &&
				!xmlStrEqual(n->name, BAD_CAST "server"))
				code = error_set(ERROR_REFUSED,
					"<annex:far> has two <annex:%s> elements. Keep one",
					(const char *)n->name);
		if (!code && !ours(n))
			code = error_set(ERROR_REFUSED,
				"<%s> in <annex:far> is not in the namespace " ANNEX_NAMESPACE
				". Write <annex:%s>",
				(const char *)n->name, (const char *)n->name);
		if (!code)
			code = parse_child(n, wish);
	}
	if (!code)
		code = complete(wish);
	if (code)
		wish_free(wish);
	return code;
}

void wish_free(struct wish *wish)
{
	free(wish->kernel);
	free(wish->initrd);
	free(wish->cmdline);
	wish->kernel = wish->initrd = wish->cmdline = NULL;
}

void wish_record(xmlNode *far, const struct wish *wish)
{
	xmlNode *next, *record;
	char vcpus[16];

	for (xmlNode *n = far->children; n; n = next) {
		next = n->next;
		if (ours(n) && !strcmp((const char *)n->name, "wish"))
			xml_remove(n);
	}
	record = xml_add(far, far->ns, "wish", NULL);
	snprintf(vcpus, sizeof(vcpus), "%u", wish->vcpus);
	xml_add(record, far->ns, "vcpu", vcpus);
	if (wish->kernel)
		xml_add(record, far->ns, "kernel", wish->kernel);
	if (wish->initrd)
		xml_add(record, far->ns, "initrd", wish->initrd);
	if (wish->cmdline)
		xml_add(record, far->ns, "cmdline", wish->cmdline);
}
