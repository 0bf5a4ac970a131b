/* SPDX-License-Identifier: MIT */
/*
 * The SLAT: one radix tree of four levels, GPA -> HPA, shared by all vCPUs. One builder for both
 * vendors; npt.c and ept.c only name bits. Everything is written before the guest starts; later only
 * the far window's leaves change (far/), and a vCPU's own detour.
 */
#ifndef ANNEX_SLAT_H
#define ANNEX_SLAT_H

#include <stdbool.h>
#include <stdint.h>
#include "slat/format.h"

#define SLAT_PAGE  4096ull
#define SLAT_2M    (1ull << 21)
#define SLAT_1G    (1ull << 30)
#define SLAT_LIMIT (1ull << 48) /* of four levels */
#define SLAT_NONE  UINT64_MAX

/* A format, and the bits of the levels above. */
struct slat_tables {
	const struct slat_format *format;
	uint64_t table; /* of an entry that points at a table, or-ed to its address; A clear */
	uint64_t large; /* added to a leaf of 2 MiB or 1 GiB */
	/*
	 * Bits that name the memory type, and those bits for start..start+bytes (aligned, a power of
	 * two); false: it has several types. NULL: the CPU asks its MTRRs itself.
	 */
	uint64_t type_mask;
	bool (*type)(uint64_t start, uint64_t bytes, uint64_t *bits);
};

struct slat {
	const struct slat_tables *tables;
	uint64_t *root;
	bool giant; /* 1 GiB leaves may be used */
};

/* Boot only, as all that builds. Tables come from memory_take(). */
void slat_init(struct slat *s, const struct slat_tables *tables, bool giant);

/*
 * Maps start..end one to one with the largest leaves that fit, A and D set. The first 2 MiB get 4 KiB
 * leaves: memory types change there every 16 KiB (APM vol. 2 7.7.2).
 */
void slat_map(struct slat *s, uint64_t start, uint64_t end);

/* Maps start..end page by page, each to the same page, read-only. */
void slat_map_same(struct slat *s, uint64_t start, uint64_t end, uint64_t hpa);

/*
 * Builds the far window's tables whole: base on a 1 GiB border, nothing present. Leaf and upper
 * entries lie as struct slat_window says.
 */
void slat_map_window(struct slat *s, uint64_t base, uint32_t pages, struct slat_window *window);

/* The last entry on the way to gpa, and its level. For reports. */
uint64_t slat_entry(const struct slat *s, uint64_t gpa, unsigned *level);

/* Host-physical address of a guest-physical one, or SLAT_NONE. Any CPU. */
uint64_t slat_translate(const struct slat *s, uint64_t gpa);

/*
 * A vCPU's own root that differs from the shared one in one page (or some pages of one 2 MiB): how an
 * access outside the far window is replayed against a scratch page. Never for pages of the window.
 */
struct slat_detour {
	uint64_t *level[4]; /* own tables: [3] root .. [0] leaves */
	uint64_t region; /* GPA >> 21 that level[0] covers, or SLAT_NONE */
};

void slat_detour_init(struct slat_detour *d);

/* Makes gpa's page lead to hpa, read-write; the caller flushes. Forgets earlier pages. */
void slat_detour_set(const struct slat *s, struct slat_detour *d, uint64_t gpa, uint64_t hpa);

/* One more page; false if it lies in other 2 MiB. */
bool slat_detour_add(const struct slat *s, struct slat_detour *d, uint64_t gpa, uint64_t hpa);

/*
 * Builds all of it from `layout` and the hidden table: one to one below the far window, and devices
 * above it, except what is the VMM's own (not mapped), hidden memory (leads to `ones`, a page of 0xff, read-only) and the
 * page `apic` if it is not 0 (read-only, one to one).
 */
void slat_build(struct slat *s, uint64_t ones, uint64_t apic, struct slat_window *window);

#endif
