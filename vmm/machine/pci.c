/* SPDX-License-Identifier: MIT */
/* Configuration mechanism 1 (PCI Local Bus 3.0, 3.2.2.3.2). */
#include "machine/pci.h"
#include "machine/x86.h"

#define PORT_ADDRESS 0xcf8
#define PORT_DATA    0xcfc

#define REG_COMMAND      0x04
#define REG_STATUS       0x06
#define REG_BAR          0x10
#define REG_ROM          0x30
#define REG_CAPABILITIES 0x34
#define COMMAND_DECODE   0x3u
#define STATUS_LIST      0x10u

#define BAR_IO    0x1u
#define BAR_TYPE  0x6u
#define BAR_64BIT 0x4u

#define ROM_ADDRESS 0xfffff800u

static void select(pci_address a, unsigned offset)
{
	out32(PORT_ADDRESS, 0x80000000u | (uint32_t)a << 8 | (offset & 0xfc));
}

uint32_t pci_read32(pci_address a, unsigned offset)
{
	select(a, offset);
	return in32(PORT_DATA);
}

uint16_t pci_read16(pci_address a, unsigned offset)
{
	select(a, offset);
	return in16(PORT_DATA + (offset & 2));
}

uint8_t pci_read8(pci_address a, unsigned offset)
{
	select(a, offset);
	return in8(PORT_DATA + (offset & 3));
}

void pci_write32(pci_address a, unsigned offset, uint32_t value)
{
	select(a, offset);
	out32(PORT_DATA, value);
}

void pci_write16(pci_address a, unsigned offset, uint16_t value)
{
	select(a, offset);
	out16(PORT_DATA + (offset & 2), value);
}

void pci_write8(pci_address a, unsigned offset, uint8_t value)
{
	select(a, offset);
	out8(PORT_DATA + (offset & 3), value);
}

static uint32_t probe(pci_address a, unsigned offset)
{
	uint32_t old = pci_read32(a, offset), mask;

	pci_write32(a, offset, 0xffffffffu);
	mask = pci_read32(a, offset);
	pci_write32(a, offset, old);
	return mask;
}

bool pci_bar(pci_address a, unsigned index, struct pci_bar *bar)
{
	unsigned offset = REG_BAR + 4 * index;
	uint16_t command = pci_read16(a, REG_COMMAND);
	uint32_t low = pci_read32(a, offset);
	uint64_t mask;

	/* The upper half of a 64-bit BAR is no BAR of its own. */
	if (index && !(pci_read32(a, offset - 4) & BAR_IO) &&
		(pci_read32(a, offset - 4) & BAR_TYPE) == BAR_64BIT) {
		struct pci_bar lower;

		if (pci_bar(a, index - 1, &lower))
			return false;
	}
	pci_write16(a, REG_COMMAND, command & ~COMMAND_DECODE);
	mask = probe(a, offset);
	bar->io = low & BAR_IO;
	if (bar->io) {
		bar->base = low & ~3u;
		bar->bytes = (uint16_t) ~(mask & ~3u) + 1u;
	} else if ((low & BAR_TYPE) == BAR_64BIT && index < 5) {
		bar->base = (uint64_t)pci_read32(a, offset + 4) << 32 | (low & ~0xfu);
		bar->bytes = ~((uint64_t)probe(a, offset + 4) << 32 | (mask & ~0xfu)) + 1;
	} else {
		bar->base = low & ~0xfu;
		bar->bytes = (uint32_t)(~(mask & ~0xfu) + 1);
	}
	pci_write16(a, REG_COMMAND, command);
	return mask != 0;
}

bool pci_rom_off(pci_address a, struct pci_bar *rom)
{
	uint32_t base = pci_read32(a, REG_ROM) & ROM_ADDRESS, mask;

	pci_write32(a, REG_ROM, ROM_ADDRESS); /* all ones, but for the bit that enables it */
	mask = pci_read32(a, REG_ROM) & ROM_ADDRESS;
	pci_write32(a, REG_ROM, base);
	*rom = (struct pci_bar){.base = base, .bytes = (uint32_t)(~mask + 1)};
	return mask != 0;
}

unsigned pci_capability(pci_address a, uint8_t id, unsigned from)
{
	unsigned at = from;

	if (!from) {
		if (!(pci_read16(a, REG_STATUS) & STATUS_LIST))
			return 0;
		at = pci_read8(a, REG_CAPABILITIES) & 0xfc;
	}
	/* 48 capabilities fill the space: more is a loop. */
	for (unsigned i = 0; at >= 0x40 && i < 48; i++) {
		if (pci_read8(a, at) == id)
			return at;
		at = pci_read8(a, at + 1) & 0xfc;
	}
	return 0;
}
