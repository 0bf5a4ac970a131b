/* SPDX-License-Identifier: MIT */
/*
 * A guest that boots from its own disk by the machine's BIOS, which has run before the VMM and stays
 * in memory: the guest begins with the boot sector of the first disk, and what the BIOS says of
 * memory and ACPI is the VMM's. Boot only.
 */
#ifndef ANNEX_BIOS_H
#define ANNEX_BIOS_H

#include <stdint.h>
#include "machine/memmap.h"
#include "virt/virt.h"

/* After virt_build_slat(). Stops the boot where there is no BIOS. */
void bios_start(const struct memmap *map, uint64_t rsdp, struct virt_entry *entry);

#endif
