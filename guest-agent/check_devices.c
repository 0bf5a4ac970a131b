/* SPDX-License-Identifier: MIT */
/*
 * Devices that could DMA into far memory. With swiotlb=force the kernel's DMA API bounces through pinned
 * memory; what goes around it is looked for here: drivers that let user space do DMA, virtio devices that
 * are given guest-physical addresses, and IOMMUs, with which the kernel maps pages in place.
 */
#include "guest-agent/check_parts.h"

#include <stdio.h>
#include <string.h>

#include "guest-agent/tree.h"

#define NAMES_MAX       120u
#define DEVICES_MAX     4096u
#define ACCESS_PLATFORM 33u /* VIRTIO_F_ACCESS_PLATFORM */

struct found {
	unsigned devices; /* with a driver */
	unsigned bad;
	char names[NAMES_MAX]; /* of the bad ones, as many as fit */
};

static void note(struct found *f, const char *device, const char *driver)
{
	size_t length = strlen(f->names);

	f->bad++;
	int n = snprintf(f->names + length, sizeof(f->names) - length, "%s%s (%s)",
		length ? ", " : "", device, driver);

	if (n < 0 || (size_t)n >= sizeof(f->names) - length)
		f->names[length] = 0;
}

/* Calls each() for every device of a bus that has a driver. False: there is no such bus. */
static bool each_device(const struct check_context *c, const char *bus, struct found *f,
	void (*each)(const struct check_context *c, struct found *f, const char *device,
		const char *driver))
{
	char path[TREE_PATH], driver[64];

	snprintf(path, sizeof(path), "/sys/bus/%s/devices", bus);
	DIR *dir = tree_list(c->root, path);

	if (!dir)
		return false;
	for (struct dirent *e; (e = readdir(dir)) && f->devices < DEVICES_MAX;) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/sys/bus/%s/devices/%s/driver", bus, e->d_name);
		if (!tree_link(c->root, path, driver, sizeof(driver)))
			continue;
		f->devices++;
		each(c, f, e->d_name, driver);
	}
	closedir(dir);
	return true;
}

static void look_at_pci(
	const struct check_context *c, struct found *f, const char *device, const char *driver)
{
	(void)c;
	if (strstr(driver, "vfio") || strcmp(driver, "uio_pci_generic") == 0 ||
		strcmp(driver, "igb_uio") == 0)
		note(f, device, driver);
}

static void pci(struct check_context *c)
{
	struct found f = {0};

	if (!each_device(c, "pci", &f, look_at_pci))
		check_add(c, CHECK_OK, "pci", "no bus");
	else if (f.bad)
		check_add(c, CHECK_FAIL, "pci",
			"%u device%s given to user space or a nested guest would DMA into far "
			"memory: %s; "
			"unbind them",
			f.bad, f.bad == 1 ? "" : "s", f.names);
	else
		check_add(c, CHECK_OK, "pci", "%u device%s, all by the DMA API", f.devices,
			f.devices == 1 ? "" : "s");
}

/* One character a feature bit, from bit 0 on: those that device and driver agreed on. */
static void look_at_virtio(
	const struct check_context *c, struct found *f, const char *device, const char *driver)
{
	char bits[160];

	int n = tree_readf(
		c->root, bits, sizeof(bits), "/sys/bus/virtio/devices/%.32s/features", device);

	if (n <= (int)ACCESS_PLATFORM || bits[ACCESS_PLATFORM] != '1')
		note(f, device, driver);
}

static void virtio(struct check_context *c)
{
	struct found f = {0};

	if (!each_device(c, "virtio", &f, look_at_virtio) || f.devices == 0)
		check_add(c, CHECK_OK, "virtio", "no devices");
	else if (f.bad)
		check_add(c, CHECK_FAIL, "virtio",
			"%u device%s without VIRTIO_F_ACCESS_PLATFORM would DMA into far memory: "
			"%s; "
			"<driver iommu='on'/> in the domain",
			f.bad, f.bad == 1 ? "" : "s", f.names);
	else
		check_add(c, CHECK_OK, "virtio", "%u device%s, all by the DMA API", f.devices,
			f.devices == 1 ? "" : "s");
}

/* A group of type DMA or DMA-FQ: its devices' mappings go through the IOMMU and not through swiotlb. */
static void iommu(struct check_context *c)
{
	DIR *dir = tree_list(c->root, "/sys/kernel/iommu_groups");
	unsigned groups = 0, translated = 0;
	char type[32];

	for (struct dirent *e; dir && (e = readdir(dir)) && groups < DEVICES_MAX;) {
		if (e->d_name[0] == '.')
			continue;
		groups++;
		tree_readf(c->root, type, sizeof(type), "/sys/kernel/iommu_groups/%.32s/type",
			e->d_name);
		translated += strncmp(type, "DMA", 3) == 0;
	}
	if (dir)
		closedir(dir);
	if (translated)
		check_add(c, CHECK_FAIL, "iommu",
			"%u device group%s translated by an IOMMU, past swiotlb, into far memory: "
			"iommu=pt on "
			"the command line",
			translated, translated == 1 ? " is" : "s are");
	else
		check_add(c, CHECK_OK, "iommu", groups ? "passed through" : "none");
}

void check_devices_add(struct check_context *c)
{
	iommu(c);
	pci(c);
	virtio(c);
}
