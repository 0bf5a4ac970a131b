/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/devices.h"
#include "toolstack/error.h"
#include "toolstack/xml.h"

#define MODERN "virtio-non-transitional"

static bool listed(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(word, *words))
			return true;
	return false;
}

static int refuse(const char *device, const char *reason)
{
	return error_set(ERROR_REFUSED, "%s is refused: %s", device, reason);
}

/*
 * "virtio" alone is a device that also speaks the old protocol when it lies on a conventional bus;
 * QEMU refuses the IOMMU flag there, and an old driver would ignore it.
 */
static int modern(xmlNode *node, const char *attribute, const char *device)
{
	if (xml_attr_is(node, attribute, "virtio-transitional")) {
		char name[96];

		snprintf(name, sizeof(name), "%s model virtio-transitional", device);
		return refuse(name,
			"its old protocol passes the DMA API by and would write into far "
			"memory. Use model virtio-non-transitional");
	}
	xml_set(node, attribute, MODERN);
	return 0;
}

static void platform(xmlNode *device)
{
	xml_set(xml_ensure(device, "driver"), "iommu", "on");
}

static int check_disk(xmlNode *disk)
{
	static const char *const fine[] = {"sata", "ide", "scsi", "usb", NULL};
	const xmlNode *target = xml_child(disk, "target");
	const char *bus = xml_attr(target, "bus"), *dev = xml_attr(target, "dev");
	char name[64];

	if (xml_attr_is(disk, "type", "nvme") || xml_attr_is(disk, "type", "vhostuser") ||
		xml_attr_is(disk, "type", "vhostvdpa")) {
		snprintf(name, sizeof(name), "disk of type %.32s", xml_attr(disk, "type"));
		return refuse(name,
			"the host would do DMA to guest memory behind the VMM's back. Use "
			"a disk of type file, block or network");
	}
	if (!bus)
		bus = dev && !strncmp(dev, "vd", 2)   ? "virtio"
		      : dev && !strncmp(dev, "hd", 2) ? "ide"
		      : dev && !strncmp(dev, "sd", 2) ? "scsi"
						      : "unknown";
	if (!strcmp(bus, "virtio")) {
		platform(disk);
		return modern(disk, "model", "disk");
	}
	if (listed(bus, fine))
		return 0;
	snprintf(name, sizeof(name), "disk on bus %.32s", bus);
	return refuse(name, "not known to use the DMA API. Use bus virtio, sata, scsi, ide or usb");
}

static int check_interface(xmlNode *interface)
{
	static const char *const fine[] = {"e1000", "e1000e", "rtl8139", "vmxnet3", NULL};
	static const char *const direct[] = {"hostdev", "vhostuser", "vdpa", NULL};
	const char *type = xml_attr(interface, "type");
	xmlNode *model = xml_child(interface, "model");
	const char *kind = xml_attr(model, "type");
	char name[64];

	if (type && listed(type, direct)) {
		snprintf(name, sizeof(name), "interface of type %s", type);
		return refuse(name,
			"it does DMA to guest memory from outside QEMU. Use type bridge, "
			"network or user");
	}
	if (!kind || listed(kind, fine))
		return 0;
	if (!strncmp(kind, "virtio", 6)) {
		platform(interface);
		return modern(model, "type", "interface");
	}
	snprintf(name, sizeof(name), "interface model %.32s", kind);
	return refuse(name, "not known to use the DMA API. Use virtio, e1000e, e1000 or rtl8139");
}

static int check_controller(xmlNode *controller)
{
	static const char *const types[] = {"usb", "ide", "sata", "pci", "ccid", NULL};
	static const char *const scsi[] = {"lsilogic", "auto", NULL};
	const char *type = xml_attr(controller, "type"), *model = xml_attr(controller, "model");
	char name[96];

	if (!type || listed(type, types))
		return 0;
	if (!strcmp(type, "virtio-serial") ||
		(!strcmp(type, "scsi") && model && !strncmp(model, "virtio", 6))) {
		if (model && !strcmp(model, "virtio-scsi"))
			xml_set(controller, "model", MODERN);
		platform(controller);
		return modern(controller, "model", "controller");
	}
	if (!strcmp(type, "scsi") && (!model || listed(model, scsi)))
		return 0;
	snprintf(
		name, sizeof(name), "controller %.32s model %.32s", type, model ? model : "(none)");
	return refuse(
		name, "not known to use the DMA API. For disks use virtio-scsi, sata or virtio");
}

static int check_filesystem(xmlNode *filesystem)
{
	const xmlNode *driver = xml_child(filesystem, "driver");

	if (xml_attr_is(driver, "type", "virtiofs"))
		return refuse("filesystem with driver virtiofs",
			"its daemon maps guest memory from outside QEMU. Use the path driver (9p), "
			"or "
			"a network file system");
	platform(filesystem);
	return modern(filesystem, "model", "filesystem");
}

static int check_input(xmlNode *input)
{
	if (!xml_attr_is(input, "bus", "virtio") && !xml_attr_is(input, "type", "passthrough"))
		return 0;
	platform(input);
	return modern(input, "model", "input");
}

static int check_video(xmlNode *video)
{
	if (!xml_attr_is(xml_child(video, "model"), "type", "virtio"))
		return 0;
	if (xml_attr_is(xml_child(video, "driver"), "name", "vhostuser"))
		return refuse("video with driver vhostuser",
			"its daemon maps guest memory from outside QEMU. Use driver qemu");
	platform(video);
	return 0;
}

static int check_rng(xmlNode *rng)
{
	platform(rng);
	return modern(rng, "model", "rng");
}

static int check_crypto(xmlNode *crypto)
{
	platform(crypto);
	return 0;
}

static int check_balloon(xmlNode *balloon)
{
	const char *model = xml_attr(balloon, "model");
	char name[64];

	if (model && !strcmp(model, "none"))
		return 0;
	snprintf(name, sizeof(name), "memballoon model %.32s", model ? model : "(none given)");
	return refuse(name,
		"its Linux driver ignores the IOMMU flag and would hand far pages to QEMU. "
		"Write <memballoon model='none'/>");
}

static int check_memory(xmlNode *memory)
{
	const char *model = xml_attr(memory, "model");
	char name[64];

	snprintf(name, sizeof(name), "memory device model %.32s", model ? model : "(none)");
	return refuse(name,
		"RAM that comes and goes beside the VMM would be neither pinned nor far. "
		"Give all local memory in <memory>");
}

static int check_hostdev(xmlNode *hostdev)
{
	return refuse("hostdev",
		"a passed-through device does DMA straight to guest memory. Use an "
		"emulated or virtio device");
}

static int check_vsock(xmlNode *vsock)
{
	return refuse("vsock", "its host side reads guest memory from outside QEMU. Use a network "
			       "interface or a virtio-serial channel");
}

static int check_iommu(xmlNode *iommu)
{
	return refuse("iommu",
		"a virtual IOMMU would translate DMA a second time, which the VMM does "
		"not know of. Remove it");
}

static int accept(xmlNode *device)
{
	return 0;
}

static const struct rule {
	const char *element;
	int (*check)(xmlNode *device);
} rules[] = {
	{"emulator", accept},
	{"disk", check_disk},
	{"interface", check_interface},
	{"controller", check_controller},
	{"filesystem", check_filesystem},
	{"input", check_input},
	{"video", check_video},
	{"rng", check_rng},
	{"crypto", check_crypto},
	{"memballoon", check_balloon},
	{"memory", check_memory},
	{"hostdev", check_hostdev},
	{"vsock", check_vsock},
	{"iommu", check_iommu},
	{"serial", accept},
	{"console", accept},
	{"channel", accept},
	{"parallel", accept},
	{"graphics", accept},
	{"audio", accept},
	{"sound", accept},
	{"hub", accept},
	{"smartcard", accept},
	{"redirdev", accept},
	{"redirfilter", accept},
	{"tpm", accept},
	{"watchdog", accept},
	{"panic", accept},
	{"lease", accept},
};

static int check_one(xmlNode *device)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (xml_named(device, rules[i].element))
			return rules[i].check(device);
	return refuse((const char *)device->name,
		"this kind of device is not known to keep its DMA out of far memory. Remove it");
}

/* libvirt would add the controller by itself, but without the IOMMU flag. */
static void add_serial_controller(xmlNode *devices)
{
	bool wanted = false;
	xmlNode *controller;

	for (xmlNode *n = devices->children; n; n = n->next) {
		if (xml_named(n, "controller") && xml_attr_is(n, "type", "virtio-serial"))
			return;
		if ((xml_named(n, "channel") || xml_named(n, "console")) &&
			xml_attr_is(xml_child(n, "target"), "type", "virtio"))
			wanted = true;
	}
	if (!wanted)
		return;
	controller = xml_add(devices, NULL, "controller", NULL);
	xml_set(controller, "type", "virtio-serial");
	xml_set(controller, "index", "0");
	check_controller(controller);
}

int devices_check(xmlNode *devices)
{
	int code = 0;

	add_serial_controller(devices);
	for (xmlNode *n = devices->children; n && !code; n = n->next)
		if (n->type == XML_ELEMENT_NODE)
			code = check_one(n);
	if (!code && !xml_child(devices, "memballoon"))
		xml_set(xml_add(devices, NULL, "memballoon", NULL), "model", "none");
	return code;
}

void devices_strip(xmlNode *devices)
{
	xmlNode *next;

	for (xmlNode *n = devices->children; n; n = next) {
		const char *alias;

		next = n->next;
		if (n->type != XML_ELEMENT_NODE)
			continue;
		alias = xml_attr(xml_child(n, "alias"), "name");
		if (alias && (!strcmp(alias, DEVICES_FABRIC) || !strcmp(alias, DEVICES_MANAGE) ||
				     !strcmp(alias, DEVICES_KEEP)))
			xml_remove(n);
	}
}

unsigned devices_free_slot(const xmlNode *devices, unsigned taken)
{
	for (const xmlNode *n = devices->children; n; n = n->next) {
		const xmlNode *address =
			n->type == XML_ELEMENT_NODE ? xml_child(n, "address") : NULL;
		const char *bus = xml_attr(address, "bus"), *slot = xml_attr(address, "slot");

		if (!xml_attr_is(address, "type", "pci") || !slot)
			continue;
		if (!bus || strtoul(bus, NULL, 0) == 0)
			taken |= 1u << (strtoul(slot, NULL, 0) & 31);
	}
	for (unsigned slot = 0x10; slot <= 0x1c; slot++)
		if (!(taken >> slot & 1))
			return slot;
	return 0;
}
