/* SPDX-License-Identifier: MIT */
/*
 * The files that the VMM was given, from fw_cfg or as the loader's modules in memory. Boot CPU, boot
 * only. A module lies anywhere in RAM: whoever writes to RAM outside the image before the files are
 * read looks at payload_place() first.
 */
#ifndef ANNEX_PAYLOAD_H
#define ANNEX_PAYLOAD_H

#include <stdbool.h>
#include <stdint.h>
#include "machine/layout.h"

enum payload {
	PAYLOAD_KERNEL,
	PAYLOAD_INITRD,
	PAYLOAD_CMDLINE, /* of the guest's kernel, without NUL */
	PAYLOAD_CONFIG,
	PAYLOAD_FILES,
};

/* All files come from fw_cfg (fw_cfg_init() has found it); without this, they are modules. */
void payload_use_fw_cfg(void);

/* A file that lies in memory; false if it was given before. */
bool payload_add(enum payload file, const void *data, uint32_t bytes);

/* Forgets all files: for the host's tests. */
void payload_forget(void);

/* Its size, or false if it was not given. */
bool payload_find(enum payload file, uint32_t *bytes);

/* The same; without the file the boot stops, saying where it was looked for. */
uint32_t payload_need(enum payload file);

/* Copies bytes offset..offset+bytes of the file, which must have them. The target may overlap. */
void payload_read(enum payload file, uint32_t offset, void *to, uint32_t bytes);

/* Where the file lies in RAM; no bytes if it does not. */
struct layout_range payload_place(enum payload file);

#endif
