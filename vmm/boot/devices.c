/* SPDX-License-Identifier: MIT */
#include "annex/doorbell.h"
#include "boot/devices.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "machine/acpi.h"
#include "machine/fw_cfg.h"
#include "machine/hidden.h"
#include "machine/paging.h"
#include "nic/card.h"

#define REG_VENDOR              0x00
#define REG_DEVICE              0x02
#define REG_HEADER              0x0e
#define REG_SECONDARY           0x19
#define REG_PREFETCH            0x24
#define REG_PREFETCH_BASE_HIGH  0x28
#define REG_PREFETCH_LIMIT_HIGH 0x2c

#define HEADER_MULTI  0x80
#define HEADER_TYPE   0x7f
#define HEADER_BRIDGE 1
#define BRIDGE_BARS   2u
#define DEVICE_BARS   6u

#define VENDOR_NONE    0xffff
#define VENDOR_VIRTIO  0x1af4
#define DEVICE_BALLOON 0x1045 /* its Linux driver hands out pages without the DMA API */

#define COM2_FIRST 0x2f8
#define COM2_LAST  0x2ff

#define ECAM_PAGE  4096ull
#define PAGE_MASK  4095ull
#define HIGH       (4ull << 30)
#define BUSES_DEEP 8u

struct walk {
	struct layout_range *range;
	unsigned room;
	unsigned count;
};

static void add(struct walk *w, uint64_t start, uint64_t bytes)
{
	if (start + bytes <= HIGH || start + bytes < start)
		return;
	if (w->count == w->room)
		panic_boot("more than %u PCI windows above 4 GiB", w->room);
	w->range[w->count++] = (struct layout_range){start, bytes};
}

static void add_function(struct walk *w, pci_address a, unsigned bars)
{
	struct pci_bar bar;

	for (unsigned i = 0; i < bars; i++) {
		/* Sized only when it lies high: sizing switches the device's decoding off. */
		uint32_t low = pci_read32(a, 0x10 + 4 * i);

		if ((low & 7) != 4)
			continue;
		if (pci_read32(a, 0x14 + 4 * i) && pci_bar(a, i, &bar))
			add(w, bar.base, bar.bytes);
		i++;
	}
}

static void add_bus(struct walk *w, unsigned bus, unsigned depth);

static void add_bridge(struct walk *w, pci_address a, unsigned depth)
{
	uint32_t window = pci_read32(a, REG_PREFETCH);
	uint64_t base = (uint64_t)pci_read32(a, REG_PREFETCH_BASE_HIGH) << 32 | (window & 0xfff0)
											<< 16;
	uint64_t limit = (uint64_t)pci_read32(a, REG_PREFETCH_LIMIT_HIGH) << 32 |
			 (window & 0xfff00000) | 0xfffff;
	unsigned secondary = pci_read8(a, REG_SECONDARY);

	if ((window & 0xf) == 1 && limit > base)
		add(w, base, limit - base + 1);
	if (secondary > a >> 8 && depth < BUSES_DEEP)
		add_bus(w, secondary, depth + 1);
}

static void add_bus(struct walk *w, unsigned bus, unsigned depth)
{
	for (unsigned f = 0; f < 256; f++) {
		pci_address a = (pci_address)(bus << 8 | f);
		bool bridge;

		if (pci_read16(a, REG_VENDOR) == VENDOR_NONE) {
			if (!(f & 7))
				f |= 7;
			continue;
		}
		bridge = (pci_read8(a, REG_HEADER) & HEADER_TYPE) == HEADER_BRIDGE;
		add_function(w, a, bridge ? BRIDGE_BARS : DEVICE_BARS);
		if (bridge)
			add_bridge(w, a, depth);
		if (!(f & 7) && !(pci_read8(a, REG_HEADER) & HEADER_MULTI))
			f |= 7;
	}
}

unsigned devices_busy(struct layout_range *range, unsigned room)
{
	struct walk w = {range, room, 0};
	unsigned n = acpi_windows(range, room), kept = 0;

	for (unsigned i = 0; i < n; i++) {
		if (range[i].start + range[i].bytes > HIGH)
			range[kept++] = range[i];
	}
	w.count = kept;
	add_bus(&w, 0, 0);
	return w.count;
}

static void hide_memory(const struct pci_bar *bar, const char *what)
{
	hidden_add(HIDDEN_MEMORY, bar->base & ~PAGE_MASK, (bar->base + bar->bytes - 1) | PAGE_MASK,
		what);
}

static void hide_function(pci_address a, const char *what)
{
	uint64_t ecam = acpi_ecam();
	struct pci_bar bar;

	hidden_add(HIDDEN_PCI, a, a, what);
	if (ecam)
		hidden_add(HIDDEN_MEMORY, ecam + a * ECAM_PAGE, ecam + a * ECAM_PAGE + PAGE_MASK,
			what);
	for (unsigned i = 0; i < DEVICE_BARS; i++) {
		if (!pci_bar(a, i, &bar) || !bar.base)
			continue;
		if (bar.io) {
			hidden_add(HIDDEN_PORTS, bar.base, bar.base + bar.bytes - 1, what);
			continue;
		}
		hide_memory(&bar, what);
		if (bar.base + bar.bytes > HIGH)
			paging_map(bar.base, bar.bytes, true);
	}
	if (pci_rom_off(a, &bar) && bar.base)
		hide_memory(&bar, what);
}

static void check_nic(pci_address a)
{
	uint16_t vendor = pci_read16(a, REG_VENDOR), device = pci_read16(a, REG_DEVICE);
	unsigned bus = a >> 8, slot = a >> 3 & 31, function = a & 7;

	if (bus)
		panic_boot("config nic = %02x:%02x.%x: the fabric NIC must lie on the root bus 00",
			bus, slot, function);
	if (vendor == VENDOR_NONE)
		panic_boot("config nic = %02x:%02x.%x: there is no device", bus, slot, function);
	if (!card_find(vendor, device))
		panic_boot("config nic = %02x:%02x.%x: found %04x:%04x, not " CARD_KNOWN, bus, slot,
			function, vendor, device);
	log_info("nic: %s at %02x:%02x.%x", card_find(vendor, device), bus, slot, function);
}

void devices_hide(pci_address nic)
{
	check_nic(nic);
	hide_function(nic, "fabric NIC");
	if (fw_cfg_there())
		hidden_add(HIDDEN_PORTS, FW_CFG_PORT_FIRST, FW_CFG_PORT_LAST, "fw_cfg");
	/* Its one use is picked out before this table is asked (virt/bell.h). */
	hidden_add(HIDDEN_PORTS, DOORBELL_PORT, DOORBELL_PORT + 3, "doorbell");
	hidden_add(HIDDEN_PORTS, COM2_FIRST, COM2_LAST, "management port");
	for (unsigned f = 0; f < 256; f++) {
		if (pci_read16((pci_address)f, REG_VENDOR) == VENDOR_VIRTIO &&
			pci_read16((pci_address)f, REG_DEVICE) == DEVICE_BALLOON)
			hide_function((pci_address)f, "balloon");
	}
	for (unsigned i = 0; i < hidden_count(); i++) {
		const struct hidden *h = hidden_row(i);
		static const char *const kinds[] = {"ports", "PCI", "memory"};

		log_debug("hidden: %s, %s %lx-%lx", h->what, kinds[h->kind],
			(unsigned long)h->first, (unsigned long)h->last);
	}
}
