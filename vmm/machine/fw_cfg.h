/* SPDX-License-Identifier: MIT */
/* QEMU's firmware configuration device (QEMU docs/specs/fw_cfg). Boot CPU, boot only. */
#ifndef ANNEX_FW_CFG_H
#define ANNEX_FW_CFG_H

#include <stdbool.h>
#include <stdint.h>

#define FW_CFG_PORT_FIRST 0x510
#define FW_CFG_PORT_LAST  0x51b

struct fw_cfg_file {
	uint32_t bytes;
	uint16_t selector;
};

/* False if there is no such device. Asks its ports: only where something says that this is QEMU. */
bool fw_cfg_init(void);

/* fw_cfg_init() has found it. */
bool fw_cfg_there(void);

bool fw_cfg_find(const char *name, struct fw_cfg_file *file);

/* Reads bytes offset..offset+bytes of the file, which must have them. */
void fw_cfg_read(const struct fw_cfg_file *file, uint32_t offset, void *to, uint32_t bytes);

#endif
