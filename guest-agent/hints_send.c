/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <string.h>
#include "guest-agent/hints_state.h"
#include "guest-agent/log.h"

#define SECOND      UINT64_C(1000000000)
#define UNPIN_NS    (2 * SECOND) /* in which the VMM comes to an UNPIN, and its room is free */
#define AGAIN_NS    (SECOND / 5)
#define MISSING     3u /* beats */
#define RESTART_MIN (30 * SECOND)
#define RESTART_MAX (600 * SECOND)

static void set_add(struct ranges *set, const struct ranges *more)
{
	ranges_append(set, more);
	ranges_normalize(set);
}

/* What the cursor says to be sent of r: the first part of it. */
static void sent_part(
	struct ranges *out, const struct ranges *r, const struct ranges_cursor *cursor)
{
	ranges_clear(out);
	for (size_t i = 0; i < cursor->index && i < r->count; i++)
		ranges_add(out, r->item[i].first, r->item[i].pages);
	if (cursor->index < r->count)
		ranges_add(out, r->item[cursor->index].first, cursor->offset);
}

/* Brings `accepted` up to date, and forgets what was to be sent. */
static void settle(struct hints *h)
{
	struct ranges part = {0}, rest = {0};

	sent_part(&part, &h->drop, &h->dropped);
	if (part.count) {
		ranges_difference(&rest, &h->accepted, &part);
		ranges_free(&h->accepted);
		h->accepted = rest;
		memset(&rest, 0, sizeof(rest));
	}
	sent_part(&part, &h->add, &h->added);
	if (part.count)
		set_add(&h->accepted, &part);
	ranges_free(&part);
	ranges_clear(&h->add);
	ranges_clear(&h->drop);
	memset(&h->added, 0, sizeof(h->added));
	memset(&h->dropped, 0, sizeof(h->dropped));
}

void hints_send_forget(struct hints *h)
{
	settle(h);
	ranges_clear(&h->accepted);
	h->dirty = true;
}

static void collect(const struct hint *hint, struct ranges *out)
{
	for (const struct member *m = hint->members; m; m = m->next)
		ranges_append(out, &m->held);
}

/* Not all fits: policies first, then the operator, then applications; the older before the newer. */
static void collect_by_rank(struct hints *h, struct ranges *wanted)
{
	struct ranges own = {0}, more = {0};
	uint64_t have = 0, budget = h->session->budget;

	ranges_clear(wanted);
	for (int origin = HINT_OF_POLICY; origin <= HINT_OF_APPLICATION; origin++) {
		for (struct hint *hint = h->first; hint; hint = hint->next) {
			uint64_t pages;

			if (hint->request.kind != HINT_PIN || (int)hint->request.origin != origin)
				continue;
			ranges_clear(&own);
			collect(hint, &own);
			ranges_normalize(&own);
			ranges_difference(&more, &own, wanted);
			pages = ranges_pages(&more);
			if (pages > budget - have) {
				hint->refused = pages - (budget - have);
				h->totals.refused += hint->refused;
				pages = budget - have;
				ranges_trim(&more, pages);
			}
			have += pages;
			set_add(wanted, &more);
		}
	}
	ranges_free(&own);
	ranges_free(&more);
}

void hints_send_plan(struct hints *h)
{
	struct ranges wanted = {0};

	settle(h);
	h->totals.refused = 0;
	for (struct hint *hint = h->first; hint; hint = hint->next) {
		hint->refused = 0;
		if (hint->request.kind == HINT_PIN)
			collect(hint, &wanted);
	}
	ranges_normalize(&wanted);
	if (ranges_pages(&wanted) > h->session->budget)
		collect_by_rank(h, &wanted);
	h->dirty = h->restart;
	if (h->restart)
		ranges_clear(&wanted);
	h->restart = false;
	ranges_difference(&h->drop, &h->accepted, &wanted);
	ranges_difference(&h->add, &wanted, &h->accepted);
	ranges_free(&wanted);
	h->planned = h->session->budget;
	h->again_ns = 0;
}

/*
 * One request of up to ten ranges. False: not now; nothing has changed. What the VMM calls wrong is
 * passed over: the window it named may be another by now.
 */
static bool send_some(struct hints *h, enum doorbell_request request, const struct ranges *r,
	struct ranges_cursor *cursor, uint32_t *result)
{
	struct ranges_cursor next = *cursor;
	uint64_t words[DOORBELL_WORDS], pages = 0;

	if (!session_ready(h->session) || !ranges_pack(r, &next, words))
		return false;
	for (unsigned i = 0; i < DOORBELL_WORDS && words[i]; i++)
		pages += words[i] % RANGES_PAGE + 1;
	*result = session_hint(h->session, request, words);
	if (*result != DOORBELL_OK && *result != DOORBELL_BAD_ARGUMENT)
		return false;
	if (*result == DOORBELL_BAD_ARGUMENT)
		log_line(LOG_WARNING, "the VMM refuses ranges of a hint: %s",
			doorbell_result_text(*result));
	h->sent += pages;
	*cursor = next;
	return true;
}

/* The VMM counts otherwise: it has not come to an UNPIN yet, or there is less room than it said. */
static void refused(struct hints *h)
{
	struct ranges part = {0};

	if (h->unpinned_ns && h->now_ns - h->unpinned_ns < UNPIN_NS) {
		h->again_ns = h->now_ns + AGAIN_NS;
		return;
	}
	h->again_ns = h->now_ns + h->config->refresh_ns;
	sent_part(&part, &h->add, &h->added);
	h->totals.refused += ranges_pages(&h->add) - ranges_pages(&part);
	ranges_free(&part);
	log_line(LOG_WARNING, "the VMM refuses a pin: %" PRIu64 " of %" PRIu64 " pages are pinned",
		h->session->pinned, h->session->budget);
}

void hints_send_check(struct hints *h)
{
	uint64_t accepted = ranges_pages(&h->accepted);

	if (h->beats == h->session->beats)
		return;
	h->beats = h->session->beats;
	if (h->session->queued || h->session->pinned >= accepted) {
		h->missing = 0;
		return;
	}
	if (++h->missing < MISSING || h->now_ns < h->restart_ns)
		return;
	log_line(LOG_INFO, "the VMM holds %" PRIu64 " of %" PRIu64 " pages: all are pinned again",
		h->session->pinned, accepted);
	h->missing = 0;
	h->restart_wait = h->restart_wait ? h->restart_wait * 2 : RESTART_MIN;
	if (h->restart_wait > RESTART_MAX)
		h->restart_wait = RESTART_MAX;
	h->restart_ns = h->now_ns + h->restart_wait;
	h->restart = h->dirty = true;
}

void hints_send_pins(struct hints *h)
{
	uint32_t result = DOORBELL_OK;

	while (send_some(h, DOORBELL_UNPIN, &h->drop, &h->dropped, &result))
		h->unpinned_ns = h->now_ns;
	if (h->dropped.index < h->drop.count)
		return;
	while (send_some(h, DOORBELL_PIN, &h->add, &h->added, &result))
		;
	if (result == DOORBELL_OVER_BUDGET) {
		refused(h);
	} else if (h->added.index < h->add.count) {
		return;
	}
	settle(h);
}

void hints_send_outbox(struct hints *h, struct hint *hint)
{
	bool prefetch = hint->request.kind == HINT_PREFETCH;
	uint64_t before = h->sent;
	uint32_t result = DOORBELL_OK;

	while (send_some(h, prefetch ? DOORBELL_PREFETCH : DOORBELL_COLD, &hint->outbox,
		&hint->sent, &result))
		;
	*(prefetch ? &h->totals.prefetched : &h->totals.cold) += h->sent - before;
	if (hint->sent.index < hint->outbox.count)
		return;
	ranges_clear(&hint->outbox);
	memset(&hint->sent, 0, sizeof(hint->sent));
}

bool hints_send_waits(const struct hints *h)
{
	if (h->add.count || h->drop.count)
		return true;
	for (const struct hint *hint = h->first; hint; hint = hint->next)
		if (hint->outbox.count)
			return true;
	return false;
}
