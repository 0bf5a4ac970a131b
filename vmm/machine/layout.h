/* SPDX-License-Identifier: MIT */
/*
 * Who has which RAM: made once by boot from the firmware's memory map and the configuration, then
 * read by everybody. All addresses are host-physical; the VMM maps RAM one to one, so that a pointer
 * to RAM is its address.
 */
#ifndef ANNEX_LAYOUT_H
#define ANNEX_LAYOUT_H

#include <stdint.h>

#define LAYOUT_RANGES 32u
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
	uint64_t ram_end;  /* first address above all RAM */
	uint64_t far_base; /* 1 GiB aligned, above RAM and every PCI window */
	uint64_t far_bytes;
	uint64_t address_limit; /* first address the CPU cannot form (MAXPHYADDR) */
	unsigned cpus;          /* that the machine has; the last one is the service core */
	uint32_t apic_id[LAYOUT_CPUS];
};

extern struct layout layout;

#endif
