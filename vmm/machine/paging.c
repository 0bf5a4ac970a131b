/* SPDX-License-Identifier: MIT */
/* AMD APM vol. 2, 5.3: long-mode page tables. */
#include <stddef.h>
#include "lib/panic.h"
#include "machine/memory.h"
#include "machine/paging.h"
#include "machine/x86.h"

#define PRESENT  0x1ull
#define WRITABLE 0x2ull
#define PWT      0x8ull
#define PCD      0x10ull
#define LARGE    0x80ull
#define ADDRESS  0xffffffffff000ull

#define MIB2 (2ull << 20)
#define GIB  (1ull << 30)

extern uint64_t entry_pml4[512];

static bool has_gib_pages(void)
{
	return cpuid(0x80000000u, 0).eax >= 0x80000001u && cpuid(0x80000001u, 0).edx & 1u << 26;
}

static uint64_t *below(uint64_t *entry)
{
	if (!(*entry & PRESENT))
		*entry = (uint64_t)memory_take(4096, 4096, "the VMM's page tables") | PRESENT |
			 WRITABLE;
	return (uint64_t *)(*entry & ADDRESS);
}

void paging_map(uint64_t start, uint64_t bytes, bool uncached)
{
	uint64_t flags = PRESENT | WRITABLE | LARGE | (uncached ? PCD | PWT : 0);
	uint64_t end = (start + bytes + MIB2 - 1) & ~(MIB2 - 1);
	uint64_t at = start & ~(MIB2 - 1);
	bool gib = has_gib_pages();

	check(end > at && end < 1ull << 47);
	while (at < end) {
		uint64_t *pdpt = below(&entry_pml4[at >> 39]);
		uint64_t *e = &pdpt[at >> 30 & 511];

		if (*e & LARGE) {
			at = (at | (GIB - 1)) + 1;
		} else if (gib && !(at & (GIB - 1)) && end - at >= GIB && !(*e & PRESENT)) {
			*e = at | flags;
			at += GIB;
		} else {
			e = &below(e)[at >> 21 & 511];
			if (!(*e & PRESENT))
				*e = at | flags;
			at += MIB2;
		}
	}
}
