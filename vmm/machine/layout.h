/* SPDX-License-Identifier: MIT */
/*
 * Who has which RAM: made once by boot from the firmware's memory map and the configuration, then
 * read by everybody. All addresses are host-physical; the VMM maps RAM one to one, so that a pointer
 * to RAM is its address.
 */
#ifndef ANNEX_LAYOUT_H
#define ANNEX_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#define LAYOUT_RANGES 64u
#define LAYOUT_CPUS   17u /* 16 of the guest, one service core */

struct layout_range {
	uint64_t start;
	uint64_t bytes;
};

struct layout {
	struct layout_range pinned[LAYOUT_RANGES]; /* guest RAM, GPA = HPA, ascending */
	unsigned pinned_count;
	struct layout_range own[LAYOUT_RANGES]; /* the VMM's: image, tables, frames; never mapped */
	unsigned own_count;
	struct layout_range frames[4]; /* the pcache's frames (inside own) */
	unsigned frames_count;
	struct layout_range hand_off; /* inside one of pinned, below 16 MiB */
	uint64_t trampoline; /* a page of conventional memory where CPUs can start */
	uint64_t ram_end; /* first address above all RAM */
	uint64_t far_base; /* 1 GiB aligned, above RAM and every PCI window */
	uint64_t far_bytes;
	struct layout_range high[LAYOUT_RANGES]; /* devices above the far window, ascending */
	unsigned high_count;
	uint64_t address_limit; /* first address the CPU cannot form (MAXPHYADDR) */
	unsigned cpus; /* that the machine has; of several the last one is the service core */
	uint32_t apic_id[LAYOUT_CPUS];
};

extern struct layout layout;

/* A machine with one CPU has no service core: its vCPU turns the service loop itself. */
static inline bool layout_one_cpu(void)
{
	return layout.cpus == 1;
}

static inline unsigned layout_guest_cpus(void)
{
	return layout_one_cpu() ? 1 : layout.cpus - 1;
}

/*
 * RAM in 2..16 MiB is the VMM's (kernels prefer to lie at 16 MiB and above): from 2 MiB the image,
 * then tables. But for one piece, the hand-off: what the guest's kernel finds at its start (ACPI
 * tables, zero page, first page tables). That is inside layout.pinned and reserved in the guest's
 * e820. Firmware may keep pieces of 2..16 MiB for itself, above the image (UEFI does). 1..2 MiB is the
 * guest's: boot loaders on PCs unpack themselves there without asking the memory map.
 */
#define LAYOUT_LOW_START      0x200000ull
#define LAYOUT_IMAGE_END      0x600000ull /* at most; vmm.ld */
#define LAYOUT_LOW_END        0x1000000ull
#define LAYOUT_HAND_OFF_BYTES 0x20000ull

struct memmap;

struct layout_request {
	const struct memmap *map;
	uint64_t pinned; /* bytes */
	uint64_t far; /* bytes */
	uint64_t pcache; /* cap in bytes; 0: none */
	const struct layout_range *busy; /* PCI windows and BARs, any order */
	unsigned busy_count;
	uint64_t address_limit;
};

/* Boot only: fills `layout` but for the CPUs; stops the boot with the numbers if it cannot be had. */
void layout_make(const struct layout_request *request);

#endif
