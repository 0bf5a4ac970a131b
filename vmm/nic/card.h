/* SPDX-License-Identifier: MIT */
/* Which cards there are drivers for. */
#ifndef ANNEX_CARD_H
#define ANNEX_CARD_H

#include "machine/pci.h"
#include "nic/nic.h"

/* What card_find() knows, for people. */
#define CARD_KNOWN                                                                                 \
	"a modern-only virtio-net card (1af4:1041) or an Intel 82540EM or 82545EM "                \
	"(8086:100e, 8086:100f)"

/* The driver's name for a card of these PCI ids, or NULL. */
const char *card_find(uint16_t vendor, uint16_t device);

/*
 * Binds the card at `address` to the driver for its PCI ids; nic->ops->start() then resets it. Boot
 * only. 0, or -1 with *reason.
 */
int card_bind(struct nic *nic, pci_address address, const char **reason);

#endif
