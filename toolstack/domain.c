/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/devices.h"
#include "toolstack/domain.h"
#include "toolstack/error.h"
#include "toolstack/guestos.h"
#include "toolstack/size.h"
#include "toolstack/xml.h"

#define PCACHE_LEAST (16 * SIZE_MIB)
#define PCACHE_VCPU  (SIZE_MIB / 2) /* 128 frames, or vCPUs can starve each other */
#define FABRIC_NIC   0u /* number of its MAC; the guest's own NICs follow */

static uint64_t hash(const char *label, const char *text)
{
	uint64_t h = 0xcbf29ce484222325ull; /* FNV-1a */

	for (; *label; label++)
		h = (h ^ (unsigned char)*label) * 0x100000001b3ull;
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3ull;
	/* FNV leaves the high bits of short texts alike; one round of mixing spreads them. */
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdull;
	return h ^ h >> 33;
}

uint64_t domain_tenant(const char *uuid)
{
	uint64_t h = hash("annex tenant ", uuid);

	return h ? h : 1;
}

void domain_mac(const char *uuid, unsigned n, char out[18])
{
	char label[32];
	uint64_t h;

	snprintf(label, sizeof(label), "annex nic %u ", n);
	h = hash(label, uuid);
	snprintf(out, 18, "52:54:%02x:%02x:%02x:%02x", (unsigned)(h & 255),
		(unsigned)(h >> 8 & 255), (unsigned)(h >> 16 & 255), (unsigned)(h >> 24 & 255));
}

uint64_t domain_overhead(uint64_t far, uint64_t memory)
{
	return 16 * SIZE_MIB + far / 512 + memory / 128;
}

uint64_t domain_memory(const xmlNode *domain)
{
	const xmlNode *node = xml_child(domain, "memory");
	char text[32];
	uint64_t bytes;

	if (!node || !xml_text(node, text, sizeof(text)) ||
		!size_scaled(text, xml_attr(node, "unit"), &bytes))
		return 0;
	return bytes;
}

static void warn(struct domain_plan *plan, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void warn(struct domain_plan *plan, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	error_memory(text);
	if (plan->warnings < DOMAIN_WARNINGS)
		plan->warning[plan->warnings++] = text;
	else
		free(text);
}

int domain_identity(xmlDoc *doc, char name[DOMAIN_NAME_MAX], char uuid[DOMAIN_UUID_MAX])
{
	const xmlNode *root = xmlDocGetRootElement(doc), *node;

	if (!root || !xml_named(root, "domain"))
		return error_set(ERROR_REFUSED,
			"the file's root is <%s>, not <domain>. Give a libvirt domain XML",
			root ? (const char *)root->name : "");
	node = xml_child(root, "name");
	if (!node || !xml_text(node, name, DOMAIN_NAME_MAX) || !*name || strchr(name, '/'))
		return error_set(ERROR_REFUSED,
			"the domain has no usable <name>. Give it one of up to %d characters",
			DOMAIN_NAME_MAX - 1);
	uuid[0] = '\0';
	node = xml_child(root, "uuid");
	if (node && (!xml_text(node, uuid, DOMAIN_UUID_MAX) || strlen(uuid) != 36))
		return error_set(ERROR_REFUSED, "the domain's <uuid> is none. Write it as "
						"8-4-4-4-12 hexadecimal digits, or "
						"leave it out");
	return 0;
}

static int check_servers(const struct domain_setup *setup, const struct wish *wish)
{
	char far[SIZE_TEXT_MAX], pools[SIZE_TEXT_MAX], own[SIZE_TEXT_MAX];
	uint64_t pool = 0;
	bool known = true;

	for (unsigned i = 0; i < wish->servers; i++) {
		const struct registry_server *s = registry_get(setup->registry, wish->server[i]);

		if (!s)
			return (int)error_code();
		if (s->address == wish->address)
			return error_set(ERROR_REFUSED,
				"<annex:address> %s is the address of server '%s'. Give the guest "
				"another one",
				size_ipv4_text(s->address, own), s->name);
		if (!wish->gateway && !size_ipv4_on_link(s->address, wish->address, wish->prefix))
			return error_set(ERROR_REFUSED,
				"server '%s' at %s is not in the network of <annex:address>. Give "
				"an "
				"<annex:gateway>, or an address in the server's network",
				s->name, size_ipv4_text(s->address, own));
		pool += s->pool;
		known = known && s->pool;
	}
	if (known && wish->far > pool)
		return error_set(ERROR_REFUSED,
			"<annex:size> %s is more than the pool of its server%s holds, %s. Make it "
			"smaller, or add servers",
			size_text(wish->far, far), wish->servers > 1 ? "s" : "",
			size_text(pool, pools));
	return 0;
}

/* What is pinned is never evicted: the rest of the page cache must hold everything else. */
static int check_pin(const struct wish *wish, uint64_t pcache)
{
	char pin[SIZE_TEXT_MAX], cache[SIZE_TEXT_MAX], half[SIZE_TEXT_MAX];

	if (wish->pin <= pcache / 2)
		return 0;
	return error_set(ERROR_REFUSED,
		"<annex:pin> max='%s' is more than half of the page cache, which has %s. Give at "
		"most %s, or a larger %s",
		size_exact(wish->pin, pin), size_text(pcache, cache),
		size_exact((pcache / 2) & ~(uint64_t)(64 * SIZE_KIB - 1), half),
		wish->pcache ? "<annex:pcache>" : "<memory>");
}

static int check_memory(xmlNode *domain, struct domain_plan *plan)
{
	char memory[SIZE_TEXT_MAX], pinned[SIZE_TEXT_MAX], own[SIZE_TEXT_MAX], cache[SIZE_TEXT_MAX],
		least[SIZE_TEXT_MAX], far[SIZE_TEXT_MAX];
	const struct wish *wish = &plan->wish;
	uint64_t pcache = wish->pcache ? wish->pcache : PCACHE_LEAST, overhead, need;
	uint64_t floor = wish->vcpus * PCACHE_VCPU;

	plan->memory = domain_memory(domain);
	if (!plan->memory)
		return error_set(ERROR_REFUSED, "the domain has no readable <memory>. It says how "
						"much local memory the guest gets");
	if (wish->pcache && wish->pcache < floor)
		return error_set(ERROR_REFUSED,
			"<annex:pcache> %s is too small for %u CPUs. Give at least %s",
			size_text(wish->pcache, cache), wish->vcpus,
			size_text((floor + SIZE_MIB - 1) & ~(SIZE_MIB - 1), least));
	overhead = domain_overhead(wish->far, plan->memory);
	need = wish->pinned + overhead + pcache;
	if (need > plan->memory)
		return error_set(ERROR_REFUSED,
			"<memory> %s is too small: %s pinned + %s for the VMM + %s of page cache. "
			"Give "
			"at least %s, or a smaller <annex:pinned>",
			size_text(plan->memory, memory), size_text(wish->pinned, pinned),
			size_text(overhead, own), size_text(pcache, cache),
			size_text((need + SIZE_MIB - 1) & ~(SIZE_MIB - 1), least));
	if (wish->pinned < wish_pinned_least(wish->far))
		warn(plan,
			"%s of pinned memory is little for %s of far memory: the guest's kernel "
			"may "
			"run out of memory. %s is advised",
			size_text(wish->pinned, pinned), size_text(wish->far, far),
			size_text(wish_pinned_least(wish->far), least));
	return check_pin(wish, wish->pcache ? pcache : plan->memory - wish->pinned - overhead);
}

/* Of a domain that define made: back to what the user wrote. */
static void restore(xmlNode *domain, const struct wish *wish)
{
	xmlNode *sysinfo = xml_child(domain, "sysinfo"), *next, *os = xml_ensure(domain, "os");
	char vcpus[16];

	for (; sysinfo; sysinfo = next) {
		next = xml_next(sysinfo);
		if (xml_attr_is(sysinfo, "type", "fwcfg"))
			guestos_strip_files(sysinfo);
	}
	snprintf(vcpus, sizeof(vcpus), "%u", wish->vcpus);
	xmlNodeSetContent(xml_ensure(domain, "vcpu"), BAD_CAST vcpus);
	xml_remove(xml_child(os, "kernel"));
	xml_remove(xml_child(os, "initrd"));
	xml_remove(xml_child(os, "cmdline"));
	if (wish->kernel)
		xml_add(os, NULL, "kernel", wish->kernel);
	if (wish->initrd)
		xml_add(os, NULL, "initrd", wish->initrd);
	if (wish->cmdline)
		xml_add(os, NULL, "cmdline", wish->cmdline);
	devices_strip(xml_ensure(domain, "devices"));
}

static void add_address(xmlNode *device, unsigned slot)
{
	xmlNode *address = xml_add(device, NULL, "address", NULL);
	char text[8];

	xml_set(address, "type", "pci");
	xml_set(address, "domain", "0x0000");
	xml_set(address, "bus", "0x00");
	snprintf(text, sizeof(text), "0x%02x", slot);
	xml_set(address, "slot", text);
	xml_set(address, "function", "0x0");
}

/*
 * On the root bus at an explicit address: behind a bridge the guest's hot-plug driver would find the
 * hidden card gone, and QEMU would delete it.
 */
static void add_fabric(xmlNode *devices, const struct domain_plan *plan, unsigned slot)
{
	xmlNode *nic = xml_add(devices, NULL, "interface", NULL);
	bool virtio = !strcmp(plan->wish.model, "virtio");
	char mac[18], mtu[16];

	domain_mac(plan->uuid, FABRIC_NIC, mac);
	snprintf(mtu, sizeof(mtu), "%u", plan->wish.mtu);
	xml_set(nic, "type", "bridge");
	xml_set(xml_add(nic, NULL, "mac", NULL), "address", mac);
	xml_set(xml_add(nic, NULL, "source", NULL), "bridge", plan->wish.bridge);
	xml_set(xml_add(nic, NULL, "model", NULL), "type",
		virtio ? "virtio-non-transitional" : plan->wish.model);
	if (virtio)
		xml_set(xml_add(nic, NULL, "driver", NULL), "iommu", "on");
	xml_set(xml_add(nic, NULL, "mtu", NULL), "size", mtu);
	xml_set(xml_add(nic, NULL, "alias", NULL), "name", DEVICES_FABRIC);
	xml_set(xml_add(nic, NULL, "rom", NULL), "enabled", "no");
	add_address(nic, slot);
}

/*
 * A page map that is rolled back or doubled no longer fits what the servers hold. libvirt knows no
 * switch against save, snapshot and migration; QEMU refuses all three while the domain has shared
 * memory in peer mode. Linux has no driver for it, and its 1 MiB is never touched.
 */
static void add_keep(xmlNode *devices, const struct domain_plan *plan, unsigned slot)
{
	xmlNode *shmem = xml_add(devices, NULL, "shmem", NULL), *size;
	char name[64];

	snprintf(name, sizeof(name), "annex-%s", plan->uuid);
	xml_set(shmem, "name", name);
	xml_set(shmem, "role", "peer");
	xml_set(xml_add(shmem, NULL, "model", NULL), "type", "ivshmem-plain");
	size = xml_add(shmem, NULL, "size", "1");
	xml_set(size, "unit", "M");
	xml_set(xml_add(shmem, NULL, "alias", NULL), "name", DEVICES_KEEP);
	add_address(shmem, slot);
}

/* The guest's NICs get MACs of their own too, so that the same file gives the same domain. */
static void name_macs(xmlNode *devices, const char *uuid)
{
	unsigned n = FABRIC_NIC;

	for (xmlNode *nic = xml_child(devices, "interface"); nic; nic = xml_next(nic)) {
		char mac[18];

		n++;
		if (xml_child(nic, "mac"))
			continue;
		domain_mac(uuid, n, mac);
		xml_set(xml_add(nic, NULL, "mac", NULL), "address", mac);
	}
}

static int add_devices(xmlNode *domain, struct domain_plan *plan, unsigned *slot)
{
	xmlNode *devices = xml_ensure(domain, "devices");
	unsigned keep;
	int code;

	devices_strip(devices);
	code = devices_check(devices);
	if (!code)
		code = guestos_serial(devices);
	if (code)
		return code;
	name_macs(devices, plan->uuid);
	*slot = devices_free_slot(devices, 0);
	keep = devices_free_slot(devices, *slot ? 1u << *slot : 0);
	if (!*slot || !keep)
		return error_set(ERROR_REFUSED, "no two free slots from 0x10 to 0x1c on PCI bus 0 "
						"for the VMM's devices. Move "
						"devices away from there");
	add_fabric(devices, plan, *slot);
	add_keep(devices, plan, keep);
	return 0;
}

static char *config_text(
	const struct domain_plan *plan, const struct registry *registry, unsigned slot)
{
	const struct wish *wish = &plan->wish;
	char a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX], *text = NULL;
	size_t length;
	FILE *out = error_memory(open_memstream(&text, &length));

	fprintf(out, "# Made by annex guest define for %s; the next define writes it anew.\n",
		plan->name);
	fprintf(out, CONFIG_KEY_FAR " = %s\n", size_exact(wish->far, a));
	fprintf(out, CONFIG_KEY_PINNED " = %s\n", size_exact(wish->pinned, a));
	if (wish->pcache)
		fprintf(out, CONFIG_KEY_PCACHE " = %s\n", size_exact(wish->pcache, a));
	if (wish->pin)
		fprintf(out, CONFIG_KEY_PIN " = %s\n", size_exact(wish->pin, a));
	fprintf(out, CONFIG_KEY_NIC " = 00:%02x.0\n", slot);
	fprintf(out, CONFIG_KEY_ADDRESS " = %s/%u\n", size_ipv4_text(wish->address, a),
		wish->prefix);
	if (wish->gateway)
		fprintf(out, CONFIG_KEY_GATEWAY " = %s\n", size_ipv4_text(wish->gateway, b));
	for (unsigned i = 0; i < wish->servers; i++) {
		const struct registry_server *s = registry_find(registry, wish->server[i]);

		fprintf(out, CONFIG_KEY_SERVER " = %s %s:%u\n", s->name,
			size_ipv4_text(s->address, a), s->port);
	}
	fprintf(out, CONFIG_KEY_TENANT " = %016llx\n", (unsigned long long)plan->tenant);
	fprintf(out, CONFIG_KEY_DOMAIN " = %s\n", plan->uuid);
	fprintf(out, CONFIG_KEY_MTU " = %u\n", wish->mtu);
	if (wish->prefetch >= 0)
		fprintf(out, CONFIG_KEY_PREFETCH " = %d\n", wish->prefetch);
	if (wish->wakeup_mailbox)
		fputs(CONFIG_KEY_WAKEUP " = mailbox\n", out);
	if (!wish->kernel)
		fputs(CONFIG_KEY_BOOT " = disk\n", out);
	if (wish->log[0])
		fprintf(out, CONFIG_KEY_LOG " = %s\n", wish->log);
	fclose(out);
	return error_memory(text);
}

static int name_uuid(xmlNode *domain, const struct domain_setup *setup, struct domain_plan *plan)
{
	int code = domain_identity(domain->doc, plan->name, plan->uuid);

	if (code)
		return code;
	if (!plan->uuid[0])
		snprintf(plan->uuid, sizeof(plan->uuid), "%s", setup->uuid);
	for (char *p = plan->uuid; *p; p++)
		if (*p >= 'A' && *p <= 'F')
			*p = (char)(*p - 'A' + 'a');
	xmlNodeSetContent(xml_ensure(domain, "uuid"), BAD_CAST plan->uuid);
	plan->tenant = domain_tenant(plan->uuid);
	return 0;
}

int domain_transform(xmlDoc *doc, const struct domain_setup *setup, struct domain_plan *plan)
{
	xmlNode *domain = xmlDocGetRootElement(doc), *far;
	unsigned slot = 0;
	int code;

	*plan = (struct domain_plan){0};
	code = name_uuid(domain, setup, plan);
	if (code)
		return code;
	far = wish_find(domain);
	if (!far)
		return (int)error_code();
	code = wish_parse(far, &plan->wish);
	if (!code && plan->wish.recorded)
		restore(domain, &plan->wish);
	if (!code)
		code = guestos_check(domain, setup->kvm);
	if (!code)
		code = check_servers(setup, &plan->wish);
	if (!code)
		code = guestos_wish(domain, &plan->wish);
	if (!code)
		code = check_memory(domain, plan);
	if (!code && plan->wish.kernel)
		code = guestos_cmdline(plan->wish.cmdline, &plan->cmdline);
	else if (!code)
		warn(plan, "the guest boots from its own disk: its boot loader must give the "
			   "kernel movable_node and swiotlb=force (Debian: GRUB_CMDLINE_LINUX in "
			   "/etc/default/grub)");
	if (!code)
		code = add_devices(domain, plan, &slot);
	if (code) {
		domain_free(plan);
		return code;
	}
	plan->directory = error_memory(malloc(strlen(setup->state) + sizeof("/guests/") + 36));
	sprintf(plan->directory, "%s/guests/%s", setup->state, plan->uuid);
	plan->config = config_text(plan, setup->registry, slot);
	wish_record(far, &plan->wish);
	guestos_replace(domain, setup->vmm, plan->directory, &plan->wish);
	return 0;
}

void domain_free(struct domain_plan *plan)
{
	for (unsigned i = 0; i < plan->warnings; i++)
		free(plan->warning[i]);
	wish_free(&plan->wish);
	free(plan->directory);
	free(plan->config);
	free(plan->cmdline);
	*plan = (struct domain_plan){0};
}
