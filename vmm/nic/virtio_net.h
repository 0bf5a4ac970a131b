/* SPDX-License-Identifier: MIT */
#ifndef ANNEX_VIRTIO_NET_H
#define ANNEX_VIRTIO_NET_H

#include "machine/pci.h"
#include "nic/nic.h"

/*
 * Binds the modern virtio network card at `address` to `nic`; nic->ops->start() then resets it. The
 * RX interrupt comes as APIC_VECTOR_NIC to the CPU that calls start(). 0, or -1 with *reason.
 */
int virtio_net_bind(struct nic *nic, pci_address address, const char **reason);

#endif
