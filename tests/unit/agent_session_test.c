/* SPDX-License-Identifier: MIT */
/* The session with the VMM, against a doorbell that checks every request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "guest-agent/log.h"
#include "guest-agent/session.h"
#include "tests/unit/agent_bell.h"

#define MS 1000000ull

static struct agent_bell bell;
static struct session session;

static int set_up(void **state)
{
	log_level(LOG_EMERG);
	agent_bell_init(&bell, 1000);
	session_init(&session, &bell.bell, 1000);
	return 0;
}

static int tear_down(void **state)
{
	agent_bell_free(&bell);
	return 0;
}

static uint32_t pin(uint64_t page)
{
	uint64_t words[DOORBELL_WORDS] = {page << RANGES_PAGE_SHIFT};

	return session_hint(&session, DOORBELL_PIN, words);
}

static void beats_once_a_second(void **state)
{
	session_turn(&session, 5000 * MS);
	assert_int_equal(bell.calls[DOORBELL_HELLO], 1);
	assert_int_equal(session.id, bell.session);
	assert_int_equal(session.budget, 1000);
	assert_int_equal(session.window.first, 1);
	for (uint64_t t = 5000; t <= 15000; t += 50)
		session_turn(&session, t * MS);
	assert_int_equal(bell.calls[DOORBELL_BEAT], 10);
	assert_int_equal(bell.calls[DOORBELL_HELLO], 1);
}

static void a_lost_session_is_asked_for_again(void **state)
{
	session_turn(&session, 1000 * MS);
	assert_int_equal(pin(100), DOORBELL_OK);
	assert_int_equal(session.generation, 1);
	agent_bell_lose(&bell);
	assert_int_equal(pin(101), DOORBELL_NO_SESSION);
	assert_false(session_ready(&session));
	/* At once, not with the next beat. */
	session_turn(&session, 1010 * MS);
	assert_int_equal(session.generation, 2);
	assert_int_equal(session.lost, 1);
	assert_true(session_ready(&session));
	/* And when it is a beat that finds it lost. */
	agent_bell_lose(&bell);
	session_turn(&session, 3000 * MS);
	assert_int_equal(session.generation, 3);
}

static void busy_backs_off(void **state)
{
	uint64_t wait = SESSION_BUSY_MIN_NS, now = 1000 * MS;

	session_turn(&session, now);
	bell.busy = 10;
	for (unsigned i = 0; i < 10; i++) {
		assert_true(session_ready(&session));
		assert_int_equal(pin(100), DOORBELL_BUSY);
		assert_false(session_ready(&session));
		session_turn(&session, now + wait - 1);
		assert_false(session_ready(&session));
		now += wait;
		session_turn(&session, now);
		wait = wait * 2 < SESSION_BUSY_MAX_NS ? wait * 2 : SESSION_BUSY_MAX_NS;
	}
	assert_int_equal(pin(100), DOORBELL_OK);
	assert_int_equal(session.backoff_ns, 0);
	assert_int_equal(session.busy, 10);
}

static void the_own_rate_is_kept(void **state)
{
	unsigned sent = 0;

	for (uint64_t t = 1000; t < 3000; t++) {
		session_turn(&session, t * MS);
		while (session_ready(&session) && sent < 100000) {
			assert_int_equal(pin(100), DOORBELL_OK);
			sent++;
		}
	}
	assert_in_range(sent, 1900, 2200);
}

static void another_version_ends_it(void **state)
{
	bell.version = DOORBELL_VERSION + 1;
	session_turn(&session, 1000 * MS);
	assert_true(session.refused);
	session_turn(&session, 9000 * MS);
	assert_int_equal(bell.calls[DOORBELL_HELLO], 1);
}

static void messages_come_and_replies_go(void **state)
{
	char text[DOORBELL_MESSAGE_MAX + 1], long_text[DOORBELL_MESSAGE_MAX + 1], reply[4000];

	session_turn(&session, 1000 * MS);
	assert_false(session_message(&session, text));
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	agent_bell_tell(&bell, long_text);
	session_turn(&session, 2000 * MS);
	assert_true(session_message(&session, text));
	assert_string_equal(text, long_text);
	/* A reply that is too long ends with a whole line. */
	for (unsigned i = 0; i < sizeof(reply) - 1; i++)
		reply[i] = i % 100 == 99 ? '\n' : 'r';
	reply[sizeof(reply) - 1] = '\0';
	assert_true(session_reply(&session, session.message, reply));
	assert_int_equal(bell.committed[DOORBELL_REPLY], 1900);
	assert_memory_equal(bell.buffer[DOORBELL_REPLY], reply, 1900);
	assert_int_equal(session.message, 0);
	/* One whose message was replaced meanwhile is not taken. */
	agent_bell_tell(&bell, "ping");
	assert_false(session_reply(&session, bell.replied, "ok\n"));
}

static void a_report_arrives_whole(void **state)
{
	struct report report;

	memset(&report, 0x5a, sizeof(report));
	assert_false(session_report(&session, &report));
	session_turn(&session, 1000 * MS);
	assert_true(session_report(&session, &report));
	assert_int_equal(bell.committed[DOORBELL_REPORT], sizeof(report));
	assert_memory_equal(bell.buffer[DOORBELL_REPORT], &report, sizeof(report));
}

static void bye_ends_it(void **state)
{
	session_turn(&session, 1000 * MS);
	assert_int_equal(pin(100), DOORBELL_OK);
	session_bye(&session);
	assert_int_equal(bell.calls[DOORBELL_BYE], 1);
	assert_int_equal(ranges_pages(&bell.pinned), 0);
	assert_int_equal(session.id, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(beats_once_a_second),
		TEST(a_lost_session_is_asked_for_again),
		TEST(busy_backs_off),
		TEST(the_own_rate_is_kept),
		TEST(another_version_ends_it),
		TEST(messages_come_and_replies_go),
		TEST(a_report_arrives_whole),
		TEST(bye_ends_it),
	};

	return cmocka_run_group_tests_name("agent session", tests, NULL, NULL);
}
