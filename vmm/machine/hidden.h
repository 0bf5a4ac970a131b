/* SPDX-License-Identifier: MIT */
/*
 * The one table of what the guest must not see (architecture section 3): ports, PCI functions and
 * physical ranges that read as absent (all ones) and ignore writes. Filled at boot; virt/ enforces
 * it for ports and configuration space, slat/ leaves the ranges unmapped.
 */
#ifndef ANNEX_HIDDEN_H
#define ANNEX_HIDDEN_H

#include <stdbool.h>
#include <stdint.h>

enum hidden_kind {
	HIDDEN_PORTS, /* first..last are I/O ports */
	HIDDEN_PCI, /* first = last = pci_address */
	HIDDEN_MEMORY, /* first..last are physical addresses, whole pages: BARs, ECAM slots */
};

struct hidden {
	enum hidden_kind kind;
	uint64_t first;
	uint64_t last; /* inclusive */
	const char *what;
};

/* Boot only; stops the boot if the table is full. */
void hidden_add(enum hidden_kind kind, uint64_t first, uint64_t last, const char *what);

/* The row that covers any of first..last, or NULL. Any CPU. */
const struct hidden *hidden_find(enum hidden_kind kind, uint64_t first, uint64_t last);

unsigned hidden_count(void);
const struct hidden *hidden_row(unsigned index);

#endif
