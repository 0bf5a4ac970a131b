/* SPDX-License-Identifier: MIT */
/*
 * The session with the VMM: HELLO, a BEAT a second, HELLO again when it was lost, and backing off
 * when the VMM is busy. All requests go through here.
 */
#ifndef ANNEX_AGENT_SESSION_H
#define ANNEX_AGENT_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "annex/report.h"
#include "guest-agent/doorbell.h"
#include "guest-agent/translate.h"

#define SESSION_BEAT_NS     1000000000ull
#define SESSION_BUSY_MIN_NS 10000000ull /* first wait after DOORBELL_BUSY, doubled up to a second */
#define SESSION_BUSY_MAX_NS 1000000000ull

struct session {
	struct doorbell *bell;
	uint64_t id; /* 0: none */
	uint64_t generation; /* of sessions: when it grows all pins are gone */
	struct translate_window window;
	uint64_t now_ns; /* of the turn */
	uint64_t beat_ns; /* when the next BEAT or HELLO is due */
	uint64_t ready_ns; /* no hints before */
	uint64_t backoff_ns;
	uint64_t rate; /* hint requests per second that the agent allows itself */
	uint64_t tokens; /* of them, for now */
	uint64_t filled_ns; /* when tokens were added last */
	bool refused; /* HELLO was refused for good: version */
	/* What the last BEAT said (the budget also a PIN); pages. */
	uint64_t beats; /* how many there were */
	uint64_t pinned;
	uint64_t budget;
	uint64_t queued;
	uint64_t fills; /* remote fills since the VMM's start */
	uint64_t message; /* number of the message that waits; 0: none */
	uint64_t message_length;
	/* Counters of this program. */
	uint64_t requests;
	uint64_t busy;
	uint64_t lost; /* sessions that ended by the VMM */
};

void session_init(struct session *s, struct doorbell *bell, uint64_t rate);

/* Once a turn of the loop: HELLO or BEAT when due. now_ns: CLOCK_MONOTONIC. */
void session_turn(struct session *s, uint64_t now_ns);

/* Whether a hint may be sent now. */
bool session_ready(const struct session *s);

/* When session_turn has something to do, or session_ready becomes true. */
uint64_t session_deadline(const struct session *s);

/*
 * One request in the session; words out are the result's. DOORBELL_NO_SESSION without one. Keeps
 * count of loss and of BUSY.
 */
uint32_t session_call(
	struct session *s, enum doorbell_request request, uint64_t words[DOORBELL_WORDS]);

/* PIN, UNPIN, PREFETCH or COLD: as session_call, but it takes of the agent's own rate. */
uint32_t session_hint(
	struct session *s, enum doorbell_request request, uint64_t words[DOORBELL_WORDS]);

/* The message that waits, as text; false: none, or not got (again next turn). */
bool session_message(struct session *s, char text[DOORBELL_MESSAGE_MAX + 1]);

/* Replies to message `number` with text, cut to DOORBELL_REPLY_MAX at a line's end. */
bool session_reply(struct session *s, uint64_t number, const char *text);

bool session_report(struct session *s, const struct report *report);

/* Ends it. The VMM drops its pins. */
void session_bye(struct session *s);

#endif
