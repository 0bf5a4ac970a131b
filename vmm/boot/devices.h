/* SPDX-License-Identifier: MIT */
/* Which devices are the VMM's own, and where PCI lives. Boot only. */
#ifndef ANNEX_DEVICES_H
#define ANNEX_DEVICES_H

#include "machine/layout.h"
#include "machine/pci.h"

/* PCI windows, bridge windows and BARs above 4 GiB; returns how many. */
unsigned devices_busy(struct layout_range *range, unsigned room);

/*
 * Checks that the fabric NIC is what the configuration says (stops the boot naming what is there
 * instead), maps its BARs for the VMM, and fills the hidden table.
 */
void devices_hide(pci_address nic);

#endif
