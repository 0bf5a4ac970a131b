/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include "guest-agent/log.h"
#include "guest-agent/ranges.h"

static uint64_t end_of(const struct range *r)
{
	return r->first + r->pages;
}

void ranges_free(struct ranges *r)
{
	free(r->item);
	memset(r, 0, sizeof(*r));
}

void ranges_clear(struct ranges *r)
{
	r->count = 0;
}

static void reserve(struct ranges *r, size_t count)
{
	size_t capacity = r->capacity ? r->capacity : 16;
	struct range *item;

	if (count <= r->capacity)
		return;
	while (capacity < count)
		capacity *= 2;
	item = reallocarray(r->item, capacity, sizeof(*item));
	if (!item)
		log_no_memory();
	r->item = item;
	r->capacity = capacity;
}

void ranges_add(struct ranges *r, uint64_t first, uint64_t pages)
{
	if (!pages)
		return;
	if (r->count && end_of(&r->item[r->count - 1]) == first) {
		r->item[r->count - 1].pages += pages;
		return;
	}
	reserve(r, r->count + 1);
	r->item[r->count++] = (struct range){.first = first, .pages = pages};
}

void ranges_append(struct ranges *r, const struct ranges *more)
{
	reserve(r, r->count + more->count);
	for (size_t i = 0; i < more->count; i++)
		ranges_add(r, more->item[i].first, more->item[i].pages);
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = ((const struct range *)a)->first, y = ((const struct range *)b)->first;

	return (x > y) - (x < y);
}

void ranges_normalize(struct ranges *r)
{
	size_t kept = 0;

	if (!r->count)
		return;
	qsort(r->item, r->count, sizeof(*r->item), ascending);
	for (size_t i = 1; i < r->count; i++) {
		struct range *last = &r->item[kept], *next = &r->item[i];

		if (next->first > end_of(last))
			r->item[++kept] = *next;
		else if (end_of(next) > end_of(last))
			last->pages = end_of(next) - last->first;
	}
	r->count = kept + 1;
}

uint64_t ranges_pages(const struct ranges *r)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < r->count; i++)
		pages += r->item[i].pages;
	return pages;
}

bool ranges_contains(const struct ranges *r, uint64_t page)
{
	size_t low = 0, high = r->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (page < r->item[middle].first)
			high = middle;
		else if (page >= end_of(&r->item[middle]))
			low = middle + 1;
		else
			return true;
	}
	return false;
}

void ranges_difference(struct ranges *out, const struct ranges *a, const struct ranges *b)
{
	size_t j = 0;

	out->count = 0;
	for (size_t i = 0; i < a->count; i++) {
		uint64_t from = a->item[i].first, to = end_of(&a->item[i]);

		while (j < b->count && end_of(&b->item[j]) <= from)
			j++;
		for (size_t k = j; k < b->count && b->item[k].first < to; k++) {
			if (b->item[k].first > from)
				ranges_add(out, from, b->item[k].first - from);
			from = end_of(&b->item[k]);
		}
		if (from < to)
			ranges_add(out, from, to - from);
	}
}

void ranges_intersection(struct ranges *out, const struct ranges *a, const struct ranges *b)
{
	size_t i = 0, j = 0;

	out->count = 0;
	while (i < a->count && j < b->count) {
		uint64_t ea = end_of(&a->item[i]), eb = end_of(&b->item[j]);
		uint64_t from =
			a->item[i].first > b->item[j].first ? a->item[i].first : b->item[j].first;
		uint64_t to = ea < eb ? ea : eb;

		if (from < to)
			ranges_add(out, from, to - from);
		if (ea < eb)
			i++;
		else
			j++;
	}
}

void ranges_trim(struct ranges *r, uint64_t pages)
{
	for (size_t i = 0; i < r->count; i++) {
		if (r->item[i].pages >= pages) {
			r->item[i].pages = pages;
			r->count = pages ? i + 1 : i;
			return;
		}
		pages -= r->item[i].pages;
	}
}

unsigned ranges_pack(
	const struct ranges *r, struct ranges_cursor *cursor, uint64_t words[DOORBELL_WORDS])
{
	unsigned n = 0;

	memset(words, 0, DOORBELL_WORDS * sizeof(*words));
	while (n < DOORBELL_WORDS && cursor->index < r->count) {
		const struct range *item = &r->item[cursor->index];
		uint64_t first = item->first + cursor->offset, pages = item->pages - cursor->offset;

		if (pages > DOORBELL_RANGE_PAGES)
			pages = DOORBELL_RANGE_PAGES;
		words[n++] = first << RANGES_PAGE_SHIFT | (pages - 1);
		cursor->offset += pages;
		if (cursor->offset == item->pages) {
			cursor->index++;
			cursor->offset = 0;
		}
	}
	return n;
}

void ranges_unpack(struct ranges *r, const uint64_t words[DOORBELL_WORDS])
{
	for (unsigned i = 0; i < DOORBELL_WORDS && words[i]; i++)
		ranges_add(r, words[i] >> RANGES_PAGE_SHIFT, (words[i] & (RANGES_PAGE - 1)) + 1);
}
