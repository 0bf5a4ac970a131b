/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <string.h>
#include "far/far.h"
#include "lib/panic.h"
#include "service/doorbell.h"

#define SECOND    1000000000ull
#define COST      (SECOND / DOORBELL_RATE)
#define PAGE      4096ull
#define GAP       (SECOND / 2)
#define WORDS_PUT (DOORBELL_CHUNK / 8)

static_assert(DOORBELL_REPORT_MAX % DOORBELL_CHUNK == 0 &&
		      DOORBELL_REPLY_MAX % DOORBELL_CHUNK == 0 &&
		      DOORBELL_MESSAGE_MAX % DOORBELL_CHUNK == 0 && DOORBELL_CHUNK % 8 == 0 &&
		      WORDS_PUT + 1 < DOORBELL_WORDS,
	"buffers are whole chunks, and a chunk fits a request");

void doorbell_start(
	struct doorbell *d, struct far *far, uint64_t far_base, uint64_t far_pages, uint64_t now)
{
	*d = (struct doorbell){.far = far,
		.far_base = far_base,
		.far_pages = far_pages,
		.rate_at = now,
		.turned = now,
		.credit = SECOND};
}

/* What waits for the agent goes with its session; what it has said stays to be read. */
static void end_session(struct doorbell *d)
{
	if (d->state != DOORBELL_ALIVE)
		return;
	far_hint_forget(d->far);
	d->state = DOORBELL_ENDED;
	d->waits = false;
}

static enum doorbell_result hello(struct doorbell *d, uint64_t *word)
{
	uint64_t version = word[0];
	struct far_pins pins;

	memset(word, 0, DOORBELL_WORDS * sizeof(*word));
	if (version != DOORBELL_VERSION) {
		word[0] = DOORBELL_VERSION;
		return DOORBELL_BAD_VERSION;
	}
	end_session(d);
	d->state = DOORBELL_ALIVE;
	d->session++;
	d->counters.agent_sessions++;
	d->report_length = 0;
	memset(d->put_report, 0, sizeof(d->put_report));
	memset(d->put_reply, 0, sizeof(d->put_reply));
	far_pins(d->far, &pins);
	word[0] = d->session;
	word[1] = d->far_base;
	word[2] = d->far_pages;
	word[3] = pins.budget;
	return DOORBELL_OK;
}

static enum doorbell_result beat(struct doorbell *d, uint64_t *word)
{
	struct far_pins pins;

	far_pins(d->far, &pins);
	memset(word, 0, DOORBELL_WORDS * sizeof(*word));
	word[0] = pins.pinned;
	word[1] = pins.budget;
	word[2] = pins.queued;
	word[3] = d->waits ? d->message : 0;
	word[4] = d->waits ? d->message_length : 0;
	word[5] = far_counters(d->far)->remote_fills;
	return DOORBELL_OK;
}

/* The engine looks at the addresses. */
static bool unpack(const uint64_t *word, struct far_hint_range *range, unsigned *count)
{
	for (*count = 0; *count < DOORBELL_WORDS && word[*count]; (*count)++) {
		uint64_t pages = (word[*count] & (PAGE - 1)) + 1;

		if (pages > DOORBELL_RANGE_PAGES)
			return false;
		range[*count].gpa = word[*count] & ~(PAGE - 1);
		range[*count].pages = (uint32_t)pages;
	}
	return true;
}

static enum doorbell_result hint(struct doorbell *d, enum far_hint hint, uint64_t *word)
{
	static const enum doorbell_result results[] = {
		[FAR_HINT_OK] = DOORBELL_OK,
		[FAR_HINT_BAD_RANGE] = DOORBELL_BAD_ARGUMENT,
		[FAR_HINT_OVER_BUDGET] = DOORBELL_OVER_BUDGET,
		[FAR_HINT_BUSY] = DOORBELL_BUSY,
	};
	struct far_hint_range range[DOORBELL_WORDS];
	enum doorbell_result result = DOORBELL_BAD_ARGUMENT;
	struct far_pins pins;
	unsigned count;

	if (unpack(word, range, &count))
		result = results[far_hint(d->far, hint, range, count)];
	memset(word, 0, DOORBELL_WORDS * sizeof(*word));
	if (hint != FAR_HINT_PIN && hint != FAR_HINT_UNPIN)
		return result;
	if (result == DOORBELL_OK || result == DOORBELL_OVER_BUDGET) {
		far_pins(d->far, &pins);
		word[0] = result == DOORBELL_OK ? count : 0;
		word[1] = pins.pinned + pins.pinning;
		word[2] = pins.budget;
	}
	return result;
}

static enum doorbell_result put(struct doorbell *d, uint64_t *word)
{
	uint64_t offset = word[0] & UINT32_MAX, buffer = word[0] >> 32;
	uint8_t *to = buffer == DOORBELL_REPORT ? d->put_report : d->put_reply;
	uint64_t size = buffer == DOORBELL_REPORT ? sizeof(d->put_report) : sizeof(d->put_reply);
	bool good = buffer < DOORBELL_BUFFERS && offset < size && offset % DOORBELL_CHUNK == 0;

	if (good)
		memcpy(to + offset, word + 1, DOORBELL_CHUNK);
	memset(word, 0, DOORBELL_WORDS * sizeof(*word));
	return good ? DOORBELL_OK : DOORBELL_BAD_ARGUMENT;
}

static bool commit_reply(struct doorbell *d, uint64_t length, uint64_t message)
{
	if (length > sizeof(d->reply) || !d->waits || message != d->message)
		return false;
	memcpy(d->reply, d->put_reply, length);
	d->reply_length = length;
	d->replied = message;
	d->waits = false;
	return true;
}

static bool commit_report(struct doorbell *d, uint64_t length)
{
	if (length > sizeof(d->report))
		return false;
	memcpy(d->report, d->put_report, length);
	d->report_length = length;
	return true;
}

static enum doorbell_result commit(struct doorbell *d, uint64_t *word)
{
	bool good = false;

	if (word[0] == DOORBELL_REPORT)
		good = commit_report(d, word[1]);
	else if (word[0] == DOORBELL_REPLY)
		good = commit_reply(d, word[1], word[2]);
	memset(word, 0, DOORBELL_WORDS * sizeof(*word));
	return good ? DOORBELL_OK : DOORBELL_BAD_ARGUMENT;
}

static enum doorbell_result get(struct doorbell *d, uint64_t *word)
{
	uint64_t offset = word[1];
	bool good = d->waits && word[0] == d->message && offset < DOORBELL_MESSAGE_MAX &&
		    offset % DOORBELL_CHUNK == 0;

	memset(word, 0, DOORBELL_WORDS * sizeof(*word));
	if (!good)
		return DOORBELL_BAD_ARGUMENT;
	memcpy(word + 1, d->message_text + offset, DOORBELL_CHUNK);
	return DOORBELL_OK;
}

static enum doorbell_result sample(struct doorbell *d, uint64_t *word)
{
	memset(word, 0, DOORBELL_WORDS * sizeof(*word));
	word[0] = far_samples(d->far, word + 1, DOORBELL_WORDS - 1);
	return DOORBELL_OK;
}

static enum doorbell_result bye(struct doorbell *d, uint64_t *word)
{
	end_session(d);
	memset(word, 0, DOORBELL_WORDS * sizeof(*word));
	return DOORBELL_OK;
}

/* What a session may ask for. */
static enum doorbell_result serve(struct doorbell *d, uint64_t request, uint64_t *word)
{
	switch (request) {
	case DOORBELL_BEAT:
		return beat(d, word);
	case DOORBELL_PIN:
		return hint(d, FAR_HINT_PIN, word);
	case DOORBELL_UNPIN:
		return hint(d, FAR_HINT_UNPIN, word);
	case DOORBELL_PREFETCH:
		return hint(d, FAR_HINT_PREFETCH, word);
	case DOORBELL_COLD:
		return hint(d, FAR_HINT_COLD, word);
	case DOORBELL_PUT:
		return put(d, word);
	case DOORBELL_COMMIT:
		return commit(d, word);
	case DOORBELL_GET:
		return get(d, word);
	case DOORBELL_SAMPLE:
		return sample(d, word);
	default:
		return bye(d, word);
	}
}

/* A second's credit at most, so that silence buys no burst beyond DOORBELL_RATE. */
static bool pay(struct doorbell *d, uint64_t now)
{
	uint64_t gained = now > d->rate_at ? now - d->rate_at : 0;

	d->credit = gained > SECOND - d->credit ? SECOND : d->credit + gained;
	d->rate_at += gained;
	if (d->credit < COST)
		return false;
	d->credit -= COST;
	return true;
}

/* A machine that did not run for a while (suspend, a loaded host) was silent itself. */
static void end_silence(struct doorbell *d, uint64_t now)
{
	uint64_t passed = now > d->turned ? now - d->turned : 0;

	d->turned += passed;
	if (passed > GAP)
		d->heard += passed;
	if (d->state != DOORBELL_ALIVE || now <= d->heard || now - d->heard < DOORBELL_LEASE_NS)
		return;
	d->counters.agent_expired++;
	end_session(d);
}

static enum doorbell_result answer(struct doorbell *d, struct ring *ring, uint64_t now)
{
	enum doorbell_result result = DOORBELL_NO_SESSION;

	if (!pay(d, now))
		result = DOORBELL_BUSY;
	else if (ring->request >= DOORBELL_REQUESTS)
		result = DOORBELL_UNKNOWN;
	else if (ring->request == DOORBELL_HELLO)
		return hello(d, ring->word);
	else if (d->state == DOORBELL_ALIVE && ring->session == d->session)
		return serve(d, ring->request, ring->word);
	memset(ring->word, 0, sizeof(ring->word));
	return result;
}

void doorbell_request(struct doorbell *d, struct ring *ring, uint64_t now)
{
	check(d->far != NULL);
	end_silence(d, now);
	ring->result = answer(d, ring, now);
	d->counters.rings++;
	d->counters.rings_busy += ring->result == DOORBELL_BUSY;
	if (ring->result == DOORBELL_OK)
		d->heard = now;
	else if (ring->result != DOORBELL_BUSY)
		d->counters.rings_refused++;
}

static bool is_posted(const struct ring *ring)
{
	return __atomic_load_n((const uint32_t *)&ring->state, __ATOMIC_ACQUIRE) == MAILBOX_POSTED;
}

bool doorbell_posted(const struct ring *ring, unsigned cpus)
{
	for (unsigned i = 0; i < cpus; i++)
		if (is_posted(&ring[i]))
			return true;
	return false;
}

bool doorbell_turn(struct doorbell *d, struct ring *ring, unsigned cpus, uint64_t now)
{
	end_silence(d, now);
	for (unsigned i = 0; i < cpus; i++) {
		struct ring *r = &ring[(d->next + i) % cpus];

		if (!is_posted(r))
			continue;
		d->next = (d->next + i + 1) % cpus;
		doorbell_request(d, r, now);
		__atomic_store_n((uint32_t *)&r->state, MAILBOX_DONE, __ATOMIC_RELEASE);
		return true;
	}
	return false;
}

uint64_t doorbell_tell(struct doorbell *d, const char *text, size_t length)
{
	check(length <= sizeof(d->message_text));
	if (d->state != DOORBELL_ALIVE)
		return 0;
	memset(d->message_text, 0, sizeof(d->message_text));
	memcpy(d->message_text, text, length);
	d->message_length = length;
	d->waits = true;
	return ++d->message;
}
