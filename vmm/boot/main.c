/* SPDX-License-Identifier: MIT */
/* The order of the boot. */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/arch-x86/hvm/start_info.h>
#include "annex/config.h"
#include "annex/version.h"
#include "boot/config.h"
#include "boot/devices.h"
#include "boot/linux.h"
#include "boot/tables.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "machine/acpi.h"
#include "machine/apic.h"
#include "machine/clock.h"
#include "machine/console.h"
#include "machine/cpu.h"
#include "machine/fw_cfg.h"
#include "machine/idt.h"
#include "machine/memmap.h"
#include "machine/memory.h"
#include "machine/paging.h"
#include "machine/x86.h"
#include "service/service.h"
#include "virt/virt.h"

#define CONFIG_BYTES    16384u
#define BUSY            64u
#define ADDRESS_DEFAULT 36u

static struct memmap memmap;
static struct config config;
static const struct slat_window *window;
static _Atomic uint32_t go; /* everything is prepared */

_Noreturn void main(const struct hvm_start_info *info);

static void read_config(void)
{
	static char text[CONFIG_BYTES];
	static char error[256];
	struct fw_cfg_file file;

	if (!fw_cfg_find(CONFIG_FILE_CONFIG, &file))
		panic_boot("no configuration: fw_cfg has no file " CONFIG_FILE_CONFIG);
	if (file.bytes > sizeof(text))
		panic_boot("config: %u bytes are more than %u", file.bytes, CONFIG_BYTES);
	fw_cfg_read(&file, 0, text, file.bytes);
	if (!config_parse(text, file.bytes, &config, error, sizeof(error)))
		panic_boot("%s", error);
	log_level((enum log_level)config.log);
}

static void find_cpus(void)
{
	acpi_cpus(apic_id());
	if (layout_one_cpu())
		log_info("cpu: one CPU, the guest's; it turns the service loop as well");
}

/* APM vol. 3, CPUID Fn8000_0008_EAX. */
static uint64_t address_limit(void)
{
	unsigned bits = ADDRESS_DEFAULT;

	if (cpuid(0x80000000u, 0).eax >= 0x80000008u)
		bits = cpuid(0x80000008u, 0).eax & 0xff;
	return 1ull << (bits > 47 ? 47 : bits);
}

static void make_layout(void)
{
	static struct layout_range busy[BUSY];
	struct layout_request request = {
		.map = &memmap,
		.pinned = config.pinned,
		.far = config.far,
		.pcache = config.pcache,
		.busy = busy,
		.busy_count = devices_busy(busy, BUSY),
		.address_limit = address_limit(),
	};

	layout_make(&request);
	for (unsigned i = 0; i < layout.pinned_count; i++)
		paging_map(layout.pinned[i].start, layout.pinned[i].bytes, false);
	for (unsigned i = 0; i < layout.own_count; i++)
		paging_map(layout.own[i].start, layout.own[i].bytes, false);
}

/* Every CPU but the boot CPU. */
static void other_cpu(unsigned number)
{
	virt_cpu_init(number);
	while (!atomic_load(&go))
		cpu_relax();
	if (number == layout.cpus - 1)
		service_run(&config, window);
	virt_run_waiting(number);
}

static void start_service(void)
{
	if (layout_one_cpu()) {
		service_start(&config, window);
		return;
	}
	atomic_store(&go, 1);
	while (!atomic_load(&service_ready))
		cpu_relax();
}

static void prepare(const struct hvm_start_info *info)
{
	uint64_t rsdp = info->rsdp_paddr;

	memmap_read(&memmap, info);
	idt_init();
	cpu_init(0);
	acpi_init(rsdp);
	clock_init();
	apic_calibrate();
	fw_cfg_init();
	read_config();
	find_cpus();
	make_layout();
	virt_init();
	devices_hide(config.nic);
	console_manage_init();
}

_Noreturn void main(const struct hvm_start_info *info)
{
	struct virt_entry entry;

	console_init();
	log_info("Annex VMM " ANNEX_VERSION);
	if (info->magic != XEN_HVM_START_MAGIC_VALUE)
		panic_boot("not started by PVH: the start_info's magic is %x", info->magic);
	prepare(info);
	cpu_start_others(other_cpu);
	virt_cpu_init(0);
	linux_load(&memmap, tables_build(), &entry);
	window = virt_build_slat();
	start_service();
	log_info("boot: the VMM uses %lu KiB; the guest starts after %lu ms",
		(unsigned long)(memory_taken() >> 10), (unsigned long)(clock_now() / 1000000));
	console_hand_off();
	virt_run_boot(&entry);
}
