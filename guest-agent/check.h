/* SPDX-License-Identifier: MIT */
/*
 * Is this guest set up right for far memory? `annex-agent check`, and the reply to the message `check`.
 * Reads /proc and /sys only, and neither needs nor disturbs the daemon's session.
 */
#ifndef ANNEX_AGENT_CHECK_H
#define ANNEX_AGENT_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHECK_LINES_MAX 32u
#define CHECK_TEXT_MAX  240u

enum check_result {
	CHECK_OK,
	CHECK_WARN,
	CHECK_FAIL,
	CHECK_SKIP, /* cannot be said, or means nothing without Annex below */
	CHECK_RESULTS,
};

struct check_line {
	enum check_result result;
	const char *name; /* one word */
	char text[CHECK_TEXT_MAX]; /* printable ASCII: what was found and, unless ok, what to do */
};

struct check {
	bool annex; /* below us */
	unsigned count;
	struct check_line line[CHECK_LINES_MAX];
};

struct check_annex {
	bool found; /* the doorbell's CPUID leaf says so */
	uint64_t
		far_base; /* of the session, or 0 and 0 without one: then the node of the highest */
	uint64_t
		far_pages; /* memory is taken for the far one, as Annex puts the window above all RAM */
};

/* root: "" for the running system; a directory that stands for / in tests. */
void check_run(struct check *check, const char *root, const struct check_annex *annex);

/* 0: no line failed; 1: one did; 3: no Annex below. */
int check_exit_code(const struct check *check);

/*
 * Lines `RESULT NAME: TEXT\n` (RESULT one of ok, warn, fail, skip), in order. If not all fits into size
 * (at least 128), ok and skip lines say no more than that; then lines are left out and the last one
 * says how many. Zero-terminated; returns the length.
 */
size_t check_text(const struct check *check, char *text, size_t size);

/* {"annex":BOOL,"result":R,"lines":[{"result":R,"name":S,"text":S},...]}; to be freed; NULL: no memory */
char *check_json(const struct check *check);

/* The command line `check [--json] [--help]` (argv[0] is "check"): prints, returns the exit code; 2: usage */
int check_command(int argc, char **argv, const struct check_annex *annex);

#endif
