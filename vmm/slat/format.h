/* SPDX-License-Identifier: MIT */
/*
 * The bits of a SLAT leaf entry as data, so that neutral code names none: npt.c (APM vol. 2 15.25.5)
 * and ept.c (SDM vol. 3C 29.3.2) each define one; virt/fake has its own.
 *
 * A not-present entry is the engine's: bits 0-2 and 10 must stay 0, the rest is free (far/page.h).
 */
#ifndef ANNEX_SLAT_FORMAT_H
#define ANNEX_SLAT_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

struct slat_format {
	const char *name;
	uint64_t present; /* any of these set: the entry maps */
	uint64_t leaf; /* 4 KiB leaf, read-write-execute, write-back memory, A clear, D clear */
	uint64_t writable; /* cleared: write-protected */
	uint64_t accessed; /* 0: this CPU has no A/D bits (section 5's fallback) */
	uint64_t dirty;
	uint64_t address; /* mask of the host-physical address */
};

static inline bool slat_present(const struct slat_format *f, uint64_t entry)
{
	return entry & f->present;
}

static inline uint64_t slat_address(const struct slat_format *f, uint64_t entry)
{
	return entry & f->address;
}

/*
 * R8: walkers set A and D at any time, so a present entry changes only by these two. Sequentially
 * consistent; the caller is the service core.
 */
static inline uint64_t slat_exchange(_Atomic uint64_t *entry, uint64_t value)
{
	return __atomic_exchange_n((uint64_t *)entry, value, __ATOMIC_SEQ_CST);
}

static inline bool slat_compare_exchange(
	_Atomic uint64_t *entry, uint64_t *expected, uint64_t value)
{
	return __atomic_compare_exchange_n(
		(uint64_t *)entry, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static inline uint64_t slat_read(const _Atomic uint64_t *entry)
{
	return __atomic_load_n((const uint64_t *)entry, __ATOMIC_RELAXED);
}

/* Not-present to anything: no walker touches it, a release store is enough. */
static inline void slat_write(_Atomic uint64_t *entry, uint64_t value)
{
	__atomic_store_n((uint64_t *)entry, value, __ATOMIC_RELEASE);
}

/*
 * The far window's tables, built whole at boot and never freed. Leaf entries lie in one array, the
 * entries above them (2 MiB each) in another, so that the engine indexes instead of walking.
 */
struct slat_window {
	const struct slat_format *format;
	_Atomic uint64_t *leaf; /* [pages] */
	_Atomic uint64_t *upper; /* [pages / 512], only their accessed bit is the engine's */
	uint64_t base; /* guest-physical, 2 MiB aligned */
	uint32_t pages; /* multiple of 512 */
};

#endif
