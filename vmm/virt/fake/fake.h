/* SPDX-License-Identifier: MIT */
/*
 * Simulated CPUs for the host build. One caches translations for as long as the architecture lets it
 * (until it flushes), uses them however stale they are, and sets A and D as a walker does: so that a
 * shootdown that is missing, or too late, is seen as a wrong byte. Deterministic; one thread.
 */
#ifndef ANNEX_VIRT_FAKE_H
#define ANNEX_VIRT_FAKE_H

#include <stdbool.h>
#include <stdint.h>
#include "slat/format.h"
#include "slat/shootdown.h"

/* Two kinds of CPU: with A and D bits (as NPT has them, APM vol. 2 15.25.5), and without. */
extern const struct slat_format fake_format_ad;
extern const struct slat_format fake_format_plain;

struct fake_translation {
	uint64_t entry; /* 0: not cached */
};

struct fake_cpu {
	const struct slat_window *window;
	struct fake_translation *cached; /* [window->pages] */
	uint8_t *upper_cached; /* [window->pages / 512]: paging-structure cache */
	uint32_t *filled; /* [window->pages]: which are cached, to flush quickly */
	uint32_t fills;
	uint64_t walks, flushes;
};

/* The caller gives zeroed arrays of the sizes above. */
void fake_init(struct fake_cpu *cpu, const struct slat_window *window,
	struct fake_translation *cached, uint8_t *upper_cached, uint32_t *filled);

/*
 * One access to a page: true and the host-physical address of the page, or false: a violation (exit
 * to the VMM). A cached translation is used if it allows the access and, for a write, has D.
 */
bool fake_access(struct fake_cpu *cpu, uint32_t page, bool write, uint64_t *hpa);

/* Forgets everything. */
void fake_flush(struct fake_cpu *cpu);

/* Forgets one translation: a CPU may at any time. */
void fake_evict(struct fake_cpu *cpu, uint32_t page);

#endif
