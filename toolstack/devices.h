/* SPDX-License-Identifier: MIT */
/*
 * The devices of a guest's domain. Far memory has no RAM behind it, so each device must do its DMA
 * through the guest's DMA API (which bounces it through pinned memory): known models are accepted,
 * virtio ones made to say so (VIRTIO_F_ACCESS_PLATFORM), everything else is refused by name.
 */
#ifndef ANNEX_DEVICES_H
#define ANNEX_DEVICES_H

#include <libxml/tree.h>

/* Our own devices carry these user aliases, which libvirt keeps. */
#define DEVICES_FABRIC "ua-annex-fabric" /* the VMM's NIC */
#define DEVICES_MANAGE "ua-annex-manage" /* the second serial port */
#define DEVICES_KEEP   "ua-annex-keep" /* what makes QEMU refuse save and migration */

/* Takes our own devices out, as a former define has put them in. */
void devices_strip(xmlNode *devices);

/* Checks and adjusts the user's devices. Returns 0, or ERROR_REFUSED naming the device. */
int devices_check(xmlNode *devices);

/*
 * The lowest of the slots 0x10..0x1c on the root bus for which no device gives an address, and
 * which is not in `taken` (a bit per slot); 0 when there is none.
 */
unsigned devices_free_slot(const xmlNode *devices, unsigned taken);

#endif
