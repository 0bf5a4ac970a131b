/* SPDX-License-Identifier: MIT */
/* What the files hints*.c share. */
#ifndef ANNEX_AGENT_HINTS_STATE_H
#define ANNEX_AGENT_HINTS_STATE_H

#include "guest-agent/hints.h"
#include "guest-agent/ranges.h"
#include "guest-agent/translate.h"

/* A process of a hint, or its file (pid 0). */
struct member {
	pid_t pid;
	uint64_t start;
	int pidfd; /* -1: none; its end is then found by the table of processes */
	bool dead;
	bool known; /* held is of a walk that was complete */
	struct translate *walk; /* under way */
	struct ranges found; /* by it */
	struct ranges held; /* pin: what the last walk found; a set */
	struct member *next;
};

struct hint {
	uint32_t id;
	struct hint_request request;
	struct member *members;
	unsigned member_count;
	bool too_many; /* members: said once */
	uint64_t due_ns; /* of the next walk */
	bool walking;
	bool settled; /* the first walk is complete */
	struct member *current; /* of the walk */
	uint64_t taken; /* pages found by the walk so far */
	uint64_t pages; /* found by the last complete one */
	uint64_t refused; /* pin: pages of it that the budget has no room for */
	struct ranges outbox; /* prefetch, cold: to be sent */
	struct ranges_cursor sent; /* of it */
	struct hint *next;
};

struct hints {
	struct session *session;
	struct processes *processes;
	const struct config *config;
	struct hint *first; /* oldest first */
	unsigned count;
	uint32_t last_id;
	int epoll; /* pidfds of members */
	uint64_t now_ns;
	uint64_t generation; /* the session's, at the last turn */
	uint64_t passes; /* of the table of processes, at the last look for members */
	uint64_t work; /* pages that may be looked at now */
	uint64_t worked_ns; /* when work was added last */
	const char *vmstat;
	uint64_t moves; /* moves_count at the last look, at looked_ns */
	uint64_t looked_ns;
	uint64_t sent; /* pages, of all hints */
	bool dirty; /* what members hold has changed */
	uint64_t unpinned_ns; /* when an UNPIN was sent last */
	uint64_t beats; /* the session's, at the last check of what it holds */
	unsigned missing; /* beats in a row that found pins missing */
	uint64_t restart_ns; /* not before this are all pins sent again */
	uint64_t restart_wait; /* after the next time */
	bool restart; /* the next plan unpins all, the one after it pins */
	uint64_t planned; /* the budget that the last plan was made for */
	uint64_t again_ns; /* when what the VMM refused is tried again; 0: nothing was */
	bool said_hidden;
	struct ranges accepted; /* by the VMM: a set */
	struct ranges add, drop; /* sets: what is to be sent */
	struct ranges_cursor added, dropped; /* how far it was sent */
	struct hints_totals totals;
};

#define HINTS_OUTBOX 65536u /* ranges that wait to be sent before a walk waits, too */

/* hints_walk.c: members, and their translation. */

/* Makes the members what the selector says now. */
void hints_walk_members(struct hints *h, struct hint *hint);
/* Marks members whose process has ended, and drops them. */
void hints_walk_reap(struct hints *h);
/* Begins a walk over all members. */
void hints_walk_begin(struct hints *h, struct hint *hint);
/* Goes on while there is work. True: the walk is complete. */
bool hints_walk_on(struct hints *h, struct hint *hint);
void hints_walk_free(struct hints *h, struct hint *hint);

/* hints_send.c: what goes to the VMM. */

/* Works out what is to be pinned and unpinned; sets each hint's `refused`. */
void hints_send_plan(struct hints *h);
/* As much as the session takes now. */
void hints_send_pins(struct hints *h);
void hints_send_outbox(struct hints *h, struct hint *hint);
bool hints_send_waits(const struct hints *h);
/* After a beat: does the VMM hold what it has accepted? */
void hints_send_check(struct hints *h);
/* The session's pins are gone. */
void hints_send_forget(struct hints *h);

#endif
