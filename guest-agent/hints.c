/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "guest-agent/hints_state.h"
#include "guest-agent/log.h"
#include "guest-agent/moves.h"

#define SECOND 1000000000ull
#define TURN   100000000ull /* how long a walk or what waits to be sent is left alone */

struct hints *hints_open(struct session *session, struct processes *processes,
	const struct config *config, const char *vmstat)
{
	struct hints *h = calloc(1, sizeof(*h));

	if (!h)
		log_no_memory();
	h->session = session;
	h->processes = processes;
	h->config = config;
	h->vmstat = vmstat;
	h->moves = moves_count(h->vmstat);
	h->work = config->scan_pages / 10;
	h->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (h->epoll < 0) {
		log_line(LOG_ERR, "epoll: %s", strerror(errno));
		free(h);
		return NULL;
	}
	return h;
}

static void delete_hint(struct hints *h, struct hint *hint)
{
	struct hint **at = &h->first;

	while (*at != hint)
		at = &(*at)->next;
	*at = hint->next;
	hints_walk_free(h, hint);
	free(hint);
	h->count--;
}

void hints_close(struct hints *h)
{
	if (!h)
		return;
	while (h->first)
		delete_hint(h, h->first);
	ranges_free(&h->accepted);
	ranges_free(&h->add);
	ranges_free(&h->drop);
	close(h->epoll);
	free(h);
}

static bool is_pin(const struct hint *hint)
{
	return hint->request.kind == HINT_PIN;
}

/* A pin that is too large to be made: not a living one that has grown too large. */
static bool refuse(struct hints *h, struct hint *hint, struct hint_outcome *outcome)
{
	if (hint->settled || hint->request.partial || !hint->refused)
		return false;
	outcome->answer = HINT_OVER_BUDGET;
	outcome->needs = hint->pages;
	outcome->pinned = ranges_pages(&h->accepted);
	outcome->budget = h->session->budget;
	outcome->id = 0;
	delete_hint(h, hint);
	hints_send_plan(h);
	return true;
}

/*
 * As much of one hint as the work allows. Returns false when it is no more: refused, or sent whole.
 */
static bool advance(struct hints *h, struct hint *hint, struct hint_outcome *outcome)
{
	bool complete = hint->walking && hints_walk_on(h, hint);

	outcome->pages = hint->walking ? hint->taken : hint->pages;
	if (is_pin(hint)) {
		if (!complete)
			return true;
		/* One that is settled can wait for the end of the turn. */
		if (h->dirty && !hint->settled)
			hints_send_plan(h);
		if (refuse(h, hint, outcome))
			return false;
		hint->settled = true;
		outcome->answer = HINT_DONE;
		return true;
	}
	hints_send_outbox(h, hint);
	if (hint->walking || hint->outbox.count)
		return true;
	outcome->answer = HINT_DONE;
	if (hint->request.every_ns)
		return true;
	outcome->id = 0;
	delete_hint(h, hint);
	return false;
}

static struct hint *new_hint(struct hints *h, const struct hint_request *request)
{
	struct hint *hint = calloc(1, sizeof(*hint)), **at = &h->first;

	if (!hint)
		log_no_memory();
	hint->id = ++h->last_id;
	hint->request = *request;
	while (*at)
		at = &(*at)->next;
	*at = hint;
	h->count++;
	return hint;
}

/* Whether it may be made: answer says why not. A policy's waits for its processes. */
static bool find_target(struct hints *h, struct hint *hint, struct hint_outcome *outcome)
{
	const struct selector *s = &hint->request.selector;
	struct translate *file;

	if (s->keys & SELECTOR_FILE) {
		file = translate_file(s->path);
		if (!file && hint->request.origin != HINT_OF_POLICY) {
			outcome->answer =
				errno == EPERM || errno == EACCES ? HINT_HIDDEN : HINT_NOBODY;
			return false;
		}
		translate_close(file);
	}
	if (s->keys & SELECTOR_PID)
		(void)processes_look(h->processes, s->pid);
	hints_walk_members(h, hint);
	if (hint->members || hint->request.origin == HINT_OF_POLICY)
		return true;
	outcome->answer = HINT_NOBODY;
	return false;
}

void hints_add(struct hints *h, const struct hint_request *request, struct hint_outcome *outcome)
{
	struct hint *hint;

	memset(outcome, 0, sizeof(*outcome));
	if (!h->session->id && request->origin != HINT_OF_POLICY) {
		outcome->answer = HINT_NO_SESSION;
		return;
	}
	if (h->count == HINTS_MAX) {
		outcome->answer = HINT_TOO_MANY;
		return;
	}
	hint = new_hint(h, request);
	if (!find_target(h, hint, outcome)) {
		delete_hint(h, hint);
		return;
	}
	outcome->answer = HINT_PENDING;
	outcome->id = hint->id;
	hints_walk_begin(h, hint);
	if (h->session->id && advance(h, hint, outcome))
		hints_send_pins(h);
}

bool hints_remove(struct hints *h, uint32_t id)
{
	for (struct hint *hint = h->first; hint; hint = hint->next) {
		if (hint->id == id) {
			delete_hint(h, hint);
			return true;
		}
	}
	return false;
}

unsigned hints_remove_selector(
	struct hints *h, enum hint_origin origin, const struct selector *selector)
{
	struct hint *next;
	unsigned removed = 0;

	for (struct hint *hint = h->first; hint; hint = next) {
		next = hint->next;
		if (!is_pin(hint) || hint->request.origin != origin ||
			!selector_equal(&hint->request.selector, selector))
			continue;
		delete_hint(h, hint);
		removed++;
	}
	return removed;
}

static void add_work(struct hints *h)
{
	uint64_t passed = h->now_ns - h->worked_ns, most = h->config->scan_pages / 10 + 1;

	if (passed > TURN)
		passed = TURN;
	h->work += passed * (h->config->scan_pages >> 4) / (SECOND >> 4);
	if (h->work > most)
		h->work = most;
	h->worked_ns = h->now_ns;
}

/* All pins are translated again when pages were moved; once a second is enough. */
static void look_for_moves(struct hints *h)
{
	uint64_t moves;

	if (h->now_ns - h->looked_ns < SECOND)
		return;
	h->looked_ns = h->now_ns;
	moves = moves_count(h->vmstat);
	if (moves == h->moves)
		return;
	h->moves = moves;
	for (struct hint *hint = h->first; hint; hint = hint->next)
		if (is_pin(hint))
			hint->due_ns = h->now_ns;
}

static void look_for_members(struct hints *h)
{
	if (processes_passes(h->processes) == h->passes)
		return;
	h->passes = processes_passes(h->processes);
	for (struct hint *hint = h->first; hint; hint = hint->next)
		if (is_pin(hint) || hint->request.every_ns)
			hints_walk_members(h, hint);
}

static bool due(const struct hints *h, const struct hint *hint)
{
	return !hint->walking && !hint->outbox.count && h->now_ns >= hint->due_ns &&
	       hint->members && (is_pin(hint) || hint->request.every_ns);
}

/* Pins first, then what is waited for, then what nobody waits for. */
static void advance_all(struct hints *h)
{
	static const enum hint_kind order[] = {HINT_PIN, HINT_PREFETCH, HINT_COLD};
	struct hint *next;

	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		for (struct hint *hint = h->first; hint; hint = next) {
			struct hint_outcome outcome = {.answer = HINT_PENDING, .id = hint->id};
			uint32_t id = hint->id;

			next = hint->next;
			if (hint->request.kind != order[i])
				continue;
			if (due(h, hint))
				hints_walk_begin(h, hint);
			if ((hint->walking || hint->outbox.count) && !advance(h, hint, &outcome) &&
				outcome.answer != HINT_DONE) {
				char text[160];

				hints_outcome_text(&outcome, text, sizeof(text));
				log_line(LOG_WARNING, "hint %u: %s", id, text);
			}
		}
		if (order[i] != HINT_PIN)
			continue;
		if (h->dirty)
			hints_send_plan(h);
		hints_send_pins(h);
	}
}

void hints_turn(struct hints *h, uint64_t now_ns)
{
	h->now_ns = now_ns;
	add_work(h);
	hints_walk_reap(h);
	look_for_members(h);
	if (!h->session->id)
		return;
	if (h->generation != h->session->generation) {
		h->generation = h->session->generation;
		hints_send_forget(h);
		for (struct hint *hint = h->first; hint; hint = hint->next)
			hint->due_ns = now_ns;
	}
	look_for_moves(h);
	hints_send_check(h);
	if (h->session->budget != h->planned || (h->again_ns && now_ns >= h->again_ns))
		h->dirty = true;
	advance_all(h);
}

uint64_t hints_deadline(const struct hints *h)
{
	uint64_t next = UINT64_MAX;
	bool waits = h->dirty || hints_send_waits(h);

	if (!h->session->id)
		return UINT64_MAX;
	if (h->again_ns)
		next = h->again_ns;
	for (const struct hint *hint = h->first; hint; hint = hint->next) {
		if (hint->walking)
			waits = true;
		else if (hint->members && (is_pin(hint) || hint->request.every_ns) &&
			 hint->due_ns < next)
			next = hint->due_ns;
	}
	if (waits && h->now_ns + TURN < next)
		next = h->now_ns + TURN;
	return next;
}

bool hints_busy(const struct hints *h)
{
	bool busy = h->dirty || h->again_ns || hints_send_waits(h);

	for (const struct hint *hint = h->first; hint && !busy; hint = hint->next)
		busy = hint->walking || due(h, hint);
	return busy;
}

int hints_descriptor(const struct hints *h)
{
	return h->epoll;
}

unsigned hints_members(const struct hints *h, uint32_t id)
{
	for (const struct hint *hint = h->first; hint; hint = hint->next)
		if (hint->id == id)
			return hint->member_count;
	return 0;
}

void hints_totals(const struct hints *h, struct hints_totals *totals)
{
	*totals = h->totals;
	totals->hints = h->count;
	for (const struct hint *hint = h->first; hint; hint = hint->next)
		totals->members += hint->member_count;
	totals->pinned = ranges_pages(&h->accepted);
}
