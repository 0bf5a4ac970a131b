/* SPDX-License-Identifier: MIT */
/*
 * Sets of guest-physical pages, as ranges. Numbers are page frame numbers (address >> 12). Out of
 * memory ends the program (log_no_memory). A zeroed struct ranges is the empty set.
 */
#ifndef ANNEX_AGENT_RANGES_H
#define ANNEX_AGENT_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "annex/doorbell.h"

#define RANGES_PAGE_SHIFT 12
#define RANGES_PAGE       (UINT64_C(1) << RANGES_PAGE_SHIFT)

struct range {
	uint64_t first;
	uint64_t pages; /* not 0 */
};

struct ranges {
	struct range *item;
	size_t count;
	size_t capacity;
};

/* Where packing goes on; zeroed: at the beginning. */
struct ranges_cursor {
	size_t index;
	uint64_t offset; /* pages of item[index] that were packed */
};

void ranges_free(struct ranges *r);

/* Empties it, keeps the memory. */
void ranges_clear(struct ranges *r);

/* Appends in any order; pages that follow the last range directly extend it. */
void ranges_add(struct ranges *r, uint64_t first, uint64_t pages);
void ranges_append(struct ranges *r, const struct ranges *more);

/* Makes it a set: ascending, disjoint, not touching each other. What follows below needs that. */
void ranges_normalize(struct ranges *r);

uint64_t ranges_pages(const struct ranges *r);
bool ranges_contains(const struct ranges *r, uint64_t page);

/* out = a without b, out = what both have; out is none of them and is emptied first. */
void ranges_difference(struct ranges *out, const struct ranges *a, const struct ranges *b);
void ranges_intersection(struct ranges *out, const struct ranges *a, const struct ranges *b);

/* Keeps the first `pages` pages. */
void ranges_trim(struct ranges *r, uint64_t pages);

/*
 * The next request words (doorbell.h) of r, the rest 0; moves the cursor. Returns how many; 0: the
 * end. r need not be a set.
 */
unsigned ranges_pack(
	const struct ranges *r, struct ranges_cursor *cursor, uint64_t words[DOORBELL_WORDS]);

/* Appends what the words say: the other direction. */
void ranges_unpack(struct ranges *r, const uint64_t words[DOORBELL_WORDS]);

#endif
