/* SPDX-License-Identifier: MIT */
/* The management channel's protocol and every answer's form, hostile input included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>
#include "boot/config.h"
#include "lib/log.h"
#include "lib/text.h"
#include "service/doorbell.h"
#include "service/emit.h"
#include "service/manage.h"
#include "service/view.h"
#include "tests/unit/manage_sources.h"

/* A port that takes a few bytes at a time. */

static char sent[3 * MANAGE_ANSWER_MAX];
static size_t sent_length;
static size_t port_takes = 16;

static size_t port_write(const char *text, size_t length)
{
	size_t n = length < port_takes ? length : port_takes;

	assert_true(sent_length + n < sizeof(sent));
	memcpy(sent + sent_length, text, n);
	sent_length += n;
	sent[sent_length] = 0;
	return n;
}

static struct far *const some_far = (struct far *)16;
static struct fabric *const some_fabric = (struct fabric *)16;
static struct session *const some_sessions[2] = {(struct session *)16, (struct session *)16};

static struct config config = {
	.server = {{"peer \"one\"\\", 0x0a000001, 7471}, {"two", 0xc0a80102, 1}},
	.servers = 2,
};
static struct nic nic;
static struct view view;
static struct manage manage;
static struct doorbell doorbell;

static int setup(void **state)
{
	view = (struct view){
		.state = VIEW_STALLED,
		.reason = "server two: server away\n\x01\xff",
		.now = 123456789,
		.config = &config,
		.nic = &nic,
		.fabric = some_fabric,
		.session = some_sessions,
		.sessions = 2,
		.far = some_far,
		.doorbell = &doorbell,
		.far_base = 1ull << 38,
		.cpus = 1,
	};
	doorbell_start(&doorbell, some_far, view.far_base, 4096, view.now);
	manage_init(&manage, view_answer, &view, port_write);
	sent_length = 0;
	sent[0] = 0;
	port_takes = 16;
	virt_rows = 4;
	return 0;
}

static void feed_bytes(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		manage_byte(&manage, text[i]);
}

static void feed(const char *text)
{
	feed_bytes(text, strlen(text));
}

static void drain(void)
{
	for (unsigned i = 0; manage_turn(&manage); i++)
		assert_true(i < 2000);
	assert_false(manage_busy(&manage));
}

/* Sends a line, returns the answer: one line of valid JSON with our version. */
static json_t *ask(const char *line)
{
	json_error_t error;
	json_t *answer;

	sent_length = 0;
	feed(line);
	drain();
	assert_in_range(sent_length, 1, MANAGE_ANSWER_MAX);
	assert_ptr_equal(strchr(sent, '\n'), sent + sent_length - 1);
	answer = json_loadb(sent, sent_length, JSON_REJECT_DUPLICATES, &error);
	if (!answer)
		fail_msg("%s: %s", error.text, sent);
	assert_int_equal(json_integer_value(json_object_get(answer, "annex")), 1);
	return answer;
}

static json_t *ask_result(const char *line)
{
	json_t *answer = ask(line), *result = json_incref(json_object_get(answer, "result"));

	assert_true(json_is_true(json_object_get(answer, "ok")));
	assert_non_null(result);
	json_decref(answer);
	return result;
}

static void assert_error(const char *line, const char *part)
{
	json_t *answer = ask(line);

	assert_true(json_is_false(json_object_get(answer, "ok")));
	assert_non_null(strstr(json_string_value(json_object_get(answer, "error")), part));
	assert_null(json_object_get(answer, "result"));
	json_decref(answer);
}

static void assert_silence(const char *line, size_t length)
{
	uint64_t dropped = manage.dropped;

	sent_length = 0;
	feed_bytes(line, length);
	drain();
	assert_int_equal(sent_length, 0);
	assert_int_equal(manage.dropped, dropped + 1);
}

static uint64_t number(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	assert_true(json_is_integer(value));
	return (uint64_t)json_integer_value(value);
}

static void status(void **state)
{
	json_t *r = ask_result("annex/1 a1B2 status\n"), *servers, *first;

	assert_string_equal(json_string_value(json_object_get(r, "state")), "stalled");
	assert_string_equal(json_string_value(json_object_get(r, "reason")),
		"server two: server away\n\x01\xc3\xbf");
	assert_int_equal(number(r, "uptime_ns"), 123456789);
	assert_int_equal(number(json_object_get(r, "far"), "pages"), 45);
	assert_int_equal(number(json_object_get(r, "far"), "victim_dirty"), 7);
	assert_int_equal(number(json_object_get(r, "frames"), "free"), 100);
	assert_int_equal(number(json_object_get(r, "extents"), "lost"), 1);
	servers = json_object_get(r, "servers");
	assert_int_equal(json_array_size(servers), 2);
	first = json_array_get(servers, 0);
	assert_string_equal(json_string_value(json_object_get(first, "name")), "peer \"one\"\\");
	assert_string_equal(json_string_value(json_object_get(first, "address")), "10.0.0.1:7471");
	assert_string_equal(json_string_value(json_object_get(first, "state")), "ready");
	assert_int_equal(number(first, "mtu"), 4096);
	json_decref(r);
}

static void status_before_anything_is_started(void **state)
{
	json_t *r;

	view.far = NULL;
	view.fabric = NULL;
	view.sessions = 0;
	view.state = VIEW_BOOTING;
	r = ask_result("annex/1 x status\n");
	assert_string_equal(json_string_value(json_object_get(r, "state")), "booting");
	assert_int_equal(number(json_object_get(r, "far"), "pages"), 0);
	json_decref(r);
	json_decref(ask_result("annex/1 x counters\n"));
	json_decref(ask_result("annex/1 x histogram\n"));
}

static void a_stopped_vmm_tells_why(void **state)
{
	struct view_end end = {"refused", "config line 3: far = 12Q: \"x\"", 77};
	json_t *result;

	manage_init(&manage, view_end_answer, &end, port_write);
	result = ask_result("annex/1 a status\n");
	assert_string_equal(json_string_value(json_object_get(result, "state")), "refused");
	assert_string_equal(json_string_value(json_object_get(result, "reason")), end.reason);
	assert_int_equal(json_integer_value(json_object_get(result, "uptime_ns")), 77);
	json_decref(result);
	result = ask_result("annex/1 a log\n");
	assert_non_null(json_object_get(result, "lines"));
	json_decref(result);
	assert_error("annex/1 a counters\n", "has stopped");
	assert_error("annex/1 a status 3\n", "no argument");
}

static void counters(void **state)
{
	json_t *r;

	far_totals.remote_fills = 77;
	fabric_totals.naks = UINT64_MAX / 2;
	nic.counters.sent_frames = 5;
	view.counters.turns = 9;
	r = ask_result("annex/1 1 counters\n");
	assert_int_equal(number(json_object_get(r, "far"), "remote_fills"), 77);
	assert_int_equal(number(json_object_get(r, "fabric"), "naks"), UINT64_MAX / 2);
	assert_int_equal(number(json_object_get(r, "nic"), "sent_frames"), 5);
	assert_int_equal(number(json_object_get(r, "service"), "turns"), 9);
	assert_int_equal(
		json_object_size(json_object_get(r, "far")), sizeof(far_totals) / sizeof(uint64_t));
	json_decref(r);
}

static void an_answer_that_does_not_fit_is_an_error(void **state)
{
	virt_rows = 100;
	assert_error("annex/1 1 counters\n", "too long");
}

static void histogram(void **state)
{
	json_t *r, *wire;

	for (unsigned i = 1; i <= 1000; i++)
		histogram_add(&times.remote[FAR_STAGE_WIRE], i * 1000);
	r = ask_result("annex/1 1 histogram\n");
	wire = json_object_get(json_object_get(r, "remote"), "wire");
	assert_int_equal(number(wire, "count"), 1000);
	assert_in_range(number(wire, "p50"), 500000, 562500);
	assert_int_equal(number(wire, "max"), 1000000);
	assert_int_equal(number(json_object_get(json_object_get(r, "zero"), "total"), "count"), 0);
	json_decref(r);
}

/* Asked again from "next" until it stands still: every line comes once, in order. */
static void log_in_parts(void **state)
{
	uint64_t from = 0, lines = 0, first = log_next();
	char line[64];

	for (unsigned i = 0; i < 200; i++)
		log_info(
			"%03u %s", i, "\"quoted\" \\ and a text that fills the answer rather soon");
	for (unsigned rounds = 0; rounds < 100; rounds++) {
		json_t *r, *array;
		uint64_t next;

		snprintf(line, sizeof(line), "annex/1 1 log %lu\n", rounds ? from : first);
		r = ask_result(line);
		array = json_object_get(r, "lines");
		for (size_t i = 0; i < json_array_size(array); i++, lines++) {
			snprintf(line, sizeof(line), "info %03lu ", lines);
			assert_non_null(strstr(json_string_value(json_array_get(array, i)), line));
		}
		next = number(r, "next");
		json_decref(r);
		if (rounds && next == from)
			break;
		from = next;
	}
	assert_int_equal(lines, 200);
	json_decref(ask_result("annex/1 1 log\n"));
	json_decref(ask_result("annex/1 1 log 18446744073709551615\n"));
	assert_error("annex/1 1 log x\n", "number");
}

/* The agent in the guest: one request, which must go well. */
static void guest(enum doorbell_request request, uint64_t w0, uint64_t w1, uint64_t w2)
{
	struct ring ring = {.request = request, .session = doorbell.session, .word = {w0, w1, w2}};

	doorbell_request(&doorbell, &ring, view.now);
	assert_int_equal(ring.result, DOORBELL_OK);
}

static void guest_puts(enum doorbell_buffer buffer, const void *bytes, size_t length)
{
	for (size_t at = 0; at < length; at += DOORBELL_CHUNK) {
		struct ring ring = {.request = DOORBELL_PUT,
			.session = doorbell.session,
			.word = {(uint64_t)buffer << 32 | at}};
		size_t part = length - at < DOORBELL_CHUNK ? length - at : DOORBELL_CHUNK;

		memcpy(&ring.word[1], (const char *)bytes + at, part);
		doorbell_request(&doorbell, &ring, view.now);
		assert_int_equal(ring.result, DOORBELL_OK);
	}
	guest(DOORBELL_COMMIT, buffer, length, doorbell.message);
}

static void assert_agent(const char *state, uint64_t session, const char *hex)
{
	json_t *r = ask_result("annex/1 1 agent\n");

	assert_string_equal(json_string_value(json_object_get(r, "state")), state);
	assert_int_equal(number(r, "session"), session);
	assert_string_equal(json_string_value(json_object_get(r, "report")), hex);
	assert_int_equal(number(r, "pinned"), 5);
	assert_int_equal(number(r, "budget"), 7);
	assert_int_equal(number(r, "queued"), 8);
	json_decref(r);
}

/* Time passes in turns of the service loop. */
static void pass(uint64_t ns)
{
	for (uint64_t end = view.now + ns; view.now < end;) {
		view.now += 10000000;
		doorbell_turn(&doorbell, NULL, 0, view.now);
	}
}

static void agent(void **state)
{
	uint8_t bytes[DOORBELL_REPORT_MAX];
	char hex[2 * DOORBELL_REPORT_MAX + 1];
	json_t *r;

	assert_agent("none", 0, "");
	guest(DOORBELL_HELLO, DOORBELL_VERSION, 0, 0);
	assert_agent("alive", 1, "");
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] = (uint8_t)(255 - i);
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	}
	guest_puts(DOORBELL_REPORT, bytes, sizeof(bytes));
	assert_agent("alive", 1, hex);
	pass(2900000000);
	r = ask_result("annex/1 1 agent\n");
	assert_int_equal(number(r, "age_ns"), 2900000000);
	json_decref(r);
	assert_agent("alive", 1, hex);
	pass(100000000);
	assert_agent("silent", 1, hex);
	pass(DOORBELL_LEASE_NS);
	assert_agent("ended", 1, hex);
	guest(DOORBELL_HELLO, DOORBELL_VERSION, 0, 0);
	assert_agent("alive", 2, "");
	guest(DOORBELL_BYE, 0, 0, 0);
	assert_agent("ended", 2, "");
	view.far = NULL;
	json_decref(ask_result("annex/1 1 agent\n"));
}

static void assert_reply(uint64_t message, const char *text)
{
	json_t *r = ask_result("annex/1 1 reply\n");

	assert_int_equal(number(r, "message"), message);
	assert_string_equal(json_string_value(json_object_get(r, "text")), text);
	json_decref(r);
}

static void tell_and_reply(void **state)
{
	char line[MANAGE_REQUEST_MAX], text[DOORBELL_MESSAGE_MAX + 2];
	json_t *r;

	assert_reply(0, "");
	assert_error("annex/1 1 tell stat\n", "annex-agent");
	guest(DOORBELL_HELLO, DOORBELL_VERSION, 0, 0);
	r = ask_result("annex/1 1 tell  pin  \"a b\" \xc3\xa9  \n");
	assert_int_equal(number(r, "message"), 1);
	json_decref(r);
	assert_int_equal(doorbell.message_length, 15);
	assert_memory_equal(doorbell.message_text, "pin  \"a b\" \xc3\xa9  ", 15);
	guest_puts(DOORBELL_REPLY, "ok\n\"two\" \\ \xe2\x82\xac", 14);
	assert_reply(1, "ok\n\"two\" \\ \xe2\x82\xac");
	assert_error("annex/1 1 tell\n", "wants a text");
	assert_error("annex/1 1 tell a\tb\n", "printable");
	assert_error("annex/1 1 tell a\x1b[2Jb\n", "printable");
	assert_error("annex/1 1 tell \xc3\n", "printable");
	assert_error("annex/1 1 tell \xc2\x9b\n", "printable");
	assert_int_equal(doorbell.message, 1);
	memset(text, 'x', sizeof(text));
	snprintf(line, sizeof(line), "annex/1 1234567890123456 tell %.*s\n",
		DOORBELL_MESSAGE_MAX + 1, text);
	assert_error(line, "192");
	snprintf(line, sizeof(line), "annex/1 1234567890123456 tell %.*s\n", DOORBELL_MESSAGE_MAX,
		text);
	json_decref(ask_result(line));
	assert_int_equal(doorbell.message_length, DOORBELL_MESSAGE_MAX);
	/* The one before still is the last that was replied to. */
	assert_reply(1, "ok\n\"two\" \\ \xe2\x82\xac");
	guest(DOORBELL_BYE, 0, 0, 0);
	assert_error("annex/1 1 tell stat\n", "annex-agent");
}

/* The longest replies, and random ones: always a line of JSON with no byte that a terminal obeys. */
static void hostile_replies(void **state)
{
	static const char worst[] = {'"', '\\', '\n', 0x1b};
	char reply[DOORBELL_REPLY_MAX];

	srand(11);
	guest(DOORBELL_HELLO, DOORBELL_VERSION, 0, 0);
	for (unsigned round = 0; round < 300; round++) {
		const char *text;
		size_t length = round < 5 ? sizeof(reply) : (size_t)rand() % sizeof(reply);
		json_t *r;

		for (size_t i = 0; i < sizeof(reply); i++)
			reply[i] = round < 4 ? worst[round] : (char)rand();
		json_decref(ask_result("annex/1 1 tell x\n"));
		guest_puts(DOORBELL_REPLY, reply, length);
		view.now += 100000000;
		r = ask_result("annex/1 1234567890123456 reply\n");
		text = json_string_value(json_object_get(r, "text"));
		for (size_t i = 0, n; text[i]; i += n) {
			n = text_character(text + i, strlen(text + i));
			if (text[i] == '\n')
				n = 1;
			assert_true(n > 0);
		}
		assert_true(round >= 3 || strlen(text) == sizeof(reply));
		json_decref(r);
	}
}

static void wrong_requests_are_answered(void **state)
{
	assert_error("annex/2 1 status\n", "annex/1");
	assert_error("annex/0 1\n", "annex/1");
	assert_error("annex/1 1\n", "no such command");
	assert_error("annex/1 1 reboot\n", "no such command");
	assert_error("annex/1 1 averyveryverylongcommand\n", "no such command");
	assert_error("annex/1 1 status now\n", "no argument");
	assert_error("annex/1 1 agent x\n", "no argument");
	assert_error("annex/1 1 reply x\n", "no argument");
	assert_error("annex/1 1 log 1 2\n", "too many");
	assert_error("annex/1 1 log 12345678901234567890123456789\n", "too long");
}

static void noise_is_dropped(void **state)
{
	static const char *const lines[] = {"hello\n", "annex\n", "annex/\n", "annex/x 1 status\n",
		"annex/1\n", "annex/1 \n", "annex/1 12345678901234567 status\n",
		"annex/1 a-b status\n", "annex/1 \xc3\xa4 x\n",
		"{\"annex\":1,\"id\":\"1\",\"ok\":true,\"result\":{}}\n", " annex/1 1 status\n",
		"annex/ 1 1 status\n", "annex/-1 1 status\n", "annex/99999999 1 status\n"};
	char overlong[1000];

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		assert_silence(lines[i], strlen(lines[i]));
	assert_silence("annex/1 1\0 status\n", 18);
	assert_silence("annex/1 1 status\0\n", 18);
	memset(overlong, ' ', sizeof(overlong));
	memmove(overlong, "annex/1 1 status", strlen("annex/1 1 status"));
	overlong[sizeof(overlong) - 1] = '\n';
	assert_silence(overlong, sizeof(overlong));
	overlong[MANAGE_REQUEST_MAX] = 'x';
	overlong[MANAGE_REQUEST_MAX + 1] = '\n';
	assert_silence(overlong, MANAGE_REQUEST_MAX + 2);
	json_decref(ask_result("annex/1 1 status\n"));
	json_decref(ask_result("annex/1 1234567890abcDEF status\r\n"));
	json_decref(ask_result("annex/1  1   status   \n"));
}

/* The newest of the requests that come during an answer is answered behind it; none is torn. */
static void requests_during_an_answer(void **state)
{
	uint64_t dropped;

	feed("annex/1 one status\n");
	manage_turn(&manage);
	manage_turn(&manage);
	assert_int_equal(sent_length, 16);
	dropped = manage.dropped;
	feed("annex/1 two status\n");
	feed("annex/1 three status\n");
	drain();
	assert_int_equal(manage.dropped, dropped + 1);
	assert_non_null(strstr(sent, "\"id\":\"one\""));
	assert_null(strstr(sent, "\"id\":\"two\""));
	assert_non_null(strstr(sent, "}\n{\"annex\":1,\"id\":\"three\""));
}

static void a_port_that_takes_nothing_does_not_hold_us(void **state)
{
	port_takes = 0;
	feed("annex/1 1 status\n");
	for (unsigned i = 0; i < 100; i++)
		assert_true(manage_turn(&manage));
	assert_int_equal(sent_length, 0);
	port_takes = 3;
	drain();
	assert_non_null(strchr(sent, '\n'));
}

/* Random bytes, and requests with random bytes in them: never torn, never invalid JSON. */
static void random_input(void **state)
{
	srand(7);
	for (unsigned round = 0; round < 20000; round++) {
		char line[] = "annex/1 abc histogram 12\n";
		json_error_t error;

		for (int n = rand() % 4; n >= 0; n--)
			line[(size_t)rand() % (sizeof(line) - 2)] = (char)rand();
		sent_length = 0;
		feed_bytes(line, sizeof(line) - 1);
		drain();
		for (char *at = sent; at < sent + sent_length;) {
			char *end = strchr(at, '\n');
			json_t *j = json_loadb(at, (size_t)(end - at), 0, &error);

			assert_non_null(j);
			json_decref(j);
			at = end + 1;
		}
	}
}

static void emit_never_writes_beyond_its_buffer(void **state)
{
	static const char whole[] =
		"{\"key\":\"va\\\"lue\\u0002\",\"n\":9223372036854775807,\"b\":true}";

	for (size_t size = 0; size < sizeof(whole) + 4; size++) {
		char *buffer = malloc(size + !size);
		struct emit e;

		emit_init(&e, buffer, size);
		emit_open(&e, NULL, '{');
		emit_string(&e, "key", "va\"lue\x02");
		emit_number(&e, "n", UINT64_MAX);
		emit_bool(&e, "b", true);
		emit_close(&e, '}');
		assert_true(e.length <= size);
		assert_int_equal(e.full, size < strlen(whole));
		if (!e.full)
			assert_memory_equal(buffer, whole, strlen(whole));
		free(buffer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(status, setup),
		cmocka_unit_test_setup(status_before_anything_is_started, setup),
		cmocka_unit_test_setup(a_stopped_vmm_tells_why, setup),
		cmocka_unit_test_setup(counters, setup),
		cmocka_unit_test_setup(an_answer_that_does_not_fit_is_an_error, setup),
		cmocka_unit_test_setup(histogram, setup),
		cmocka_unit_test_setup(agent, setup),
		cmocka_unit_test_setup(tell_and_reply, setup),
		cmocka_unit_test_setup(hostile_replies, setup),
		cmocka_unit_test_setup(log_in_parts, setup),
		cmocka_unit_test_setup(wrong_requests_are_answered, setup),
		cmocka_unit_test_setup(noise_is_dropped, setup),
		cmocka_unit_test_setup(requests_during_an_answer, setup),
		cmocka_unit_test_setup(a_port_that_takes_nothing_does_not_hold_us, setup),
		cmocka_unit_test_setup(random_input, setup),
		cmocka_unit_test(emit_never_writes_beyond_its_buffer),
	};

	return cmocka_run_group_tests_name("manage", tests, NULL, NULL);
}
