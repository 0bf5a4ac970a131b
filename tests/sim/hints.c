/* SPDX-License-Identifier: MIT */
/*
 * The guest's agent: hints of all kinds on pages of the guest and on others, ranges that are none,
 * sessions that end in the middle. What it has pinned and seen pinned must never be missing.
 */
#include <string.h>
#include "far/page.h"
#include "sim/sim.h"

#define RANGES_MAX 5u
#define PAGES_MAX  512u
#define LOOKS      8u /* pages looked at for pins, per hint */

enum pin_seen {
	PIN_NONE,
	PIN_ASKED,
	PIN_SEEN, /* it was there when its PIN's turn was over */
};

static void each(struct sim *s, const struct far_hint_range *range, unsigned count, bool pin)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t first = (range[i].gpa - s->window.base) / PAGE_SIZE;

		for (uint32_t k = 0; k < range[i].pages; k++) {
			s->pin_seen[first + k] = pin ? PIN_ASKED : PIN_NONE;
			s->pin_dropped[first + k] = (uint32_t)far_counters(s->far)->hint_dropped;
		}
	}
}

static struct far_hint_range draw(struct sim *s)
{
	struct random *r = &s->random;
	uint32_t page = guest_page(s, random_below(r, s->work));
	uint32_t pages = 1 + random_below(r, random_chance(r, 50) ? PAGES_MAX : 24);

	if (random_chance(r, 20))
		page = random_below(r, s->window.pages);
	if (pages > s->window.pages - page)
		pages = s->window.pages - page;
	return (struct far_hint_range){s->window.base + (uint64_t)page * PAGE_SIZE, pages};
}

static struct far_hint_range draw_hostile(struct sim *s)
{
	uint64_t end = s->window.base + (uint64_t)s->window.pages * PAGE_SIZE;
	struct far_hint_range range[] = {
		{s->window.base, 0},
		{s->window.base + 1 + random_below(&s->random, PAGE_SIZE - 1), 1},
		{s->window.base - PAGE_SIZE, 2},
		{end, 1},
		{end - PAGE_SIZE, 2},
		{s->window.base, s->window.pages + 1},
		{end - PAGE_SIZE, UINT32_MAX},
		{-(uint64_t)PAGE_SIZE, 1},
		{random_next(&s->random) | 1, (uint32_t)random_next(&s->random)},
	};

	return range[random_below(&s->random, sizeof(range) / sizeof(range[0]))];
}

static void send(struct sim *s, enum far_hint hint)
{
	struct far_hint_range range[RANGES_MAX];
	unsigned count = 1 + random_below(&s->random, RANGES_MAX);
	bool hostile = random_chance(&s->random, 100);
	enum far_hint_result result;
	struct far_pins before, after;
	uint64_t pages = 0;

	for (unsigned i = 0; i < count; i++)
		range[i] = draw(s);
	if (hostile)
		range[random_below(&s->random, count)] = draw_hostile(s);
	for (unsigned i = 0; i < count; i++)
		pages += range[i].pages;
	far_pins(s->far, &before);
	result = far_hint(s->far, hint, range, count);
	far_pins(s->far, &after);
	if (hostile != (result == FAR_HINT_BAD_RANGE))
		sim_fail("hint %u answered %u: a range was %s", hint, result,
			hostile ? "none" : "refused");
	if (after.queued != before.queued + (result == FAR_HINT_OK ? pages : 0))
		sim_fail("hint %u answered %u: not all or nothing was accepted", hint, result);
	if (result == FAR_HINT_OVER_BUDGET &&
		(hint != FAR_HINT_PIN || pages + before.pinned + before.pinning <= before.budget))
		sim_fail("hint %u is over the budget, and is not", hint);
	/* An UNPIN may act from now on, a PIN only then. */
	if (result == FAR_HINT_OK && hint <= FAR_HINT_UNPIN)
		each(s, range, count, hint == FAR_HINT_PIN);
}

/* With nothing queued and nothing dropped since, what was asked for and is there is pinned. */
static void look(struct sim *s)
{
	struct far_pins pins;

	far_pins(s->far, &pins);
	for (unsigned i = 0; pins.queued == 0 && i < LOOKS; i++) {
		uint32_t page = guest_page(s, random_below(&s->random, s->work));

		if (s->pin_seen[page] == PIN_ASKED &&
			s->pin_dropped[page] == (uint32_t)far_counters(s->far)->hint_dropped &&
			slat_present(s->format, slat_read(&s->window.leaf[page])))
			s->pin_seen[page] = PIN_SEEN;
	}
}

static void sample(struct sim *s)
{
	uint64_t gpa[80];
	unsigned max = random_below(&s->random, 81), count = far_samples(s->far, gpa, max);

	if (count > max || count > 64)
		sim_fail("%u samples of remote fills, where %u were asked for", count, max);
	for (unsigned i = 0; i < count; i++) {
		if (gpa[i] % PAGE_SIZE || (gpa[i] - s->window.base) / PAGE_SIZE >= s->window.pages)
			sim_fail("sample %llx is no far page", (unsigned long long)gpa[i]);
	}
}

void hints_end(struct sim *s)
{
	far_hint_forget(s->far);
	memset(s->pin_seen, PIN_NONE, sizeof(s->pin_seen));
}

void hints_step(struct sim *s)
{
	uint32_t what = random_below(&s->random, 64);

	look(s);
	if (what < 24)
		send(s, FAR_HINT_PIN);
	else if (what < 34)
		send(s, FAR_HINT_UNPIN);
	else if (what < 48)
		send(s, FAR_HINT_PREFETCH);
	else if (what < 60)
		send(s, FAR_HINT_COLD);
	else if (what < 63)
		sample(s);
	else
		hints_end(s);
}

void hints_fault(const struct sim *s, uint32_t page)
{
	if (s->pin_seen[page] == PIN_SEEN &&
		!slat_present(s->format, slat_read(&s->window.leaf[page])))
		sim_fail("page %u was pinned and is missing", page);
}

void hints_ended(const struct sim *s)
{
	struct far_pins pins;

	far_pins(s->far, &pins);
	if (pins.pinned + pins.pinning + pins.queued > 0)
		sim_fail("%llu pages pinned and %llu queued after the session's end",
			(unsigned long long)pins.pinned, (unsigned long long)pins.queued);
}
