/* SPDX-License-Identifier: MIT */
/* The order of the boot. */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include "annex/version.h"
#include "boot/bios.h"
#include "boot/config.h"
#include "boot/devices.h"
#include "boot/hand_off.h"
#include "boot/linux.h"
#include "boot/multiboot.h"
#include "boot/payload.h"
#include "boot/pvh.h"
#include "boot/tables.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "machine/acpi.h"
#include "machine/apic.h"
#include "machine/clock.h"
#include "machine/console.h"
#include "machine/cpu.h"
#include "machine/display.h"
#include "machine/fw_cfg.h"
#include "machine/idt.h"
#include "machine/memmap.h"
#include "machine/memory.h"
#include "machine/paging.h"
#include "machine/x86.h"
#include "service/service.h"
#include "virt/virt.h"
#include "virt/wakeup.h"

#define NAP_NS          2000000u
#define CONFIG_BYTES    16384u
#define BUSY            64u
#define ADDRESS_DEFAULT 36u
#define MAILBOX_BYTES   4096u /* of the multiprocessor wakeup structure */

#define CPUID_HYPERVISOR (1u << 31) /* leaf 1, ECX */

static struct start start;
static struct config config;
static service_window window; /* set when everything is prepared */

_Noreturn void main(uint32_t magic, const void *information);

static void read_config(void)
{
	static char text[CONFIG_BYTES];
	static char error[256];
	uint32_t bytes = payload_need(PAYLOAD_CONFIG);

	if (bytes > sizeof(text))
		panic_boot("config: %u bytes are more than %u", bytes, CONFIG_BYTES);
	payload_read(PAYLOAD_CONFIG, 0, text, bytes);
	if (!config_parse(text, bytes, &config, error, sizeof(error)))
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
		.map = &start.map,
		.pinned = config.pinned,
		.far = config.far,
		.pcache = config.pcache,
		.busy = busy,
		.busy_count = devices_busy(busy, BUSY),
		.address_limit = address_limit(),
	};

	layout_make(&request);
}

static void map_memory(void)
{
	for (unsigned i = 0; i < layout.pinned_count; i++)
		paging_map(layout.pinned[i].start, layout.pinned[i].bytes, false);
	for (unsigned i = 0; i < layout.own_count; i++)
		paging_map(layout.own[i].start, layout.own[i].bytes, false);
}

/* Every CPU but the boot CPU. */
static void other_cpu(unsigned number)
{
	virt_cpu_init(number);
	if (number == layout.cpus - 1)
		service_run(&config, &window);
	while (!atomic_load(&window))
		cpu_relax();
	virt_run_waiting(number);
}

static void wait_for_service(void)
{
	if (layout_one_cpu())
		service_start(&config, &window);
	while (!atomic_load(&service_ready))
		apic_nap(NAP_NS);
}

/* A machine of QEMU's has this device too when GRUB started us: then only to be hidden. */
static void find_fw_cfg(void)
{
	if (cpuid(1, 0).ecx & CPUID_HYPERVISOR)
		fw_cfg_init();
}

/* What the loader left is anywhere in RAM: nothing but the image is written until it is read. */
static void read_start(uint32_t magic, const void *information)
{
	switch (magic) {
	case PVH_MAGIC:
		pvh_read(information, &start);
		break;
	case MULTIBOOT_MAGIC:
		multiboot_find_display(information, &start.screen);
		display_init(&start.screen);
		multiboot_read(information, &start);
		find_fw_cfg();
		break;
	default:
		panic_boot("started neither by PVH nor by multiboot2 (magic %x)", magic);
	}
	memmap_finish(&start.map);
}

static void prepare(void)
{
	idt_init();
	cpu_init(0);
	acpi_init(start.rsdp);
	clock_init();
	apic_calibrate();
	read_config();
	find_cpus();
	make_layout();
	if (!config.boot_disk)
		linux_load();
	map_memory();
	virt_init();
	devices_hide(config.nic);
	console_manage_init();
}

_Noreturn void main(uint32_t magic, const void *information)
{
	const struct slat_window *prepared;
	struct virt_entry entry;
	void *mailbox = NULL;
	uint64_t rsdp;

	console_init();
	log_info("Annex VMM " ANNEX_VERSION);
	read_start(magic, information);
	prepare();
	cpu_start_others(other_cpu);
	virt_cpu_init(0);
	if (config.wakeup_mailbox && layout_guest_cpus() > 1)
		mailbox = hand_off_take(MAILBOX_BYTES, MAILBOX_BYTES);
	rsdp = tables_build((uint64_t)mailbox);
	if (!config.boot_disk)
		linux_start(&start, rsdp, &entry);
	prepared = virt_build_slat();
	if (config.boot_disk)
		bios_start(&start.map, rsdp, &entry);
	if (mailbox)
		wakeup_set(&entry, mailbox);
	atomic_store(&window, prepared);
	wait_for_service();
	log_info("boot: the VMM uses %lu KiB; the guest starts after %lu ms",
		(unsigned long)(memory_taken() >> 10), (unsigned long)(clock_now() / 1000000));
	console_hand_off();
	virt_run_boot(&entry);
}
