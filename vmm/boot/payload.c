/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <string.h>
#include "annex/config.h"
#include "boot/payload.h"
#include "lib/panic.h"
#include "machine/fw_cfg.h"

static const struct {
	const char *what;
	const char *fw_cfg;
	const char *module;
} names[PAYLOAD_FILES] = {
	[PAYLOAD_KERNEL] = {"kernel", CONFIG_FILE_KERNEL, CONFIG_MODULE_KERNEL},
	[PAYLOAD_INITRD] = {"initrd", CONFIG_FILE_INITRD, CONFIG_MODULE_INITRD},
	[PAYLOAD_CMDLINE] = {"kernel command line", CONFIG_FILE_CMDLINE, CONFIG_MODULE_KERNEL},
	[PAYLOAD_CONFIG] = {"configuration", CONFIG_FILE_CONFIG, CONFIG_MODULE_CONFIG},
};

static bool from_fw_cfg;
static struct {
	const uint8_t *data; /* NULL: not given */
	uint32_t bytes;
} module[PAYLOAD_FILES];

void payload_use_fw_cfg(void)
{
	from_fw_cfg = true;
}

bool payload_add(enum payload file, const void *data, uint32_t bytes)
{
	if (module[file].data)
		return false;
	module[file].data = data;
	module[file].bytes = bytes;
	return true;
}

void payload_forget(void)
{
	from_fw_cfg = false;
	memset(module, 0, sizeof(module));
}

bool payload_find(enum payload file, uint32_t *bytes)
{
	struct fw_cfg_file f;

	if (!from_fw_cfg) {
		*bytes = module[file].bytes;
		return module[file].data;
	}
	if (!fw_cfg_find(names[file].fw_cfg, &f))
		return false;
	*bytes = f.bytes;
	return true;
}

uint32_t payload_need(enum payload file)
{
	uint32_t bytes;

	if (payload_find(file, &bytes))
		return bytes;
	if (from_fw_cfg)
		panic_boot("no %s: fw_cfg has no file %s", names[file].what, names[file].fw_cfg);
	panic_boot("no %s: the loader gave no module `%s`", names[file].what, names[file].module);
}

void payload_read(enum payload file, uint32_t offset, void *to, uint32_t bytes)
{
	struct fw_cfg_file f;

	if (from_fw_cfg) {
		check(fw_cfg_find(names[file].fw_cfg, &f));
		fw_cfg_read(&f, offset, to, bytes);
		return;
	}
	check(module[file].data && offset <= module[file].bytes &&
		bytes <= module[file].bytes - offset);
	memmove(to, module[file].data + offset, bytes);
}

struct layout_range payload_place(enum payload file)
{
	return (struct layout_range){(uintptr_t)module[file].data, module[file].bytes};
}
