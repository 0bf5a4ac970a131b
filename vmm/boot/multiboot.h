/* SPDX-License-Identifier: MIT */
/*
 * Started by GRUB (Multiboot2 Specification 2.0, chapter 3.6: boot information). Neutral: also built
 * for the host's tests. Modules are told apart by their string's first word, CONFIG_MODULE_*
 * (annex/config.h); what follows `kernel` is the guest's command line.
 */
#ifndef ANNEX_MULTIBOOT_H
#define ANNEX_MULTIBOOT_H

#include "boot/start.h"

#define MULTIBOOT_MAGIC 0x36d76289u

/* Boot only: looks for the screen alone, so that it can show what is wrong with the rest. */
void multiboot_find_display(const void *information, struct display *display);

/*
 * Boot only, before any memory but the image is written: the information may lie anywhere. Stops the
 * boot with what is wrong with it or with the modules. Of what it says only the modules' contents
 * and the command line stay where they are (boot/payload.h).
 */
void multiboot_read(const void *information, struct start *start);

#endif
