/* SPDX-License-Identifier: MIT */
/*
 * Hints that live. A pin is kept true: its memory is translated when it is made, again every
 * `refresh` seconds and when the kernel's counters say that pages were moved; what is no longer there
 * is unpinned, what is new is pinned. Prefetch and cold are sent once as they are translated (cold of
 * a policy again and again). What the VMM holds pinned is always the union over all pins, so one page
 * may be wanted by several.
 */
#ifndef ANNEX_AGENT_HINTS_H
#define ANNEX_AGENT_HINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "guest-agent/config.h"
#include "guest-agent/processes.h"
#include "guest-agent/selector.h"
#include "guest-agent/session.h"

#define HINTS_MAX      1024u /* pins and one-shots under way */
#define HINTS_USER_MAX 64u /* of them by one user's applications */
#define HINTS_MEMBERS  1024u /* processes of one hint */

enum hint_kind {
	HINT_PIN,
	HINT_UNPIN,
	HINT_PREFETCH,
	HINT_COLD,
	HINT_KINDS,
};

enum hint_origin {
	HINT_OF_POLICY,
	HINT_OF_OPERATOR, /* by a message */
	HINT_OF_APPLICATION, /* by the socket */
};

enum hint_answer {
	HINT_DONE, /* passed on; pages says how many */
	HINT_PENDING, /* large: being translated, piece by piece */
	HINT_OVER_BUDGET, /* pin: refused; needs, pinned and budget say how much */
	HINT_OVER_QUOTA, /* pin: over user-pin or applications-pin: needs, pinned and budget are of it */
	HINT_NOBODY, /* no such process, file or pin */
	HINT_NO_SESSION, /* the VMM does not answer now: try again */
	HINT_TOO_MANY, /* hints */
	HINT_BAD, /* a range that wraps, or is empty */
	HINT_HIDDEN, /* the kernel does not show where memory lies, or not that of this file */
	HINT_ANSWERS,
};

struct hint_request {
	enum hint_kind kind; /* not HINT_UNPIN */
	enum hint_origin origin;
	uid_t owner; /* of an application */
	unsigned policy; /* number of the policy that asks; 0: none */
	struct selector selector;
	uint64_t max_pages; /* UINT64_MAX: no limit */
	uint64_t every_ns; /* cold: send again; 0: once */
	bool partial; /* pin what fits rather than nothing */
};

struct hint_outcome {
	enum hint_answer answer;
	uint32_t id; /* 0: nothing remains of it */
	uint64_t pages; /* of far memory that it means */
	uint64_t needs; /* pages, with the two below */
	uint64_t pinned;
	uint64_t budget;
};

struct hints_totals {
	unsigned hints; /* that live */
	unsigned members; /* their processes and files */
	uint64_t pinned; /* pages that the VMM has accepted */
	uint64_t refused; /* pages that did not fit the budget at the last try */
	uint64_t stale; /* ranges dropped because the memory had moved or gone */
	uint64_t prefetched; /* pages sent */
	uint64_t cold; /* pages sent */
};

struct hints;

/* vmstat: "/proc/vmstat" but in tests; kept. */
struct hints *hints_open(struct session *session, struct processes *processes,
	const struct config *config, const char *vmstat);

/* Unpins nothing: the session's end does. */
void hints_close(struct hints *h);

/* Makes a hint and does as much of it as a turn allows. */
void hints_add(struct hints *h, const struct hint_request *request, struct hint_outcome *outcome);

/* Forgets it; its pins go with the next turn. False: no such hint. */
bool hints_remove(struct hints *h, uint32_t id);

/* Forgets all pins of that selector and origin; returns how many. */
unsigned hints_remove_selector(
	struct hints *h, enum hint_origin origin, const struct selector *selector);

/*
 * For an application, about the memory of process pid, which the caller of hints_range has made sure
 * to be its own: address..address+length, widened to whole pages. HINT_UNPIN takes that out of the
 * pins that were made this way for pid.
 */
struct hint_range {
	pid_t pid;
	uint64_t start; /* of the process, as in struct process; 0: whichever has the pid */
	uid_t owner;
	enum hint_kind kind;
	uint64_t address, length;
};

void hints_range(struct hints *h, const struct hint_range *range, struct hint_outcome *outcome);

/* Pages of address space that applications have pinned: all of them, or (not UINT32_MAX) one user's. */
uint64_t hints_applications(const struct hints *h, uid_t owner);

/* Once a turn of the loop. */
void hints_turn(struct hints *h, uint64_t now_ns);

/* When hints_turn has something to do next. */
uint64_t hints_deadline(const struct hints *h);

/* Whether something is being translated or waits to be sent. */
bool hints_busy(const struct hints *h);

/* Readable (poll) when a process of a pin has ended: time for hints_turn. */
int hints_descriptor(const struct hints *h);

/* Its processes and files now. */
unsigned hints_members(const struct hints *h, uint32_t id);

void hints_totals(const struct hints *h, struct hints_totals *totals);

/* "over budget: needs 12 MiB, 250 of 256 MiB are pinned": for people; no newline. */
void hints_outcome_text(const struct hint_outcome *outcome, char *out, size_t size);

/* A line for each hint that lives; cut when size is too small. */
void hints_text(const struct hints *h, char *out, size_t size);

/* The kind's name: "pin", ... */
const char *hints_kind_text(enum hint_kind kind);

#endif
