/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "annex/config.h"
#include "toolstack/devices.h"
#include "toolstack/error.h"
#include "toolstack/guestos.h"
#include "toolstack/kernel.h"
#include "toolstack/size.h"
#include "toolstack/xml.h"

#define VCPUS_MAX   16u /* the VMM's limit; its service core comes on top */
#define CMDLINE_MAX 2047u /* x86 Linux's COMMAND_LINE_SIZE without the NUL */
#define FW_CFG      "opt/org.annex/"

static int check_type(const xmlNode *domain, const char *kvm)
{
	const char *type = xml_attr(domain, "type");

	if (!type || (strcmp(type, "qemu") && strcmp(type, "kvm")))
		return error_set(ERROR_REFUSED,
			"a domain of type '%s' is refused. Use type='qemu', or type='kvm' where "
			"KVM nests",
			type ? type : "");
	if (!strcmp(type, "kvm") && kvm)
		return error_set(ERROR_REFUSED, "type='kvm' is refused: %s. Use type='qemu'", kvm);
	return 0;
}

static int check_machine(const xmlNode *os)
{
	const xmlNode *type = xml_child(os, "type");
	const char *machine = xml_attr(type, "machine"), *arch = xml_attr(type, "arch");
	char text[16];

	if (!type || !xml_text(type, text, sizeof(text)) || strcmp(text, "hvm"))
		return error_set(ERROR_REFUSED, "<os> has no <type>hvm</type>. Annex guests are "
						"fully virtualised");
	if (arch && strcmp(arch, "x86_64"))
		return error_set(
			ERROR_REFUSED, "arch '%s' is refused: the VMM is for x86_64", arch);
	if (machine && strncmp(machine, "pc-q35", 6) && strcmp(machine, "q35") &&
		strncmp(machine, "pc-i440fx", 9) && strcmp(machine, "pc"))
		return error_set(ERROR_REFUSED,
			"machine '%s' is refused: the VMM knows q35 and pc. Use machine='q35'",
			machine);
	if (xml_attr(os, "firmware") || xml_child(os, "loader"))
		return error_set(ERROR_REFUSED,
			"<os> names a firmware (firmware= or <loader>): UEFI is not supported yet. "
			"Remove it; the VMM starts by direct kernel boot");
	return 0;
}

/* 0: no number from 1. */
static unsigned vcpus_of(const xmlNode *domain)
{
	const xmlNode *vcpu = xml_child(domain, "vcpu");
	uint64_t count = 1;
	char text[16];

	if (vcpu && (!xml_text(vcpu, text, sizeof(text)) || !size_number(text, 1, 4096, &count)))
		return 0;
	return (unsigned)count;
}

static int check_vcpu(const xmlNode *domain)
{
	const char *current = xml_attr(xml_child(domain, "vcpu"), "current");
	unsigned count = vcpus_of(domain);

	if (!count)
		return error_set(ERROR_REFUSED, "<vcpu> is no number from 1");
	if (current && strtoull(current, NULL, 10) != count)
		return error_set(ERROR_REFUSED,
			"<vcpu current='%s'>%u</vcpu> leaves CPU hot-plug slots, and a CPU plugged "
			"in later would start outside the VMM. Remove current=",
			current, count);
	if (xml_child(domain, "vcpus"))
		return error_set(ERROR_REFUSED,
			"<vcpus> says for each CPU whether it is plugged in, which is refused: "
			"all are, and one more is the VMM's. Remove it");
	if (count > VCPUS_MAX)
		return error_set(ERROR_REFUSED,
			"<vcpu> %u: a guest can have %u CPUs (the VMM's service core comes on top "
			"of them). Write <vcpu>%u</vcpu>",
			count, VCPUS_MAX, VCPUS_MAX);
	return 0;
}

static int check_memory(const xmlNode *domain)
{
	if (xml_child(domain, "maxMemory"))
		return error_set(ERROR_REFUSED, "<maxMemory> asks for memory hot-plug slots, which "
						"is refused: RAM plugged in "
						"later would be neither pinned nor far. Remove it");
	if (xml_child(xml_child(domain, "cpu"), "numa"))
		return error_set(ERROR_REFUSED, "<numa> in <cpu> is refused: the VMM makes the "
						"guest's two NUMA nodes, pinned "
						"and far, itself. Remove it");
	if (xml_child(domain, "launchSecurity"))
		return error_set(ERROR_REFUSED, "<launchSecurity> is refused: the VMM cannot run "
						"inside an encrypted guest. Remove it");
	return 0;
}

/* What a raw QEMU argument adds cannot be seen; one that adds a device is not let through. */
static int check_arguments(const xmlNode *domain)
{
	for (const xmlNode *n = domain->children; n; n = n->next) {
		if (n->type != XML_ELEMENT_NODE || strcmp((const char *)n->name, "commandline"))
			continue;
		for (const xmlNode *arg = n->children; arg; arg = arg->next) {
			const char *value =
				arg->type == XML_ELEMENT_NODE ? xml_attr(arg, "value") : NULL;

			if (value && (!strcmp(value, "-device") || !strcmp(value, "--device")))
				return error_set(ERROR_REFUSED, "<qemu:commandline> adds a -device "
								"that annex cannot judge, "
								"which is refused. Use libvirt's "
								"own element for the device");
		}
	}
	return 0;
}

static void feature(xmlNode *cpu, const char *name, const char *policy)
{
	xmlNode *node;

	for (node = xml_child(cpu, "feature"); node; node = xml_next(node))
		if (xml_attr_is(node, "name", name))
			break;
	if (!node)
		node = xml_add(cpu, NULL, "feature", NULL);
	xml_set(node, "policy", policy);
	xml_set(node, "name", name);
}

/* The VMM needs SVM with nested paging, and runs with four-level page tables. */
static void set_cpu(xmlNode *domain)
{
	bool kvm = xml_attr_is(domain, "type", "kvm");
	xmlNode *cpu = xml_child(domain, "cpu");

	if (!cpu) {
		cpu = xml_add(domain, NULL, "cpu", NULL);
		xml_set(cpu, "mode", kvm ? "host-passthrough" : "maximum");
	} else if (!xml_attr(cpu, "mode") && !xml_child(cpu, "model")) {
		xml_set(cpu, "mode", kvm ? "host-passthrough" : "maximum");
	}
	xml_remove(xml_child(cpu, "topology")); /* counts the guest's CPUs; there is one more */
	if (!xml_attr_is(cpu, "mode", "maximum") && !xml_attr_is(cpu, "mode", "host-passthrough")) {
		feature(cpu, "svm", "require");
		feature(cpu, "npt", "require");
	}
	feature(cpu, "la57", "disable");
	/*
	 * QEMU 7.2's emulation of CMPXCHG16B leaves what it likes in RFLAGS, and Linux 6.12 trips over
	 * that, with or without a VMM. Kernels do without where the CPU has none.
	 */
	if (!kvm)
		feature(cpu, "cx16", "disable");
}

int guestos_check(xmlNode *domain, const char *kvm)
{
	xmlNode *os = xml_child(domain, "os"), *features;
	int code = check_type(domain, kvm);

	if (!code)
		code = check_machine(os);
	if (!code)
		code = check_vcpu(domain);
	if (!code)
		code = check_memory(domain);
	if (!code)
		code = check_arguments(domain);
	if (code)
		return code;
	if (!xml_attr(xml_child(os, "type"), "machine"))
		xml_set(xml_child(os, "type"), "machine", "q35");
	set_cpu(domain);
	features = xml_ensure(domain, "features");
	xml_ensure(features, "acpi");
	xml_ensure(features, "apic");
	xml_remove(xml_child(domain, "currentMemory")); /* without a balloon it is <memory> */
	return 0;
}

static char *text_of(const xmlNode *parent, const char *name)
{
	const xmlNode *node = xml_child(parent, name);
	char *text = node ? xml_text_dup(node) : NULL;

	if (text && !*text) {
		free(text);
		return NULL;
	}
	return text;
}

/* Without <kernel>: what the BIOS starts is on a disk. */
static int check_disk_boot(const xmlNode *domain, const struct wish *wish)
{
	const xmlNode *disk = xml_child(xml_child(domain, "devices"), "disk");

	if (wish->initrd || wish->cmdline)
		return error_set(ERROR_REFUSED,
			"<os> has <%s> but no <kernel>. Name the guest's own kernel too (a bzImage "
			"such as /boot/vmlinuz-...); or remove both, and the guest boots from its "
			"own disk",
			wish->initrd ? "initrd" : "cmdline");
	if (!wish->service_core)
		return error_set(ERROR_REFUSED, "<os> has no <kernel>, and <annex:service-core> is "
						"no: a guest boots from its "
						"own disk only where the VMM has a CPU of its own. "
						"Name the guest's kernel, or "
						"write yes");
	for (; disk; disk = xml_next(disk)) {
		const char *device = xml_attr(disk, "device");

		if (!device || !strcmp(device, "disk"))
			return 0;
	}
	return error_set(ERROR_REFUSED,
		"<os> has no <kernel>, and there is no disk to boot from. Name the guest's own "
		"kernel (a bzImage such as /boot/vmlinuz-...), or give the domain its disk");
}

int guestos_wish(const xmlNode *domain, struct wish *wish)
{
	const xmlNode *os = xml_child(domain, "os");
	int code;

	wish_free(wish);
	wish->vcpus = vcpus_of(domain);
	if (wish->vcpus > 1 && !wish->service_core)
		return error_set(ERROR_REFUSED,
			"<annex:service-core> is no, but <vcpu> is %u: only a guest with one CPU "
			"can do without the VMM's own. Write yes, or <vcpu>1</vcpu>",
			wish->vcpus);
	wish->kernel = text_of(os, "kernel");
	wish->initrd = text_of(os, "initrd");
	wish->cmdline = text_of(os, "cmdline");
	if (!wish->kernel)
		return check_disk_boot(domain, wish);
	code = kernel_check(wish->kernel);
	if (!code && wish->initrd)
		code = kernel_check_initrd(wish->initrd);
	return code;
}

static bool has_word(const char *line, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = line; (p = strstr(p, word)); p += n)
		if ((p == line || p[-1] == ' ') && (p[n] == '\0' || p[n] == ' '))
			return true;
	return false;
}

/* The last value of a key=value word, or NULL; not NUL-terminated. */
static const char *value_of(const char *line, const char *key, size_t *length)
{
	size_t n = strlen(key);
	const char *value = NULL;

	for (const char *p = line; (p = strstr(p, key)); p += n)
		if (p == line || p[-1] == ' ')
			value = p + n;
	if (value)
		*length = strcspn(value, " ");
	return value;
}

static int refuse_words(const char *line)
{
	static const struct {
		const char *key, *reason;
	} words[] = {
		{"numa=", "the guest must see its far node as it is"},
		{"mem=", "it would cut the far window off"},
		{"memmap=", "it would change the memory map that the VMM makes"},
		{"acpi=", "the VMM describes memory by ACPI tables"},
		{"noapic", "the guest uses the machine's own APICs"},
		{"nolapic", "the guest uses the machine's own APICs"},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t n;
		bool key = strchr(words[i].key, '=');

		if (key ? value_of(line, words[i].key, &n) != NULL : has_word(line, words[i].key))
			return error_set(ERROR_REFUSED,
				"<cmdline> has %s, which is refused: %s. Remove it", words[i].key,
				words[i].reason);
	}
	return 0;
}

static int add_word(char *line, const char *word)
{
	size_t used = strlen(line);

	if (used + 1 + strlen(word) > CMDLINE_MAX)
		return error_set(ERROR_REFUSED,
			"<cmdline> is too long: Linux takes %u characters, and annex adds some. "
			"Shorten it",
			CMDLINE_MAX);
	sprintf(line + used, "%s%s", used ? " " : "", word);
	return 0;
}

int guestos_cmdline(const char *given, char **out)
{
	char line[CMDLINE_MAX + 1] = "";
	const char *value;
	size_t n;
	int code = 0;

	if (given) {
		code = add_word(line, given);
		for (char *p = line; *p; p++)
			if (*p == '\n' || *p == '\t' || *p == '\r')
				*p = ' ';
	}
	if (!code)
		code = refuse_words(line);
	if (!code && !has_word(line, "movable_node"))
		code = add_word(line, "movable_node");
	value = code ? NULL : value_of(line, "swiotlb=", &n);
	if (value && !memmem(value, n, "force", 5))
		code = error_set(ERROR_REFUSED,
			"<cmdline> has swiotlb=%.*s without force. Far memory needs swiotlb=force "
			"(swiotlb=SLABS,force for another size)",
			(int)n, value);
	else if (value && memmem(value, n, "noforce", 7))
		code = error_set(ERROR_REFUSED, "<cmdline> has swiotlb=noforce; far memory needs "
						"swiotlb=force. Remove it");
	else if (!code && !value)
		code = add_word(line, "swiotlb=force");
	value = code ? NULL : value_of(line, "numa_balancing=", &n);
	if (value && (n != 7 || strncmp(value, "disable", 7)))
		code = error_set(ERROR_REFUSED,
			"<cmdline> has numa_balancing=%.*s; it would drag far "
			"pages in for nothing. Remove it",
			(int)n, value);
	else if (!code && !value)
		code = add_word(line, "numa_balancing=disable");
	if (!code)
		*out = error_memory(strdup(line));
	return code;
}

static bool isa_serial(const xmlNode *serial)
{
	const char *type = xml_attr(xml_child(serial, "target"), "type");

	return !type || !strcmp(type, "isa-serial");
}

/* A lone <console> is libvirt's shorthand for the first serial port: written out. */
static void console_to_serial(xmlNode *devices)
{
	xmlNode *console = xml_child(devices, "console"), *serial = NULL;
	const char *type;

	for (; console; console = xml_next(console)) {
		type = xml_attr(xml_child(console, "target"), "type");
		if (!type || !strcmp(type, "serial"))
			break;
	}
	if (console) {
		serial = error_memory(xmlCopyNode(console, 1));
		xmlNodeSetName(serial, BAD_CAST "serial");
		xml_remove(xml_child(serial, "target"));
		xml_remove(xml_child(serial, "alias"));
		xml_remove(xml_child(serial, "address"));
		xmlAddChild(devices, serial);
		xml_remove(console);
	} else {
		serial = xml_add(devices, NULL, "serial", NULL);
		xml_set(serial, "type", "pty");
	}
}

int guestos_serial(xmlNode *devices)
{
	unsigned ports = 0;
	xmlNode *serial, *target;

	for (serial = xml_child(devices, "serial"); serial; serial = xml_next(serial))
		ports += isa_serial(serial);
	if (ports > 1)
		return error_set(ERROR_REFUSED,
			"the domain has %u serial ports: the second one is the VMM's management "
			"channel. Keep one <serial>, use virtio consoles for more",
			ports);
	if (ports == 0)
		console_to_serial(devices);
	serial = xml_add(devices, NULL, "serial", NULL);
	xml_set(serial, "type", "pty");
	target = xml_add(serial, NULL, "target", NULL);
	xml_set(target, "type", "isa-serial");
	xml_set(target, "port", "1");
	xml_set(xml_add(serial, NULL, "alias", NULL), "name", DEVICES_MANAGE);
	return 0;
}

static void add_file(xmlNode *sysinfo, const char *name, const char *path)
{
	xmlNode *entry = xml_add(sysinfo, NULL, "entry", NULL);

	xml_set(entry, "name", name);
	xml_set(entry, "file", path);
}

static void add_own_file(
	xmlNode *sysinfo, const char *name, const char *directory, const char *file)
{
	size_t size = strlen(directory) + strlen(file) + 2;
	char *path = error_memory(malloc(size));

	snprintf(path, size, "%s/%s", directory, file);
	add_file(sysinfo, name, path);
	free(path);
}

void guestos_replace(
	xmlNode *domain, const char *vmm, const char *directory, const struct wish *wish)
{
	xmlNode *os = xml_child(domain, "os"), *sysinfo = xml_child(domain, "sysinfo");
	char vcpus[16];

	xml_remove(xml_child(os, "initrd"));
	xml_remove(xml_child(os, "cmdline"));
	xml_remove(xml_child(os, "kernel"));
	xml_add(os, NULL, "kernel", vmm);
	while (sysinfo && !xml_attr_is(sysinfo, "type", "fwcfg"))
		sysinfo = xml_next(sysinfo);
	if (!sysinfo) {
		sysinfo = xml_add(domain, NULL, "sysinfo", NULL);
		xml_set(sysinfo, "type", "fwcfg");
	}
	guestos_strip_files(sysinfo);
	if (wish->kernel) {
		add_file(sysinfo, CONFIG_FILE_KERNEL, wish->kernel);
		add_own_file(sysinfo, CONFIG_FILE_CMDLINE, directory, "cmdline");
	}
	if (wish->initrd)
		add_file(sysinfo, CONFIG_FILE_INITRD, wish->initrd);
	add_own_file(sysinfo, CONFIG_FILE_CONFIG, directory, "config");
	snprintf(vcpus, sizeof(vcpus), "%u", wish->vcpus + wish->service_core);
	xmlNodeSetContent(xml_ensure(domain, "vcpu"), BAD_CAST vcpus);
}

void guestos_strip_files(xmlNode *sysinfo)
{
	xmlNode *next;

	for (xmlNode *n = xml_child(sysinfo, "entry"); n; n = next) {
		const char *name = xml_attr(n, "name");

		next = xml_next(n);
		if (name && !strncmp(name, FW_CFG, sizeof(FW_CFG) - 1))
			xml_remove(n);
	}
}
