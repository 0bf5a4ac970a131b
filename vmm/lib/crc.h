/* SPDX-License-Identifier: MIT */
/*
 * The two checksums of a page's way: CRC32C (Castagnoli, reflected 0x82f63b78) names content in
 * page entries; CRC-32 (Ethernet, reflected 0xedb88320) is RoCEv2's ICRC. Both use the CPU's
 * instructions where there are any (crc_init).
 */
#ifndef ANNEX_CRC_H
#define ANNEX_CRC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Chooses the fastest implementation that the CPU has. Until then a bitwise one runs: right, slow.
 * sse: this CPU's SSE registers are free for it (a service core, or the host). Not while another CPU
 * computes a checksum.
 */
void crc_init(bool sse);

/* Every implementation gives the same answers; tests choose one. False: the CPU lacks it. */
enum crc_way {
	CRC_BITS,
	CRC_TABLES,
	CRC_REGISTERS, /* CRC32C by the CRC32 instruction, which works on general registers; else tables */
	CRC_SSE,
};

bool crc_use(enum crc_way way);

/* Whole-buffer CRC32C, as iSCSI defines it (initial and final complement). */
uint32_t crc_castagnoli(const void *data, size_t length);

/* Runs raw state over data: no complement. Start with 0xffffffff, complement at the end. */
uint32_t crc_ethernet(uint32_t state, const void *data, size_t length);

/* The same while copying to `to` (one pass over the page; R7's copy). */
uint32_t crc_ethernet_copy(uint32_t state, void *to, const void *data, size_t length);

#endif
