/* SPDX-License-Identifier: MIT */
/*
 * The VMM's own identity map, without the user bit (the host runs with the guest's SMEP and SMAP).
 * The entry code maps the first 4 GiB; the rest is added here.
 */
#ifndef ANNEX_PAGING_H
#define ANNEX_PAGING_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Boot only: maps start..start+bytes one to one, in whole 2 MiB (1 GiB where the CPU has such
 * pages). uncached: device memory above 4 GiB, where no MTRR speaks for it.
 */
void paging_map(uint64_t start, uint64_t bytes, bool uncached);

#endif
