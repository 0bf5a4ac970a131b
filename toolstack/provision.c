/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/connect.h"
#include "toolstack/files.h"
#include "toolstack/provision.h"
#include "toolstack/size.h"
#include "toolstack/xml.h"

#define KERNEL_LIMIT (256u << 20)

int provision_files(const struct provision *p, const struct appliance_parts *parts)
{
	char *kernel = files_path("%s/vmlinuz", p->directory), *data;
	char *initrd = files_path("%s/initrd.gz", p->directory);
	size_t length;
	int code = files_read(parts->kernel, KERNEL_LIMIT, &data, &length);

	if (!code) {
		code = files_write(kernel, data, length, 0644);
		free(data);
	}
	if (!code)
		code = appliance_build(parts, !strcmp(p->type, "qemu"), initrd);
	free(initrd);
	free(kernel);
	return code;
}

static char *command_line(const struct provision *p)
{
	char address[SIZE_TEXT_MAX], pool[SIZE_TEXT_MAX], quota[SIZE_TEXT_MAX], *line;

	line = files_path("console=ttyS0 quiet panic=-1 net.ifnames=0 hugepages=%llu "
			  "annex.address=%s/%u annex.mtu=%u annex.pool=%s",
		(unsigned long long)(p->pool / (2 * SIZE_MIB)), size_ipv4_text(p->address, address),
		p->prefix, p->mtu, size_exact(p->pool, pool));
	if (p->quota) {
		char *longer = files_path("%s annex.quota=%s", line, size_exact(p->quota, quota));

		free(line);
		line = longer;
	}
	return line;
}

static void add_os(xmlNode *domain, const struct provision *p)
{
	char *kernel = files_path("%s/vmlinuz", p->directory);
	char *initrd = files_path("%s/initrd.gz", p->directory), *line = command_line(p);
	xmlNode *os = xml_add(domain, NULL, "os", NULL), *type, *features, *cpu, *la57;
	bool kvm = !strcmp(p->type, "kvm");

	type = xml_add(os, NULL, "type", "hvm");
	xml_set(type, "arch", "x86_64");
	xml_set(type, "machine", "q35");
	xml_add(os, NULL, "kernel", kernel);
	xml_add(os, NULL, "initrd", initrd);
	xml_add(os, NULL, "cmdline", line);
	features = xml_add(domain, NULL, "features", NULL);
	xml_add(features, NULL, "acpi", NULL);
	xml_add(features, NULL, "apic", NULL);
	cpu = xml_add(domain, NULL, "cpu", NULL);
	xml_set(cpu, "mode", kvm ? "host-passthrough" : "maximum");
	if (!kvm) {
		la57 = xml_add(cpu, NULL, "feature", NULL);
		xml_set(la57, "policy", "disable");
		xml_set(la57, "name", "la57");
	}
	free(line);
	free(initrd);
	free(kernel);
}

static void add_devices(xmlNode *domain, const struct provision *p)
{
	xmlNode *devices = xml_add(domain, NULL, "devices", NULL), *nic, *serial, *log;
	char *path = files_path("%s/console.log", p->directory), mtu[16];

	snprintf(mtu, sizeof(mtu), "%u", p->mtu);
	nic = xml_add(devices, NULL, "interface", NULL);
	xml_set(nic, "type", "bridge");
	xml_set(xml_add(nic, NULL, "source", NULL), "bridge", p->bridge);
	xml_set(xml_add(nic, NULL, "model", NULL), "type", "virtio");
	xml_set(xml_add(nic, NULL, "mtu", NULL), "size", mtu);
	xml_set(xml_add(nic, NULL, "rom", NULL), "enabled", "no");
	serial = xml_add(devices, NULL, "serial", NULL);
	xml_set(serial, "type", "pty");
	log = xml_add(serial, NULL, "log", NULL);
	xml_set(log, "file", path);
	xml_set(log, "append", "off");
	serial = xml_add(devices, NULL, "serial", NULL);
	xml_set(serial, "type", "pty");
	xml_set(xml_add(serial, NULL, "alias", NULL), "name", APPLIANCE_CONTROL);
	xml_set(xml_add(devices, NULL, "memballoon", NULL), "model", "none");
	free(path);
}

char *provision_xml(const struct provision *p)
{
	xmlDoc *doc = error_memory(xmlNewDoc(BAD_CAST "1.0"));
	xmlNode *domain = error_memory(xmlNewNode(NULL, BAD_CAST "domain")), *memory;
	char number[32], *name = files_path("annex-server-%s", p->name), *text;

	xmlDocSetRootElement(doc, domain);
	xml_set(domain, "type", p->type);
	xml_add(domain, NULL, "name", name);
	xml_add(domain, NULL, "title", "Annex memory server");
	snprintf(number, sizeof(number), "%llu", (unsigned long long)(p->memory / SIZE_MIB));
	memory = xml_add(domain, NULL, "memory", number);
	xml_set(memory, "unit", "MiB");
	xml_add(domain, NULL, "vcpu", "1");
	add_os(domain, p);
	xml_add(domain, NULL, "on_poweroff", "destroy");
	xml_add(domain, NULL, "on_reboot", "restart");
	xml_add(domain, NULL, "on_crash", "restart");
	add_devices(domain, p);
	text = xml_print(doc);
	xmlFreeDoc(doc);
	free(name);
	return text;
}

int provision_define(virConnectPtr connection, const struct provision *p, virDomainPtr *domain)
{
	char *text = provision_xml(p);

	*domain = virDomainDefineXML(connection, text);
	xmlFree(text);
	return *domain ? 0 : connect_failed("libvirt does not take the server's domain", NULL);
}
