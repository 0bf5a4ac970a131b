/* SPDX-License-Identifier: MIT */
/* The guest's kernel: 64-bit boot protocol of Linux (Documentation/arch/x86/boot.rst). Boot only. */
#ifndef ANNEX_LINUX_H
#define ANNEX_LINUX_H

#include <stdint.h>
#include "machine/memmap.h"
#include "virt/virt.h"

/*
 * Loads kernel, initrd and command line from fw_cfg into pinned memory and prepares everything that
 * the kernel's 64-bit entry wants. Stops the boot with what is wrong with them.
 */
void linux_load(const struct memmap *map, uint64_t rsdp, struct virt_entry *entry);

#endif
