/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <string.h>
#include "guest-agent/log.h"
#include "guest-agent/session.h"

#define SECOND 1000000000ull

void session_init(struct session *s, struct doorbell *bell, uint64_t rate)
{
	memset(s, 0, sizeof(*s));
	s->bell = bell;
	s->rate = rate;
}

/* A burst is a tenth of a second's. */
static void add_tokens(struct session *s)
{
	uint64_t most = s->rate / 10 + 1, passed = s->now_ns - s->filled_ns, more;

	if (passed > SECOND)
		passed = SECOND;
	more = passed * s->rate / SECOND;
	if (!more)
		return;
	s->filled_ns = s->now_ns;
	s->tokens = s->tokens + more < most ? s->tokens + more : most;
}

static void back_off(struct session *s)
{
	s->busy++;
	s->backoff_ns = s->backoff_ns ? s->backoff_ns * 2 : SESSION_BUSY_MIN_NS;
	if (s->backoff_ns > SESSION_BUSY_MAX_NS)
		s->backoff_ns = SESSION_BUSY_MAX_NS;
	s->ready_ns = s->now_ns + s->backoff_ns;
}

static void lose(struct session *s)
{
	if (!s->id)
		return;
	log_line(LOG_WARNING, "the VMM has ended the session: a new one is asked for");
	s->id = 0;
	s->lost++;
	s->beat_ns = s->now_ns;
}

static uint32_t ring(
	struct session *s, enum doorbell_request request, uint64_t words[DOORBELL_WORDS])
{
	uint32_t result;

	s->requests++;
	result = doorbell_call(s->bell, request, s->id, words);
	if (result == DOORBELL_BUSY)
		back_off(s);
	else if (result == DOORBELL_NO_SESSION)
		lose(s);
	return result;
}

static void hello(struct session *s)
{
	uint64_t words[DOORBELL_WORDS] = {DOORBELL_VERSION};
	uint32_t result;

	s->id = 0;
	s->beat_ns = s->now_ns + SESSION_BEAT_NS;
	result = ring(s, DOORBELL_HELLO, words);
	if (result == DOORBELL_BAD_VERSION) {
		log_line(LOG_ERR,
			"the VMM speaks version %" PRIu64 " of the doorbell, this agent %u",
			words[0], DOORBELL_VERSION);
		s->refused = true;
		return;
	}
	if (result != DOORBELL_OK || !words[0] || words[1] % RANGES_PAGE) {
		log_line(LOG_WARNING, "no session with the VMM: %s", doorbell_result_text(result));
		return;
	}
	s->id = words[0];
	s->window.first = words[1] >> RANGES_PAGE_SHIFT;
	s->window.pages = words[2];
	s->budget = words[3];
	s->pinned = s->queued = s->message = s->message_length = 0;
	s->ready_ns = s->backoff_ns = 0;
	s->generation++;
	log_line(LOG_INFO,
		"session with the VMM: far window of %" PRIu64 " MiB, budget of pins %" PRIu64
		" MiB",
		words[2] >> (20 - RANGES_PAGE_SHIFT), words[3] >> (20 - RANGES_PAGE_SHIFT));
}

static void beat(struct session *s)
{
	uint64_t words[DOORBELL_WORDS] = {0};

	s->beat_ns = s->now_ns + SESSION_BEAT_NS;
	switch (ring(s, DOORBELL_BEAT, words)) {
	case DOORBELL_OK:
		s->beats++;
		s->pinned = words[0];
		s->budget = words[1];
		s->queued = words[2];
		s->message = words[3];
		s->message_length = words[4];
		s->fills = words[5];
		break;
	case DOORBELL_BUSY:
		/* The lease is ten seconds long; but not a whole second is waited. */
		s->beat_ns = s->ready_ns;
		break;
	default:
		break;
	}
}

void session_turn(struct session *s, uint64_t now_ns)
{
	s->now_ns = now_ns;
	add_tokens(s);
	if (s->refused || now_ns < s->beat_ns)
		return;
	if (s->id)
		beat(s);
	/* Not else: what a beat finds lost is asked for again at once. */
	if (!s->id)
		hello(s);
}

bool session_ready(const struct session *s)
{
	return s->id && s->tokens && s->now_ns >= s->ready_ns;
}

uint64_t session_deadline(const struct session *s)
{
	uint64_t next = s->beat_ns;

	if (s->refused)
		return UINT64_MAX;
	if (s->ready_ns > s->now_ns && s->ready_ns < next)
		next = s->ready_ns;
	return next;
}

uint32_t session_call(
	struct session *s, enum doorbell_request request, uint64_t words[DOORBELL_WORDS])
{
	if (!s->id)
		return DOORBELL_NO_SESSION;
	return ring(s, request, words);
}

uint32_t session_hint(
	struct session *s, enum doorbell_request request, uint64_t words[DOORBELL_WORDS])
{
	uint32_t result;

	if (s->tokens)
		s->tokens--;
	result = session_call(s, request, words);
	if (result == DOORBELL_OK)
		s->backoff_ns = 0;
	if ((request == DOORBELL_PIN || request == DOORBELL_UNPIN) &&
		(result == DOORBELL_OK || result == DOORBELL_OVER_BUDGET))
		s->budget = words[2];
	return result;
}

bool session_message(struct session *s, char text[DOORBELL_MESSAGE_MAX + 1])
{
	uint64_t length = s->message_length;

	if (!s->message)
		return false;
	if (length > DOORBELL_MESSAGE_MAX)
		length = DOORBELL_MESSAGE_MAX;
	for (uint64_t at = 0; at < length; at += DOORBELL_CHUNK) {
		uint64_t words[DOORBELL_WORDS] = {s->message, at};

		if (session_call(s, DOORBELL_GET, words) != DOORBELL_OK)
			return false;
		memcpy(text + at, &words[1], DOORBELL_CHUNK);
	}
	text[length] = '\0';
	return true;
}

/* Bytes into a buffer of the VMM, and what makes them valid. */
static bool put(struct session *s, enum doorbell_buffer buffer, const void *bytes, size_t length,
	uint64_t number)
{
	uint64_t commit[DOORBELL_WORDS] = {buffer, length, number};

	for (size_t at = 0; at < length; at += DOORBELL_CHUNK) {
		uint64_t words[DOORBELL_WORDS] = {(uint64_t)buffer << 32 | at};
		size_t size = length - at < DOORBELL_CHUNK ? length - at : DOORBELL_CHUNK;

		memcpy(&words[1], (const char *)bytes + at, size);
		if (session_call(s, DOORBELL_PUT, words) != DOORBELL_OK)
			return false;
	}
	return session_call(s, DOORBELL_COMMIT, commit) == DOORBELL_OK;
}

bool session_reply(struct session *s, uint64_t number, const char *text)
{
	size_t length = strlen(text);

	if (length > DOORBELL_REPLY_MAX) {
		length = DOORBELL_REPLY_MAX;
		while (length && text[length - 1] != '\n')
			length--;
	}
	if (!put(s, DOORBELL_REPLY, text, length, number))
		return false;
	if (s->message == number)
		s->message = 0;
	return true;
}

bool session_report(struct session *s, const struct report *report)
{
	return put(s, DOORBELL_REPORT, report, sizeof(*report), 0);
}

void session_bye(struct session *s)
{
	uint64_t words[DOORBELL_WORDS] = {0};

	if (s->id)
		(void)ring(s, DOORBELL_BYE, words);
	s->id = 0;
}
