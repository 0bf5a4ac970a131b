/* SPDX-License-Identifier: MIT */
/* Started by PVH (Xen's docs/misc/pvh.pandoc): QEMU and libvirt; the payload is in fw_cfg. */
#ifndef ANNEX_PVH_H
#define ANNEX_PVH_H

#include <xen/arch-x86/hvm/start_info.h>
#include "boot/start.h"

#define PVH_MAGIC XEN_HVM_START_MAGIC_VALUE

/* Boot only, before any memory but the image is written. Stops the boot if the map is missing. */
void pvh_read(const struct hvm_start_info *info, struct start *start);

#endif
