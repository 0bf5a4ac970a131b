/* SPDX-License-Identifier: MIT */
/*
 * What the loader gave, whichever it was: boot/pvh.c (QEMU, libvirt) and boot/multiboot.c (GRUB) fill
 * this and name the payload's files (boot/payload.h). After that nobody asks how the VMM was started.
 */
#ifndef ANNEX_START_H
#define ANNEX_START_H

#include <stdint.h>
#include "machine/memmap.h"

enum start_screen_kind {
	START_SCREEN_NONE,
	START_SCREEN_TEXT, /* VGA text: width and height are columns and lines */
	START_SCREEN_PIXELS, /* direct colour */
};

struct start_color {
	uint8_t position;
	uint8_t bits;
};

struct start_screen {
	enum start_screen_kind kind;
	uint64_t base; /* physical */
	uint32_t pitch; /* bytes of a line */
	uint32_t width, height; /* pixels; at most 65535 */
	uint8_t depth; /* bits of a pixel */
	struct start_color red, green, blue;
};

struct start {
	struct memmap map;
	uint64_t rsdp; /* 0: look for it where a BIOS puts it */
	struct start_screen screen;
};

#endif
