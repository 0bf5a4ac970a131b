/* SPDX-License-Identifier: MIT */
/* Hints of applications about ranges of their own memory. */
#include <string.h>
#include "guest-agent/hints_state.h"

/* A pin that an application made. */
static bool applications(const struct hint *hint)
{
	return hint->request.origin == HINT_OF_APPLICATION && hint->request.kind == HINT_PIN;
}

/* Bytes that both cover; ends are exclusive. */
static uint64_t overlap(const struct selector *s, uint64_t from, uint64_t to)
{
	uint64_t low = s->address > from ? s->address : from;
	uint64_t high = s->address + s->length < to ? s->address + s->length : to;

	return low < high ? high - low : 0;
}

uint64_t hints_applications(const struct hints *h, uid_t owner)
{
	uint64_t bytes = 0;

	for (const struct hint *hint = h->first; hint; hint = hint->next)
		if (applications(hint) && (owner == UINT32_MAX || hint->request.owner == owner))
			bytes += hint->request.selector.length;
	return bytes / RANGES_PAGE;
}

/* Whether the pin is of that process's memory. */
static bool of_process(const struct hint *hint, const struct process *p)
{
	const struct selector *s = &hint->request.selector;

	return applications(hint) && s->pid == p->pid && s->start == p->start;
}

static void describe(struct hint_request *request, const struct hint_range *range,
	const struct process *p, uint64_t from, uint64_t to)
{
	memset(request, 0, sizeof(*request));
	selector_init(&request->selector);
	request->kind = range->kind;
	request->origin = HINT_OF_APPLICATION;
	request->owner = range->owner;
	request->max_pages = UINT64_MAX;
	request->selector.keys = SELECTOR_PID | SELECTOR_ADDRESS | SELECTOR_LENGTH;
	request->selector.pid = p->pid;
	request->selector.start = p->start;
	request->selector.address = from;
	request->selector.length = to - from;
}

/*
 * Takes from..to out of the process's pins; what is left of them on either side goes on as pins of its
 * own. Returns how many it touched.
 */
static unsigned cut(struct hints *h, const struct hint_range *range, const struct process *p,
	uint64_t from, uint64_t to)
{
	struct hint_range kept = *range;
	struct hint_request part;
	struct hint_outcome ignored;
	struct hint *next;
	uint32_t last = h->last_id; /* not the parts that are made here */
	unsigned touched = 0;

	kept.kind = HINT_PIN;
	for (struct hint *hint = h->first; hint; hint = next) {
		struct selector old = hint->request.selector;

		next = hint->next;
		if (hint->id > last || !of_process(hint, p) || !overlap(&old, from, to))
			continue;
		touched++;
		kept.owner = hint->request.owner;
		hints_remove(h, hint->id);
		if (old.address < from) {
			describe(&part, &kept, p, old.address, from);
			hints_add(h, &part, &ignored);
		}
		if (old.address + old.length > to) {
			describe(&part, &kept, p, to, old.address + old.length);
			hints_add(h, &part, &ignored);
		}
		/* The list has grown at its end only, but may have lost a refused part there. */
		next = h->first;
	}
	return touched;
}

/* Whether the owner may pin so much more. */
static bool within_quota(const struct hints *h, const struct hint_range *range,
	const struct process *p, uint64_t from, uint64_t to, struct hint_outcome *outcome)
{
	uint64_t all = hints_applications(h, UINT32_MAX), own = hints_applications(h, range->owner);
	uint64_t needs = (to - from) / RANGES_PAGE;

	/* What it has pinned of that already is replaced. */
	for (const struct hint *hint = h->first; hint; hint = hint->next) {
		uint64_t again;

		if (!of_process(hint, p))
			continue;
		again = overlap(&hint->request.selector, from, to) / RANGES_PAGE;
		all -= again;
		if (hint->request.owner == range->owner)
			own -= again;
	}
	outcome->answer = HINT_OVER_QUOTA;
	outcome->needs = needs;
	outcome->pinned = all;
	outcome->budget = h->config->applications_pin_pages;
	if (all + needs > outcome->budget)
		return false;
	outcome->pinned = own;
	outcome->budget = h->config->user_pin_pages;
	return range->owner == 0 || own + needs <= outcome->budget;
}

static bool too_many(const struct hints *h, uid_t owner)
{
	unsigned own = 0;

	for (const struct hint *hint = h->first; hint; hint = hint->next)
		own += hint->request.origin == HINT_OF_APPLICATION && hint->request.owner == owner;
	return own >= HINTS_USER_MAX;
}

void hints_range(struct hints *h, const struct hint_range *range, struct hint_outcome *outcome)
{
	uint64_t from = range->address & ~(RANGES_PAGE - 1), to;
	const struct process *known;
	struct hint_request request;
	struct process p;

	memset(outcome, 0, sizeof(*outcome));
	outcome->answer = HINT_BAD;
	if (!range->length || __builtin_add_overflow(range->address, range->length, &to) ||
		to > 1ull << 56)
		return;
	to = (to + RANGES_PAGE - 1) & ~(RANGES_PAGE - 1);
	known = processes_look(h->processes, range->pid);
	outcome->answer = HINT_NOBODY;
	if (!known || (range->start && known->start != range->start))
		return;
	p = *known; /* its strings are not used */
	if (range->kind == HINT_UNPIN) {
		outcome->answer = cut(h, range, &p, from, to) ? HINT_DONE : HINT_NOBODY;
		return;
	}
	outcome->answer = HINT_TOO_MANY;
	if (too_many(h, range->owner))
		return;
	if (range->kind == HINT_PIN) {
		if (!within_quota(h, range, &p, from, to, outcome))
			return;
		(void)cut(h, range, &p, from, to);
	}
	describe(&request, range, &p, from, to);
	hints_add(h, &request, outcome);
}
