/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "boot/bios.h"
#include "boot/e820.h"
#include "boot/linux.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "machine/acpi.h"
#include "machine/layout.h"
#include "machine/memory.h"

#define PAGE 4096ull
#define MIB  (1ull << 20)

/* Real mode's interrupt table, and the BIOS's own data. */
#define VECTOR_DISK   (0x13 * 4u)
#define VECTOR_SYSTEM (0x15 * 4u)
#define LOW_KIB       0x413u /* 16 bits: conventional memory */
#define LOW_KIB_LEAST 512u
#define LOW_KIB_MOST  640u

/* Behind the stub (bios_stub.S), which reads it. */
struct data {
	uint32_t old; /* the BIOS's handler of INT 15h, segment and offset */
	uint32_t rows;
	uint16_t low_kib; /* from 1 MiB up to 16 MiB */
	uint16_t high; /* from there, in 64 KiB */
	struct e820_row row[];
} __attribute__((packed));

extern const uint8_t bios_stub[], bios_int15[], bios_data[];

/* The compiler takes addresses near 0 for mistakes. */
static void *low(uint64_t address)
{
	__asm__("" : "+r"(address));
	return (void *)address;
}

/* RAM of the guest that goes on from `start`, no further than `end`. */
static uint64_t extent(uint64_t start, uint64_t end)
{
	for (unsigned i = 0; i < layout.pinned_count; i++) {
		const struct layout_range *r = &layout.pinned[i];

		if (start >= r->start && start - r->start < r->bytes)
			return (r->start + r->bytes < end ? r->start + r->bytes : end) - start;
	}
	return 0;
}

/* The stub takes the upper end of conventional memory, as BIOS extensions do: whole pages. */
static uint64_t take_low(void)
{
	uint16_t *kib = low(LOW_KIB);
	uint64_t base = (*kib * 1024ull - PAGE) & ~(PAGE - 1);

	if (*kib < LOW_KIB_LEAST || *kib > LOW_KIB_MOST || !*(uint32_t *)low(VECTOR_DISK) ||
		extent(0, base) != base)
		panic_boot("config boot = disk: this machine was not started by a BIOS whose "
			   "services are still in memory (%u KiB of conventional memory)",
			*kib);
	*kib = (uint16_t)(base / 1024);
	return base;
}

static void place_stub(uint64_t base, uint64_t room, const struct e820 *e820)
{
	size_t code = (size_t)(bios_data - bios_stub);
	uint32_t *vector = low(VECTOR_SYSTEM);
	struct data *data = low(base + code);

	check(base < MIB);
	if (code + sizeof(*data) + e820->rows * sizeof(e820->row[0]) > room)
		panic_boot("the guest's memory map of %u rows does not fit below the EBDA",
			e820->rows);
	memcpy(low(base), bios_stub, code);
	data->old = *vector;
	data->rows = e820->rows;
	data->low_kib = (uint16_t)(extent(MIB, 16 * MIB) / 1024);
	data->high = (uint16_t)(extent(16 * MIB, 4096 * MIB - 1) / 65536);
	memcpy(data->row, e820->row, e820->rows * sizeof(e820->row[0]));
	*vector = (uint32_t)(base << 12 | (uint64_t)(bios_int15 - bios_stub));
}

/* As much of ours as the firmware's own has room for: ACPI 1.0's is 20 bytes long. */
static void replace(struct acpi_rsdp *at, const struct acpi_rsdp *ours)
{
	struct acpi_rsdp r = *ours;

	if (at->revision >= 2) {
		*at = r;
		return;
	}
	r.revision = 0;
	r.checksum = 0;
	r.checksum = acpi_checksum(&r, 20);
	memcpy(at, &r, 20);
}

/* The BIOS's area is not written to but shown to the guest as it should be. */
static void replace_rsdps(const struct acpi_rsdp *ours)
{
	size_t bytes = ACPI_BIOS_END - ACPI_BIOS_START, found = 0;
	uint8_t *copy = memory_take(bytes, PAGE, "the BIOS as the guest sees it");
	uint64_t ebda = acpi_ebda();

	memcpy(copy, low(ACPI_BIOS_START), bytes);
	for (uint64_t at = 0; ebda && at < ACPI_EBDA_BYTES; at += 16) {
		if (acpi_rsdp_at(ebda + at)) {
			replace(low(ebda + at), ours);
			found++;
		}
	}
	for (uint64_t at = 0; at < bytes; at += 16) {
		if (acpi_rsdp_at(ACPI_BIOS_START + at)) {
			replace((struct acpi_rsdp *)(copy + at), ours);
			found++;
		}
	}
	if (!found)
		panic_boot("config boot = disk: the BIOS area has no RSDP, so the guest would not "
			   "find its ACPI tables");
	for (uint64_t at = 0; at < bytes; at += PAGE) {
		if (memcmp(copy + at, low(ACPI_BIOS_START + at), PAGE))
			virt_replace(ACPI_BIOS_START + at, copy + at);
	}
}

/* Linux boot protocol: zero page, header, command line. */
#define ZERO_PAGE_LOADER  0x210u
#define ZERO_PAGE_MAGIC   0x202u
#define ZERO_PAGE_CMDLINE 0x228u
#define CMDLINE_MAX       2047u

/*
 * RSI is the zero page of a kernel that a boot loader starts: its command line is looked at as if it
 * had been handed over. The file's own header, as a loader reads it, names neither loader nor line.
 */
static bool kernel_starts(uint64_t rsi)
{
	static char cmdline[CMDLINE_MAX + 1];
	const uint8_t *page = low((uint32_t)rsi);
	uint32_t at;

	if (extent((uint32_t)rsi, (uint32_t)rsi + PAGE) < PAGE ||
		memcmp(page + ZERO_PAGE_MAGIC, "HdrS", 4) || !page[ZERO_PAGE_LOADER])
		return false;
	memcpy(&at, page + ZERO_PAGE_CMDLINE, 4);
	if (!at || extent(at, at + sizeof(cmdline)) < sizeof(cmdline))
		return false;
	memcpy(cmdline, low(at), sizeof(cmdline) - 1);
	linux_check_cmdline(cmdline);
	return true;
}

void bios_start(const struct memmap *map, uint64_t rsdp, struct virt_entry *entry)
{
	static struct e820 e820;
	uint64_t top = *(uint16_t *)low(LOW_KIB) * 1024ull, base = take_low();

	e820_build(&e820, map, base);
	place_stub(base, top - base, &e820);
	replace_rsdps((const struct acpi_rsdp *)rsdp);
	*entry = (struct virt_entry){.real_mode = true, .page = (uint8_t)(base / PAGE)};
	virt_watch(kernel_starts);
	log_info("bios: the guest boots from the first disk");
}
