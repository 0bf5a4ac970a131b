/* SPDX-License-Identifier: MIT */
/*
 * Intel's gigabit cards 82540EM and 82545EM, as emulated machines have them (the PCI/PCI-X Family of
 * Gigabit Ethernet Controllers Software Developer's Manual, its sections in brackets).
 */
#ifndef ANNEX_E1000_H
#define ANNEX_E1000_H

#include "machine/pci.h"
#include "nic/nic.h"

#define E1000_VENDOR  0x8086u
#define E1000_82540EM 0x100eu
#define E1000_82545EM 0x100fu

/*
 * Binds the card at `address` to `nic`; nic->ops->start() then resets it. It never interrupts
 * (nic->silent is set by start()). 0, or -1 with *reason.
 */
int e1000_bind(struct nic *nic, pci_address address, const char **reason);

#endif
