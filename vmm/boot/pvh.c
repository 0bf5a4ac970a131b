/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include "boot/payload.h"
#include "boot/pvh.h"
#include "lib/panic.h"
#include "machine/fw_cfg.h"

void pvh_read(const struct hvm_start_info *info, struct start *start)
{
	const struct hvm_memmap_table_entry *entry;

	if (info->magic != XEN_HVM_START_MAGIC_VALUE)
		panic_boot("not started by PVH: the start_info's magic is %x", info->magic);
	if (info->version < 1 || !info->memmap_entries)
		panic_boot(
			"the loader gave no memory map (hvm_start_info version %u)", info->version);
	entry = (const void *)info->memmap_paddr;
	for (uint32_t i = 0; i < info->memmap_entries; i++)
		memmap_add(&start->map, entry[i].addr, entry[i].size, entry[i].type);
	start->rsdp = info->rsdp_paddr;
	if (!fw_cfg_init())
		panic_boot("no fw_cfg device: the VMM takes its kernel and configuration from it");
	payload_use_fw_cfg();
}
