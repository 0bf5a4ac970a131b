/* SPDX-License-Identifier: MIT */
/*
 * The management channel's line protocol (annex/manage.h). Neutral: bytes come in by manage_byte(),
 * answers go out through `write`, which takes what it can and never waits. One answer is on its way
 * at a time; one more request is kept meanwhile, the newest.
 */
#ifndef ANNEX_SERVICE_MANAGE_H
#define ANNEX_SERVICE_MANAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "annex/doorbell.h"
#include "annex/manage.h"

#define MANAGE_NO_COMMAND                                                                          \
	"no such command; there are status, counters, histogram, log, agent, tell, reply"

struct emit;

struct manage_request {
	char id[MANAGE_ID_MAX + 1];
	char command[16];
	char argument[DOORBELL_MESSAGE_MAX + 1]; /* empty: none; of tell: the line's rest */
};

/*
 * Writes the members of the result object. NULL, or why there is none (then what it wrote is dropped).
 */
typedef const char *manage_answer(
	void *context, struct emit *result, const struct manage_request *request);

struct manage {
	manage_answer *answer;
	size_t (*write)(const char *text, size_t length);
	void *context;
	char line[MANAGE_REQUEST_MAX + 1];
	size_t length;
	bool overlong; /* drop up to the next newline */
	struct manage_request next;
	const char *next_error; /* the request's form is wrong: answered by this */
	bool waiting;
	char text[MANAGE_ANSWER_MAX];
	size_t text_length;
	size_t sent;
	uint64_t requests; /* counters */
	uint64_t dropped;
};

void manage_init(struct manage *m, manage_answer *answer, void *context,
	size_t (*write)(const char *text, size_t length));

/* One byte of input. */
void manage_byte(struct manage *m, char c);

/* Builds a waiting request's answer, or sends on what is built. True while there is more to do. */
bool manage_turn(struct manage *m);

/* True while an answer is being sent or a request waits. */
bool manage_busy(const struct manage *m);

#endif
