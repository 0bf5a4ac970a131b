/* SPDX-License-Identifier: MIT */
/* The guest's kernel: 64-bit boot protocol of Linux (Documentation/arch/x86/boot.rst). Boot only. */
#ifndef ANNEX_LINUX_H
#define ANNEX_LINUX_H

#include <stdint.h>
#include "boot/start.h"
#include "virt/virt.h"

/*
 * Copies the payload's kernel and initrd into pinned memory: after layout_make(), and before anything
 * else writes to RAM outside the image, because modules lie there. Stops the boot with what is wrong
 * with them or with the command line.
 */
void linux_load(void);

/* Prepares everything that the kernel's 64-bit entry wants; rsdp is the guest's (boot/tables.h). */
void linux_start(const struct start *start, uint64_t rsdp, struct virt_entry *entry);

/* Logs a kernel's command line; stops the guest if it lacks what far memory needs. */
void linux_check_cmdline(const char *cmdline);

#endif
