/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "guest-agent/hints_state.h"
#include "guest-agent/log.h"

#define SECOND 1000000000ull
#define OVER   65536u /* pages */

static void free_member(struct hints *h, struct hint *hint, struct member **at)
{
	struct member *m = *at;

	*at = m->next;
	if (hint->current == m)
		hint->current = m->next;
	hint->member_count--;
	if (m->held.count)
		h->dirty = true;
	if (m->pidfd >= 0)
		close(m->pidfd); /* and with it out of epoll */
	translate_close(m->walk);
	ranges_free(&m->found);
	ranges_free(&m->held);
	free(m);
}

void hints_walk_free(struct hints *h, struct hint *hint)
{
	while (hint->members)
		free_member(h, hint, &hint->members);
	ranges_free(&hint->outbox);
}

/* Last, so that a walk under way comes to it too. */
static void add_member(struct hints *h, struct hint *hint, const struct process *p)
{
	struct member *m, **at = &hint->members;

	if (hint->member_count == HINTS_MEMBERS) {
		if (!hint->too_many)
			log_line(LOG_WARNING, "hint %u: only %u of its processes are looked at",
				hint->id, HINTS_MEMBERS);
		hint->too_many = true;
		return;
	}
	m = calloc(1, sizeof(*m));
	if (!m)
		log_no_memory();
	m->pidfd = -1;
	if (p) {
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = m};

		m->pid = p->pid;
		m->start = p->start;
		m->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
		if (m->pidfd >= 0 && epoll_ctl(h->epoll, EPOLL_CTL_ADD, m->pidfd, &event) != 0) {
			close(m->pidfd);
			m->pidfd = -1;
		}
	}
	while (*at)
		at = &(*at)->next;
	*at = m;
	hint->member_count++;
	/* The first one of a pin need not wait for the next round. */
	if (!hint->walking)
		hint->due_ns = h->now_ns;
	else if (!hint->current)
		hint->current = m;
}

static struct member *find_member(struct hint *hint, const struct process *p)
{
	struct member *m = hint->members;

	while (m && (m->pid != p->pid || m->start != p->start))
		m = m->next;
	return m;
}

static void drop_dead(struct hints *h, struct hint *hint)
{
	struct member **at = &hint->members;

	while (*at) {
		if ((*at)->dead)
			free_member(h, hint, at);
		else
			at = &(*at)->next;
	}
}

void hints_walk_members(struct hints *h, struct hint *hint)
{
	const struct selector *s = &hint->request.selector;
	const struct process *p = NULL;

	if (s->keys & SELECTOR_FILE) {
		if (!hint->members)
			add_member(h, hint, NULL);
		return;
	}
	for (struct member *m = hint->members; m; m = m->next) {
		p = processes_find(h->processes, m->pid);
		m->dead = !p || p->start != m->start || !selector_fits(s, p);
	}
	drop_dead(h, hint);
	if (s->keys & SELECTOR_PID) {
		p = processes_find(h->processes, s->pid);
		if (p && selector_fits(s, p) && !find_member(hint, p))
			add_member(h, hint, p);
		return;
	}
	for (p = processes_next(h->processes, NULL); p; p = processes_next(h->processes, p))
		if (selector_fits(s, p) && !find_member(hint, p))
			add_member(h, hint, p);
}

void hints_walk_reap(struct hints *h)
{
	struct epoll_event event[64];
	int got;

	while ((got = epoll_wait(h->epoll, event, 64, 0)) > 0) {
		for (int i = 0; i < got; i++) {
			struct member *m = event[i].data.ptr;

			m->dead = true;
			(void)processes_glance(h->processes, m->pid); /* out of the table, too */
		}
		for (struct hint *hint = h->first; hint; hint = hint->next)
			drop_dead(h, hint);
	}
}

void hints_walk_begin(struct hints *h, struct hint *hint)
{
	hint->walking = true;
	hint->current = hint->members;
	hint->taken = 0;
	hint->due_ns = h->now_ns + (hint->request.kind == HINT_PIN ? h->config->refresh_ns
								   : hint->request.every_ns);
}

/* Most that the hint's walk may find. */
static uint64_t limit(const struct hints *h, const struct hint *hint)
{
	uint64_t budget = h->session->budget, most = hint->request.max_pages;

	if (hint->request.kind != HINT_PIN)
		return most;
	/* To say how much too large it is; but not of how many a terabyte consists. */
	if (!hint->request.partial)
		budget += OVER;
	return budget < most ? budget : most;
}

static bool open_walk(struct hints *h, struct hint *hint, struct member *m)
{
	const struct selector *s = &hint->request.selector;
	const struct process *p;

	ranges_clear(&m->found);
	if (!m->pid) {
		m->walk = translate_file(s->path);
		return m->walk;
	}
	m->walk = translate_process(m->pid, s->address, s->length);
	if (!m->walk)
		return false;
	/* Opened first, then looked: another process of that number has another start. */
	p = processes_look(h->processes, m->pid);
	if (p && p->start == m->start)
		return true;
	translate_close(m->walk);
	m->walk = NULL;
	return false;
}

/* The walk over a member is at its end: what it found takes the place of what it had. */
static void take_found(struct hints *h, struct hint *hint, struct member *m)
{
	struct ranges moved = {0}, old = m->held;

	ranges_normalize(&m->found);
	m->held = m->found;
	m->found = old;
	hint->taken += ranges_pages(&m->held);
	ranges_difference(&moved, &old, &m->held);
	if (m->known)
		h->totals.stale += moved.count;
	if (moved.count || ranges_pages(&old) != ranges_pages(&m->held))
		h->dirty = true;
	m->known = true;
	ranges_free(&moved);
}

/* Whether it may go on with this member. */
static bool step(struct hints *h, struct hint *hint, struct member *m)
{
	uint64_t most = limit(h, hint), room = most > hint->taken ? most - hint->taken : 0;
	enum translate_state state;
	uint64_t found;

	if (!room)
		return false;
	state = translate_step(m->walk, &h->session->window, &h->work, &m->found);
	found = ranges_pages(&m->found);
	if (state == TRANSLATE_HIDDEN && !h->said_hidden) {
		h->said_hidden = true;
		log_line(LOG_ERR, "the kernel hides page frame numbers: hints need CAP_SYS_ADMIN");
	}
	/* A process that lives on has another address space now (execve). */
	if (state == TRANSLATE_GONE && hint->due_ns > h->now_ns + SECOND)
		hint->due_ns = h->now_ns + SECOND;
	if (state == TRANSLATE_GONE || state == TRANSLATE_HIDDEN)
		ranges_clear(&m->found);
	else if (found >= room) {
		ranges_trim(&m->found, room);
		found = room;
		state = TRANSLATE_DONE;
	}
	if (hint->request.kind != HINT_PIN && m->found.count) {
		hint->taken += found;
		ranges_append(&hint->outbox, &m->found);
		ranges_clear(&m->found);
	}
	return state == TRANSLATE_MORE;
}

bool hints_walk_on(struct hints *h, struct hint *hint)
{
	while (hint->current) {
		struct member *m = hint->current;

		if (!h->work || hint->outbox.count >= HINTS_OUTBOX)
			return false;
		if ((m->walk || open_walk(h, hint, m)) && step(h, hint, m))
			continue;
		translate_close(m->walk);
		m->walk = NULL;
		if (hint->request.kind == HINT_PIN)
			take_found(h, hint, m);
		hint->current = m->next;
	}
	hint->walking = false;
	hint->pages = hint->taken;
	return true;
}
