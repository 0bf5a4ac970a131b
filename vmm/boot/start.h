/* SPDX-License-Identifier: MIT */
/*
 * What the loader gave, whichever it was: boot/pvh.c (QEMU, libvirt) and boot/multiboot.c (GRUB) fill
 * this and name the payload's files (boot/payload.h). After that nobody asks how the VMM was started.
 */
#ifndef ANNEX_START_H
#define ANNEX_START_H

#include <stdint.h>
#include "machine/display.h"
#include "machine/memmap.h"

struct start {
	struct memmap map;
	uint64_t rsdp; /* 0: look for it where a BIOS puts it */
	struct display screen;
};

#endif
