/* SPDX-License-Identifier: MIT */
/*
 * A far page's state and how a not-present SLAT entry holds it (architecture section 5). Bits 0-2
 * and 10 stay clear: on EPT they are R, W, X and user-execute (SDM vol. 3C 29.3.2), on NPT bit 0 is
 * Present (APM vol. 2 5.4.1). So neither vendor's walker takes such an entry for a mapping.
 *
 *   bits 3-6    state, 0 = ZERO: a cleared table is a window full of ZERO pages
 *   bits 16-47  REMOTE: CRC32C of the content; FILLING, UNSETTLED, VICTIM: number of the frame
 *   all others  0
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
#define PAGE_ENTRY_VALUE_SHIFT 16u
#define PAGE_ENTRY_STATE_MASK  (0xfull << PAGE_ENTRY_STATE_SHIFT)
#define PAGE_ENTRY_VALUE_MASK  (0xffffffffull << PAGE_ENTRY_VALUE_SHIFT)
#define PAGE_ENTRY_CLEAR       0x407ull /* bits 0-2 and 10 */

static inline uint64_t page_entry(enum page_state state, uint32_t value)
{
	return (uint64_t)state << PAGE_ENTRY_STATE_SHIFT | (uint64_t)value
								   << PAGE_ENTRY_VALUE_SHIFT;
}

static inline enum page_state page_entry_state(uint64_t entry)
{
	return (enum page_state)((entry & PAGE_ENTRY_STATE_MASK) >> PAGE_ENTRY_STATE_SHIFT);
}

static inline uint32_t page_entry_value(uint64_t entry)
{
	return (uint32_t)(entry >> PAGE_ENTRY_VALUE_SHIFT);
}

/* A not-present entry that page_entry() could have made. */
static inline bool page_entry_valid(uint64_t entry)
{
	enum page_state state = page_entry_state(entry);

	if (entry & ~(PAGE_ENTRY_STATE_MASK | PAGE_ENTRY_VALUE_MASK))
		return false;
	return state == PAGE_ZERO ? entry == 0 : state < PAGE_RESIDENT;
}

static inline const char *page_state_name(enum page_state state)
{
	static const char *const names[PAGE_STATES] = {"ZERO", "REMOTE", "FILLING", "UNSETTLED",
		"VICTIM clean", "VICTIM dirty", "MOVING", "RESIDENT", "CLEANING"};

	return state < PAGE_STATES ? names[state] : "?";
}

#endif
