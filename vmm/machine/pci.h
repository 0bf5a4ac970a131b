/* SPDX-License-Identifier: MIT */
/* PCI configuration space by ports 0xcf8/0xcfc, for boot and the service core's own card. */
#ifndef ANNEX_PCI_H
#define ANNEX_PCI_H

#include <stdbool.h>
#include <stdint.h>

typedef uint16_t pci_address; /* bus << 8 | device << 3 | function */

uint32_t pci_read32(pci_address a, unsigned offset);
uint16_t pci_read16(pci_address a, unsigned offset);
uint8_t pci_read8(pci_address a, unsigned offset);
void pci_write32(pci_address a, unsigned offset, uint32_t value);
void pci_write16(pci_address a, unsigned offset, uint16_t value);
void pci_write8(pci_address a, unsigned offset, uint8_t value);

struct pci_bar {
	uint64_t base;
	uint64_t bytes;
	bool io;
};

/* Sizes BAR 0..5; false if it is not there. Decoding is switched off meanwhile. */
bool pci_bar(pci_address a, unsigned index, struct pci_bar *bar);

/* Switches the expansion ROM's decoding off for good and sizes it; false if there is none (6.2.5.2). */
bool pci_rom_off(pci_address a, struct pci_bar *rom);

/* Offset of the first capability of that id at or behind `from` (0 = the list's head), or 0. */
unsigned pci_capability(pci_address a, uint8_t id, unsigned from);

/* "00:10.0" */
bool pci_parse(const char *text, pci_address *a);

#endif
