/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/unit/agent_bell.h"

static uint32_t hello(struct agent_bell *b, uint64_t session, uint64_t *w)
{
	assert_int_equal(session, 0);
	assert_int_equal(w[0], DOORBELL_VERSION);
	memset(w, 0, DOORBELL_WORDS * sizeof(*w));
	if (b->version != DOORBELL_VERSION) {
		w[0] = b->version;
		return DOORBELL_BAD_VERSION;
	}
	agent_bell_lose(b);
	b->session = 1000 + ++b->sessions;
	w[0] = b->session;
	w[1] = b->base;
	w[2] = b->pages;
	w[3] = b->budget;
	return DOORBELL_OK;
}

/* The request's ranges as a set; every word as it must be. */
static void take_ranges(const struct agent_bell *b, const uint64_t *w, struct ranges *out)
{
	unsigned count = 0;

	while (count < DOORBELL_WORDS && w[count]) {
		uint64_t address = w[count] & ~(RANGES_PAGE - 1);
		uint64_t pages = (w[count] & (RANGES_PAGE - 1)) + 1;

		assert_true(pages <= DOORBELL_RANGE_PAGES);
		assert_true(address >= b->base);
		assert_true(address + pages * RANGES_PAGE <= b->base + b->pages * RANGES_PAGE);
		count++;
	}
	assert_true(count > 0);
	for (unsigned i = count; i < DOORBELL_WORDS; i++)
		assert_int_equal(w[i], 0);
	ranges_unpack(out, w);
}

static void unpin(struct agent_bell *b, struct ranges *pages)
{
	struct ranges rest = {0};

	ranges_normalize(pages);
	ranges_difference(&rest, &b->pinned, pages);
	ranges_free(&b->pinned);
	b->pinned = rest;
	ranges_clear(pages);
}

static uint32_t hint(struct agent_bell *b, enum doorbell_request request, uint64_t *w)
{
	struct ranges now = {0};
	uint32_t result = DOORBELL_OK;
	uint64_t count = 0;

	take_ranges(b, w, &now);
	while (count < DOORBELL_WORDS && w[count])
		count++;
	if (b->busy) {
		b->busy--;
		result = DOORBELL_BUSY;
	} else if (request == DOORBELL_PREFETCH) {
		ranges_append(&b->prefetched, &now);
	} else if (request == DOORBELL_COLD) {
		ranges_append(&b->cold, &now);
	} else if (request == DOORBELL_PIN) {
		/* Counted as they come, also what is pinned already. */
		if (ranges_pages(&b->pinned) + ranges_pages(&now) > b->budget) {
			result = DOORBELL_OVER_BUDGET;
		} else {
			unpin(b, &b->unpins); /* it was said before */
			ranges_append(&b->pinned, &now);
			ranges_normalize(&b->pinned);
		}
	} else if (b->slow) {
		ranges_append(&b->unpins, &now);
	} else {
		unpin(b, &now);
	}
	memset(w, 0, DOORBELL_WORDS * sizeof(*w));
	w[0] = result == DOORBELL_OK ? count : 0;
	w[1] = ranges_pages(&b->pinned);
	w[2] = b->budget;
	ranges_free(&now);
	return result;
}

static uint32_t beat(struct agent_bell *b, uint64_t *w)
{
	memset(w, 0, DOORBELL_WORDS * sizeof(*w));
	w[0] = ranges_pages(&b->pinned);
	w[1] = b->budget;
	w[2] = ranges_pages(&b->unpins);
	unpin(b, &b->unpins);
	w[3] = b->message;
	w[4] = b->message_length;
	w[5] = b->fills;
	return DOORBELL_OK;
}

static uint32_t put(struct agent_bell *b, uint64_t *w)
{
	uint64_t buffer = w[0] >> 32, offset = (uint32_t)w[0];

	assert_true(buffer < DOORBELL_BUFFERS);
	assert_int_equal(offset % DOORBELL_CHUNK, 0);
	assert_int_equal(offset, b->put[buffer]);
	assert_true(
		offset < (buffer == DOORBELL_REPORT ? DOORBELL_REPORT_MAX : DOORBELL_REPLY_MAX));
	memcpy(b->buffer[buffer] + offset, &w[1], DOORBELL_CHUNK);
	b->put[buffer] = offset + DOORBELL_CHUNK;
	memset(w, 0, DOORBELL_WORDS * sizeof(*w));
	return DOORBELL_OK;
}

static uint32_t commit(struct agent_bell *b, uint64_t *w)
{
	uint64_t buffer = w[0], length = w[1];

	assert_true(buffer < DOORBELL_BUFFERS);
	assert_true(length <= b->put[buffer] && length + DOORBELL_CHUNK > b->put[buffer]);
	b->put[buffer] = 0;
	if (b->busy_commits) {
		b->busy_commits--;
		memset(w, 0, DOORBELL_WORDS * sizeof(*w));
		return DOORBELL_BUSY;
	}
	if (buffer == DOORBELL_REPLY) {
		if (w[2] != b->message)
			return DOORBELL_BAD_ARGUMENT;
		b->replied = b->message;
		b->message = b->message_length = 0;
		b->buffer[buffer][length] = '\0';
	}
	b->committed[buffer] = length;
	memset(w, 0, DOORBELL_WORDS * sizeof(*w));
	return DOORBELL_OK;
}

static uint32_t get(struct agent_bell *b, uint64_t *w)
{
	uint64_t offset = w[1];

	if (!b->message || w[0] != b->message)
		return DOORBELL_BAD_ARGUMENT;
	assert_true(offset < DOORBELL_MESSAGE_MAX && offset % DOORBELL_CHUNK == 0);
	memset(w, 0, DOORBELL_WORDS * sizeof(*w));
	memcpy(&w[1], b->message_text + offset, DOORBELL_CHUNK);
	return DOORBELL_OK;
}

static uint32_t call(struct doorbell *d, enum doorbell_request request, uint64_t session,
	uint64_t words[DOORBELL_WORDS])
{
	struct agent_bell *b = (struct agent_bell *)d;

	assert_true(request < DOORBELL_REQUESTS);
	b->calls[request]++;
	if (request == DOORBELL_HELLO)
		return hello(b, session, words);
	if (!b->session || session != b->session)
		return DOORBELL_NO_SESSION;
	switch (request) {
	case DOORBELL_BEAT:
		return beat(b, words);
	case DOORBELL_PIN:
	case DOORBELL_UNPIN:
	case DOORBELL_PREFETCH:
	case DOORBELL_COLD:
		return hint(b, request, words);
	case DOORBELL_PUT:
		return put(b, words);
	case DOORBELL_COMMIT:
		return commit(b, words);
	case DOORBELL_GET:
		return get(b, words);
	case DOORBELL_BYE:
		agent_bell_lose(b);
		return DOORBELL_OK;
	default:
		memset(words, 0, DOORBELL_WORDS * sizeof(*words));
		return DOORBELL_OK;
	}
}

void agent_bell_init(struct agent_bell *b, uint64_t budget)
{
	memset(b, 0, sizeof(*b));
	b->bell.call = call;
	b->base = RANGES_PAGE;
	b->pages = 1ull << 36;
	b->budget = budget;
	b->version = DOORBELL_VERSION;
}

void agent_bell_free(struct agent_bell *b)
{
	ranges_free(&b->pinned);
	ranges_free(&b->unpins);
	ranges_free(&b->prefetched);
	ranges_free(&b->cold);
}

void agent_bell_tell(struct agent_bell *b, const char *text)
{
	static uint64_t number;

	b->message = ++number;
	b->message_length = strlen(text);
	memset(b->message_text, 0, sizeof(b->message_text));
	memcpy(b->message_text, text, b->message_length);
}

void agent_bell_lose(struct agent_bell *b)
{
	b->session = 0;
	ranges_clear(&b->pinned);
	ranges_clear(&b->unpins);
}

uint64_t agent_bell_frame(const void *address)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &entry, sizeof(entry),
				 (off_t)((uintptr_t)address / RANGES_PAGE * sizeof(entry))),
		sizeof(entry));
	close(fd);
	return entry >> 63 ? entry & ((1ull << 55) - 1) : 0;
}

int agent_bell_frames_shown(void)
{
	static char page = 1;

	return agent_bell_frame(&page) != 0;
}
