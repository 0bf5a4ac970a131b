/* SPDX-License-Identifier: MIT */
/*
 * A far page's state and how a not-present SLAT entry holds it (architecture section 5). Bits 0-2
 * and 10 stay clear: on EPT they are R, W, X and user-execute (SDM vol. 3C 29.3.2), on NPT bit 0 is
 * Present (APM vol. 2 5.4.1). So neither vendor's walker takes such an entry for a mapping.
 *
 *   bits 3-6           state, 0 = ZERO: a cleared table is a window full of ZERO pages
 *   bits 12-26, 47-63  REMOTE: CRC32C of the content; FILLING, UNSETTLED, VICTIM: number of the frame
 *   bits 27-46         1, but in ZERO
 *   all others         0
 *
 * CPUs with L1TF read their first-level cache by the address in a not-present entry: it lies above all
 * RAM (of 44 or 46 bits, which is all that such CPUs compare), a ZERO page's in the guest's own page 0.
 *
 * A present entry is the vendor's (slat/format.h); RESIDENT and CLEANING are told apart by the frame.
 */
#ifndef ANNEX_FAR_PAGE_H
#define ANNEX_FAR_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE_SIZE  4096u
#define PAGE_SHIFT 12u

enum page_state {
	PAGE_ZERO,
	PAGE_REMOTE,
	PAGE_FILLING,
	PAGE_UNSETTLED,
	PAGE_VICTIM_CLEAN,
	PAGE_VICTIM_DIRTY,
	PAGE_MOVING, /* copy between servers in flight; needs replicas */
	PAGE_RESIDENT, /* present: never in an entry */
	PAGE_CLEANING, /* present: never in an entry */
	PAGE_STATES,
};

#define PAGE_ENTRY_STATE_SHIFT 3u
#define PAGE_ENTRY_LOW_SHIFT   12u
#define PAGE_ENTRY_LOW_BITS    15u
#define PAGE_ENTRY_LOW_MASK    ((1ull << PAGE_ENTRY_LOW_BITS) - 1)
#define PAGE_ENTRY_HIGH_SHIFT  47u
#define PAGE_ENTRY_STATE_MASK  (0xfull << PAGE_ENTRY_STATE_SHIFT)
#define PAGE_ENTRY_ABOVE_RAM   (0xfffffull << 27)
#define PAGE_ENTRY_CLEAR       0xf87ull /* bits 0-2 and 7-11 */

static inline uint64_t page_entry(enum page_state state, uint32_t value)
{
	uint64_t low = value & PAGE_ENTRY_LOW_MASK, high = value >> PAGE_ENTRY_LOW_BITS;

	if (state == PAGE_ZERO)
		return 0;
	return (uint64_t)state << PAGE_ENTRY_STATE_SHIFT | low << PAGE_ENTRY_LOW_SHIFT |
	       high << PAGE_ENTRY_HIGH_SHIFT | PAGE_ENTRY_ABOVE_RAM;
}

static inline enum page_state page_entry_state(uint64_t entry)
{
	return (enum page_state)((entry & PAGE_ENTRY_STATE_MASK) >> PAGE_ENTRY_STATE_SHIFT);
}

static inline uint32_t page_entry_value(uint64_t entry)
{
	return (uint32_t)(entry >> PAGE_ENTRY_HIGH_SHIFT << PAGE_ENTRY_LOW_BITS |
			  (entry >> PAGE_ENTRY_LOW_SHIFT & PAGE_ENTRY_LOW_MASK));
}

/* A not-present entry that page_entry() could have made. */
static inline bool page_entry_valid(uint64_t entry)
{
	enum page_state state = page_entry_state(entry);

	if (state == PAGE_ZERO)
		return entry == 0;
	return !(entry & PAGE_ENTRY_CLEAR) && state < PAGE_RESIDENT &&
	       (entry & PAGE_ENTRY_ABOVE_RAM) == PAGE_ENTRY_ABOVE_RAM;
}

static inline const char *page_state_name(enum page_state state)
{
	static const char *const names[PAGE_STATES] = {"ZERO", "REMOTE", "FILLING", "UNSETTLED",
		"VICTIM clean", "VICTIM dirty", "MOVING", "RESIDENT", "CLEANING"};

	return state < PAGE_STATES ? names[state] : "?";
}

#endif
