/* SPDX-License-Identifier: MIT */
/* The doorbell's device, before the real engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "far/far.h"
#include "service/doorbell.h"
#include "tests/unit/far_fixture.h"

#define MS     1000000ull
#define BUDGET 64u

static struct doorbell bell;
static struct ring ring;

static int setup(void **state)
{
	const char *reason;

	if (fixture_setup(state))
		return -1;
	/* With one vCPU the pcache has frames beyond the floor, to be pinned. */
	fixture.config.cpus = 1;
	fixture.config.pin = BUDGET;
	fixture.far = far_start(&fixture.config, &reason);
	if (!fixture.far)
		return -1;
	fixture_ready();
	doorbell_start(&bell, fixture.far, FIXTURE_BASE, FIXTURE_PAGES, fixture.now);
	memset(&ring, 0, sizeof(ring));
	return 0;
}

static enum doorbell_result ask(uint64_t request, const uint64_t *word)
{
	ring.request = request;
	ring.result = 77;
	memcpy(ring.word, word, sizeof(ring.word));
	doorbell_request(&bell, &ring, fixture.now);
	assert_int_equal(ring.request, request);
	return ring.result;
}

#define ASK(request, ...) ask(request, (const uint64_t[DOORBELL_WORDS]){__VA_ARGS__})
#define OK(...)           assert_int_equal(ASK(__VA_ARGS__), DOORBELL_OK)
#define REFUSED(...)      refused(ASK(__VA_ARGS__))

/* What is refused says nothing but so. */
static void refused(enum doorbell_result result)
{
	assert_int_equal(result, DOORBELL_BAD_ARGUMENT);
	for (unsigned i = 0; i < DOORBELL_WORDS; i++)
		assert_int_equal(ring.word[i], 0);
}

static void hello(void)
{
	OK(DOORBELL_HELLO, DOORBELL_VERSION);
	ring.session = ring.word[0];
}

/* Words first.. are zero. */
static void assert_rest(unsigned first)
{
	for (unsigned i = first; i < DOORBELL_WORDS; i++)
		assert_int_equal(ring.word[i], 0);
}

static uint64_t range(uint64_t page, uint64_t pages)
{
	return FIXTURE_BASE + page * PAGE_SIZE + pages - 1;
}

/* Turns of the whole loop. */
static void turns(unsigned n)
{
	for (; n > 0; n--) {
		fixture_turns(1);
		fixture_grant();
		fixture_answer_writes(SESSION_OK);
		fixture_answer_reads(SESSION_OK);
		doorbell_turn(&bell, NULL, 0, fixture.now);
	}
}

static void assert_pins(uint64_t pinned, uint64_t queued)
{
	OK(DOORBELL_BEAT, 0);
	assert_int_equal(ring.word[0], pinned);
	assert_int_equal(ring.word[2], queued);
}

static void a_session_begins_with_hello(void **state)
{
	assert_int_equal(ASK(DOORBELL_HELLO, DOORBELL_VERSION + 1, 5, 5), DOORBELL_BAD_VERSION);
	assert_int_equal(ring.word[0], DOORBELL_VERSION);
	assert_rest(1);
	assert_int_equal(ASK(DOORBELL_HELLO, 0), DOORBELL_BAD_VERSION);
	assert_int_equal(ASK(DOORBELL_HELLO, DOORBELL_VERSION | 1ull << 32), DOORBELL_BAD_VERSION);
	assert_int_equal(bell.state, DOORBELL_NONE);
	OK(DOORBELL_HELLO, DOORBELL_VERSION, 9, 9, 9, 9, 9, 9, 9, 9, 9);
	assert_int_equal(ring.word[0], 1);
	assert_int_equal(ring.word[1], FIXTURE_BASE);
	assert_int_equal(ring.word[2], FIXTURE_PAGES);
	assert_int_equal(ring.word[3], BUDGET);
	assert_rest(4);
}

static void nothing_without_a_session(void **state)
{
	for (unsigned with = 0; with < 2; with++) {
		for (uint64_t r = DOORBELL_BEAT; r < DOORBELL_REQUESTS; r++) {
			assert_int_equal(ASK(r, range(0, 1), 3), DOORBELL_NO_SESSION);
			assert_rest(0);
		}
		hello();
		ring.session++;
	}
	ring.session = 1ull << 32 | bell.session;
	assert_int_equal(ASK(DOORBELL_BEAT, 0), DOORBELL_NO_SESSION);
	ring.session = bell.session;
	assert_pins(0, 0);
}

static void requests_that_are_none(void **state)
{
	static const uint64_t numbers[] = {
		DOORBELL_REQUESTS, UINT64_MAX, 1ull << 32, 1ull << 63, 1ull << 32 | DOORBELL_BEAT};

	hello();
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		assert_int_equal(ASK(numbers[i], DOORBELL_VERSION), DOORBELL_UNKNOWN);
		assert_rest(0);
	}
	assert_int_equal(bell.counters.rings_refused, 5);
	assert_int_equal(bell.counters.rings, 6);
}

static void pins_are_kept_until_unpin(void **state)
{
	hello();
	OK(DOORBELL_PIN, range(100, 3), range(200, 1));
	assert_int_equal(ring.word[0], 2);
	assert_int_equal(ring.word[1], 4);
	assert_int_equal(ring.word[2], BUDGET);
	assert_rest(3);
	turns(20);
	assert_pins(4, 0);
	assert_int_equal(ring.word[1], BUDGET);
	/* Others come and go. */
	fixture_press(0, 1000, 2 * FIXTURE_FRAMES);
	for (unsigned page = 100; page < 103; page++)
		assert_int_equal(fixture_state(page), PAGE_RESIDENT);
	assert_int_equal(fixture_state(200), PAGE_RESIDENT);
	OK(DOORBELL_UNPIN, range(100, 2));
	assert_int_equal(ring.word[0], 1);
	assert_int_equal(ring.word[2], BUDGET);
	turns(20);
	assert_pins(2, 0);
	OK(DOORBELL_UNPIN, range(0, 512));
	turns(600);
	assert_pins(0, 0);
}

static void ranges_are_looked_at(void **state)
{
	const uint64_t end = FIXTURE_BASE + (uint64_t)FIXTURE_PAGES * PAGE_SIZE;

	hello();
	for (uint64_t r = DOORBELL_PIN; r <= DOORBELL_COLD; r++) {
		/* more pages than a range may have */
		REFUSED(r, range(0, DOORBELL_RANGE_PAGES + 1));
		REFUSED(r, FIXTURE_BASE | 0xfff);
		/* before, behind, across the ends, around the address space */
		REFUSED(r, FIXTURE_BASE - PAGE_SIZE);
		REFUSED(r, FIXTURE_BASE - PAGE_SIZE + 1);
		REFUSED(r, end);
		REFUSED(r, (end - PAGE_SIZE) + 1);
		REFUSED(r, 1);
		REFUSED(r, UINT64_MAX);
		REFUSED(r, (UINT64_MAX & ~0xfffull) + 511);
		/* one of ten: none is taken */
		REFUSED(r, range(0, 1), range(1, 1), range(2, 1), range(3, 1), range(4, 1),
			range(5, 1), range(6, 1), range(7, 1), range(8, 1), end);
	}
	assert_pins(0, 0);
	/* the last page; and what stands behind the list's end is not looked at */
	OK(DOORBELL_PIN, end - PAGE_SIZE, 0, 1);
	assert_int_equal(ring.word[0], 1);
	turns(20);
	assert_pins(1, 0);
	OK(DOORBELL_PIN, 0, range(5, 1));
	assert_int_equal(ring.word[0], 0);
	OK(DOORBELL_PREFETCH, range(7, 1));
	assert_rest(0);
	OK(DOORBELL_COLD, range(7, 1));
	assert_rest(0);
	turns(20);
	assert_pins(1, 0);
}

static void over_the_budget(void **state)
{
	hello();
	assert_int_equal(ASK(DOORBELL_PIN, range(0, BUDGET + 1)), DOORBELL_OVER_BUDGET);
	assert_int_equal(ring.word[0], 0);
	assert_int_equal(ring.word[1], 0);
	assert_int_equal(ring.word[2], BUDGET);
	assert_pins(0, 0);
	OK(DOORBELL_PIN, range(0, BUDGET));
	assert_int_equal(ASK(DOORBELL_PIN, range(1000, 1)), DOORBELL_OVER_BUDGET);
	assert_int_equal(ring.word[1], BUDGET);
	assert_rest(3);
	turns(200);
	assert_pins(BUDGET, 0);
	assert_int_equal(ASK(DOORBELL_PIN, range(1000, 1)), DOORBELL_OVER_BUDGET);
}

/* Until something is refused, which must come before memory ends. */
static void a_full_queue_is_busy(void **state)
{
	enum doorbell_result result = DOORBELL_OK;
	unsigned n;

	hello();
	for (n = 0; n < 2000 && result == DOORBELL_OK; n++)
		result = ASK(DOORBELL_COLD, range(n, 1), range(n + 1, 1), range(n + 2, 1));
	assert_int_equal(result, DOORBELL_BUSY);
	assert_rest(0);
	assert_int_equal(bell.counters.rings_busy, 1);
	turns(3000);
	assert_pins(0, 0);
	OK(DOORBELL_COLD, range(n, 1));
}

static void put(enum doorbell_buffer buffer, uint64_t offset, const void *bytes)
{
	uint64_t word[DOORBELL_WORDS] = {(uint64_t)buffer << 32 | offset};

	memcpy(&word[1], bytes, DOORBELL_CHUNK);
	assert_int_equal(ask(DOORBELL_PUT, word), DOORBELL_OK);
	assert_rest(0);
}

static void reports_are_whole(void **state)
{
	uint8_t bytes[DOORBELL_REPORT_MAX];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	hello();
	for (size_t at = 0; at < sizeof(bytes); at += DOORBELL_CHUNK)
		put(DOORBELL_REPORT, at, bytes + at);
	assert_int_equal(bell.report_length, 0);
	OK(DOORBELL_COMMIT, DOORBELL_REPORT, sizeof(bytes));
	assert_int_equal(bell.report_length, sizeof(bytes));
	assert_memory_equal(bell.report, bytes, sizeof(bytes));
	/* The next one shows only when it is all there. */
	put(DOORBELL_REPORT, 0, bytes + 512);
	assert_memory_equal(bell.report, bytes, sizeof(bytes));
	OK(DOORBELL_COMMIT, DOORBELL_REPORT, 65);
	assert_int_equal(bell.report_length, 65);
	assert_memory_equal(bell.report, bytes + 512, 64);
	REFUSED(DOORBELL_COMMIT, DOORBELL_REPORT, DOORBELL_REPORT_MAX + 1);
	REFUSED(DOORBELL_COMMIT, DOORBELL_REPORT, UINT64_MAX);
	REFUSED(DOORBELL_COMMIT, DOORBELL_BUFFERS, 1);
	REFUSED(DOORBELL_COMMIT, 1ull << 32, 1);
	assert_int_equal(bell.report_length, 65);
}

static void offsets_are_looked_at(void **state)
{
	const uint64_t reply = (uint64_t)DOORBELL_REPLY << 32;
	struct doorbell before;

	hello();
	before = bell;
	REFUSED(DOORBELL_PUT, DOORBELL_REPORT_MAX);
	REFUSED(DOORBELL_PUT, DOORBELL_REPORT_MAX - 8);
	REFUSED(DOORBELL_PUT, 1);
	REFUSED(DOORBELL_PUT, 32);
	REFUSED(DOORBELL_PUT, 0xffffffc0);
	REFUSED(DOORBELL_PUT, reply | DOORBELL_REPLY_MAX);
	REFUSED(DOORBELL_PUT, reply | (DOORBELL_REPLY_MAX - 1));
	REFUSED(DOORBELL_PUT, (uint64_t)DOORBELL_BUFFERS << 32);
	REFUSED(DOORBELL_PUT, 0x100000000ull << 4);
	REFUSED(DOORBELL_PUT, UINT64_MAX);
	REFUSED(DOORBELL_PUT, UINT64_MAX & ~63ull);
	assert_memory_equal(bell.put_report, before.put_report, sizeof(bell.put_report));
	assert_memory_equal(bell.put_reply, before.put_reply, sizeof(bell.put_reply));
	OK(DOORBELL_PUT, DOORBELL_REPORT_MAX - DOORBELL_CHUNK, 1, 2, 3, 4, 5, 6, 7, 8);
	OK(DOORBELL_PUT, reply | (DOORBELL_REPLY_MAX - DOORBELL_CHUNK), 1);
}

static void messages_and_replies(void **state)
{
	char text[DOORBELL_MESSAGE_MAX], got[3 * DOORBELL_CHUNK];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 26);
	assert_int_equal(doorbell_tell(&bell, text, 5), 0);
	hello();
	REFUSED(DOORBELL_GET, 0, 0);
	REFUSED(DOORBELL_COMMIT, DOORBELL_REPLY, 1, 0);
	assert_int_equal(doorbell_tell(&bell, text, sizeof(text)), 1);
	OK(DOORBELL_BEAT, 0);
	assert_int_equal(ring.word[3], 1);
	assert_int_equal(ring.word[4], sizeof(text));
	for (size_t at = 0; at < sizeof(text); at += DOORBELL_CHUNK) {
		OK(DOORBELL_GET, 1, at);
		assert_int_equal(ring.word[0], 0);
		assert_int_equal(ring.word[9], 0);
		memcpy(got + at, &ring.word[1], DOORBELL_CHUNK);
	}
	assert_memory_equal(got, text, sizeof(text));
	/* The next one takes its place, and nothing of it is left. */
	assert_int_equal(doorbell_tell(&bell, "hint", 4), 2);
	REFUSED(DOORBELL_GET, 1, 0);
	REFUSED(DOORBELL_GET, 2, 8);
	REFUSED(DOORBELL_GET, 2, DOORBELL_MESSAGE_MAX);
	REFUSED(DOORBELL_GET, 2, UINT64_MAX & ~63ull);
	OK(DOORBELL_GET, 2, 64);
	assert_rest(0);
	OK(DOORBELL_GET, 2, 0);
	assert_memory_equal(&ring.word[1], "hint\0\0\0\0", 8);
	put(DOORBELL_REPLY, 0, text);
	REFUSED(DOORBELL_COMMIT, DOORBELL_REPLY, 3, 1);
	REFUSED(DOORBELL_COMMIT, DOORBELL_REPLY, 3, 3);
	REFUSED(DOORBELL_COMMIT, DOORBELL_REPLY, DOORBELL_REPLY_MAX + 1, 2);
	assert_int_equal(bell.replied, 0);
	OK(DOORBELL_COMMIT, DOORBELL_REPLY, 3, 2);
	assert_int_equal(bell.replied, 2);
	assert_int_equal(bell.reply_length, 3);
	assert_memory_equal(bell.reply, "abc", 3);
	/* Once. */
	OK(DOORBELL_BEAT, 0);
	assert_int_equal(ring.word[3], 0);
	assert_int_equal(ring.word[4], 0);
	REFUSED(DOORBELL_COMMIT, DOORBELL_REPLY, 3, 2);
	REFUSED(DOORBELL_GET, 2, 0);
}

/* What was told to one agent is not the next one's. */
static void a_message_goes_with_its_session(void **state)
{
	hello();
	assert_int_equal(doorbell_tell(&bell, "hint", 4), 1);
	put(DOORBELL_REPLY, 0, "0123456789012345678901234567890123456789012345678901234567890123");
	hello();
	OK(DOORBELL_BEAT, 0);
	assert_int_equal(ring.word[3], 0);
	assert_int_equal(doorbell_tell(&bell, "stat", 4), 2);
	OK(DOORBELL_COMMIT, DOORBELL_REPLY, 2, 2);
	assert_memory_equal(bell.reply, "\0\0", 2);
}

static void pin_some(void)
{
	OK(DOORBELL_PIN, range(100, 20));
	turns(50);
	assert_pins(20, 0);
}

static void assert_released(void)
{
	struct far_pins pins;

	far_pins(fixture.far, &pins);
	assert_int_equal(pins.pinned, 0);
	assert_int_equal(pins.pinning, 0);
	assert_int_equal(pins.queued, 0);
}

static void silence_ends_the_session(void **state)
{
	hello();
	pin_some();
	turns(9999);
	assert_int_equal(bell.state, DOORBELL_ALIVE);
	/* What is refused is no sign of life. */
	REFUSED(DOORBELL_PUT, 1);
	ring.session++;
	assert_int_equal(ASK(DOORBELL_BEAT, 0), DOORBELL_NO_SESSION);
	ring.session--;
	turns(1);
	assert_int_equal(bell.state, DOORBELL_ENDED);
	turns(100);
	assert_released();
	assert_int_equal(ASK(DOORBELL_BEAT, 0), DOORBELL_NO_SESSION);
	assert_int_equal(bell.counters.agent_expired, 1);
}

static void a_beat_keeps_it(void **state)
{
	hello();
	pin_some();
	for (unsigned i = 0; i < 5; i++) {
		turns(9000);
		assert_pins(20, 0);
	}
}

/* The machine slept: nobody could ring. */
static void a_gap_is_no_silence(void **state)
{
	hello();
	pin_some();
	for (unsigned i = 0; i < 30; i++) {
		fixture.now += 600 * MS;
		doorbell_turn(&bell, NULL, 0, fixture.now);
	}
	assert_pins(20, 0);
	/* A request can be the first to see it. */
	fixture.now += 20000 * MS;
	assert_pins(20, 0);
}

static void a_second_hello_ends_the_first(void **state)
{
	hello();
	pin_some();
	OK(DOORBELL_PIN, range(300, 10));
	OK(DOORBELL_COMMIT, DOORBELL_REPORT, 9);
	OK(DOORBELL_HELLO, DOORBELL_VERSION);
	assert_int_equal(ring.word[0], 2);
	assert_int_equal(bell.report_length, 0);
	turns(100);
	assert_released();
	assert_int_equal(ASK(DOORBELL_BEAT, 0), DOORBELL_NO_SESSION);
	ring.session = 2;
	assert_pins(0, 0);
}

static void bye(void **state)
{
	hello();
	pin_some();
	OK(DOORBELL_BYE, 5);
	assert_rest(0);
	assert_int_equal(bell.state, DOORBELL_ENDED);
	turns(100);
	assert_released();
	assert_int_equal(ASK(DOORBELL_BYE, 0), DOORBELL_NO_SESSION);
	hello();
	pin_some();
}

static unsigned served(unsigned requests)
{
	unsigned n = 0;

	for (; requests > 0; requests--)
		n += ASK(DOORBELL_BEAT, 0) == DOORBELL_OK;
	return n;
}

static void the_rate_is_limited(void **state)
{
	hello();
	assert_int_equal(served(2 * DOORBELL_RATE), DOORBELL_RATE - 1);
	assert_int_equal(ASK(DOORBELL_BEAT, 0), DOORBELL_BUSY);
	assert_rest(0);
	assert_int_equal(ASK(DOORBELL_HELLO, DOORBELL_VERSION), DOORBELL_BUSY);
	assert_int_equal(ASK(DOORBELL_REQUESTS, 0), DOORBELL_BUSY);
	fixture.now += 100 * MS;
	assert_in_range(served(2 * DOORBELL_RATE), DOORBELL_RATE / 10 - 1, DOORBELL_RATE / 10 + 1);
	/* A second of silence and a day of it buy the same. */
	turns(1000);
	assert_in_range(served(2 * DOORBELL_RATE), DOORBELL_RATE - 1, DOORBELL_RATE);
	fixture.now += 86400000 * MS;
	assert_in_range(served(2 * DOORBELL_RATE), DOORBELL_RATE - 1, DOORBELL_RATE);
	/* A clock that stands still, or a CPU's that is behind another's, gives nothing. */
	fixture.now -= 5;
	assert_int_equal(served(10), 0);
}

static void samples(void **state)
{
	uint64_t fills;

	hello();
	for (uint32_t page = 0; page < 3 * FIXTURE_FRAMES; page++) {
		fixture_fault(0, page, true);
		for (unsigned i = 0; !fixture_done(0); i++) {
			assert_true(i < 100);
			turns(1);
		}
		fixture_poke(page, page + 1);
		fixture_resume(0);
		turns(1);
	}
	turns(50);
	OK(DOORBELL_SAMPLE, 0);
	OK(DOORBELL_BEAT, 0);
	fills = ring.word[5];
	fixture_press(0, 3, 1);
	fixture_press(0, 1, 1);
	OK(DOORBELL_BEAT, 0);
	assert_int_equal(ring.word[5], fills + 2);
	OK(DOORBELL_SAMPLE, 0);
	assert_int_equal(ring.word[0], 2);
	assert_int_equal(ring.word[1], FIXTURE_BASE + 3 * PAGE_SIZE);
	assert_int_equal(ring.word[2], FIXTURE_BASE + 1 * PAGE_SIZE);
	assert_rest(3);
	OK(DOORBELL_SAMPLE, 0);
	assert_rest(0);
}

/* One a turn, each vCPU in its turn; what is not posted is not touched. */
static void rings_are_served_in_turn(void **state)
{
	static struct ring rings[3];

	assert_false(doorbell_posted(rings, 3));
	assert_false(doorbell_turn(&bell, rings, 3, fixture.now));
	for (unsigned i = 0; i < 3; i++)
		rings[i] = (struct ring){
			.state = MAILBOX_POSTED, .request = DOORBELL_HELLO, .word = {1}};
	rings[1].state = MAILBOX_EMPTY;
	assert_true(doorbell_posted(rings, 3));
	assert_true(doorbell_turn(&bell, rings, 3, fixture.now));
	assert_int_equal(rings[0].state, MAILBOX_DONE);
	assert_int_equal(rings[0].result, DOORBELL_OK);
	assert_int_equal(rings[2].state, MAILBOX_POSTED);
	/* The first rings again before the third was served. */
	rings[0].state = MAILBOX_POSTED;
	assert_true(doorbell_turn(&bell, rings, 3, fixture.now));
	assert_int_equal(rings[2].state, MAILBOX_DONE);
	assert_int_equal(rings[2].word[0], 2);
	assert_int_equal(rings[0].state, MAILBOX_POSTED);
	assert_true(doorbell_turn(&bell, rings, 3, fixture.now));
	assert_false(doorbell_turn(&bell, rings, 3, fixture.now));
	assert_int_equal(rings[1].word[0], 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_session_begins_with_hello),
		TEST(nothing_without_a_session),
		TEST(requests_that_are_none),
		TEST(pins_are_kept_until_unpin),
		TEST(ranges_are_looked_at),
		TEST(over_the_budget),
		TEST(a_full_queue_is_busy),
		TEST(reports_are_whole),
		TEST(offsets_are_looked_at),
		TEST(messages_and_replies),
		TEST(a_message_goes_with_its_session),
		TEST(silence_ends_the_session),
		TEST(a_beat_keeps_it),
		TEST(a_gap_is_no_silence),
		TEST(a_second_hello_ends_the_first),
		TEST(bye),
		TEST(the_rate_is_limited),
		TEST(samples),
		TEST(rings_are_served_in_turn),
	};

	return cmocka_run_group_tests_name("doorbell", tests, NULL, NULL);
}
