/* SPDX-License-Identifier: MIT */
/* What `annex` makes of a guest's agent: each state, hostile reports, and messages to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "annex/doorbell.h"
#include "toolstack/agent.h"
#include "toolstack/agent_show.h"
#include "toolstack/error.h"
#include "toolstack/message.h"
#include "toolstack/printable.h"

#define MIB 1048576ull

static struct report good(void)
{
	return (struct report){.magic = REPORT_MAGIC,
		.version = REPORT_VERSION,
		.size = sizeof(struct report),
		.sequence = 7,
		.top_count = 2,
		.agent = "0.1.0",
		.uptime_ns = 5000000000,
		.memory = {125, 10, 1000, 100},
		.io = {10000, 0, REPORT_UNKNOWN, 0},
		.refaults = 12,
		.major_faults = 34,
		.far = {512 * MIB, 100 * MIB, 200 * MIB, 150 * MIB},
		.local = {250 * MIB, 50 * MIB, REPORT_UNKNOWN, 0},
		.swiotlb_total = 64 * MIB,
		.swiotlb_used = MIB,
		.swiotlb_high = 2 * MIB,
		.pinned = 100 * 4096,
		.policies = 3,
		.targets = 4,
		.top = {{4711, 1250, 64 * MIB, "redis-server"}, {1, 0, REPORT_UNKNOWN, "systemd"}}};
}

static json_t *status(void)
{
	return json_pack("{s:I,s:I,s:{s:i}}", "uptime_ns", (json_int_t)20000000000, "pinned_bytes",
		(json_int_t)(256 * MIB), "far", "pages", 131072);
}

static json_t *answer_hex(const char *state, const char *hex)
{
	return json_pack("{s:s,s:i,s:I,s:i,s:i,s:i,s:i,s:i,s:s}", "state", state, "session", 99,
		"age_ns", (json_int_t)400000000, "pinned", 90, "budget", 2048, "queued", 10,
		"message", 5, "replied", 4, "report", hex);
}

static json_t *answer(const char *state, const void *report, size_t length)
{
	char hex[2 * DOORBELL_REPORT_MAX + 64] = "";

	for (size_t i = 0; i < length; i++)
		snprintf(hex + 2 * i, 3, "%02x", ((const uint8_t *)report)[i]);
	return answer_hex(state, hex);
}

/* Reads an answer, which is used up. */
static int read_answer(json_t *from, struct agent *agent)
{
	json_t *truth = status();
	int code = agent_read(from, truth, agent);

	json_decref(truth);
	json_decref(from);
	return code;
}

static void assert_state(const struct agent *agent, enum agent_state state, const char *advice)
{
	char text[400];
	json_t *json = agent_show_json(agent);

	agent_advice(agent, text, sizeof(text));
	assert_int_equal(agent->state, state);
	if (!strstr(text, advice))
		fail_msg("no '%s' in '%s'", advice, text);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "state")), agent_name(state));
	assert_int_equal(json_is_null(json_object_get(json, "report")), !agent->has_report);
	json_decref(json);
}

static void test_states(void **state)
{
	struct report report = good();
	struct agent agent;
	json_t *json;

	assert_int_equal(read_answer(answer("alive", &report, sizeof(report)), &agent), 0);
	assert_state(&agent, AGENT_ALIVE, "heard 0.4 s ago");
	assert_true(agent.pinned == 90 && agent.budget == 2048 && agent.session == 99);
	assert_int_equal(agent.report.top[0].pid, 4711);
	json = agent_show_json(&agent);
	assert_true(json_real_value(json_object_get(
			    json_object_get(json_object_get(json, "report"), "memory"),
			    "some10")) == 1.25);
	assert_true(json_is_null(json_object_get(
		json_object_get(json_object_get(json, "report"), "local"), "file")));
	json_decref(json);
	assert_int_equal(read_answer(answer("silent", &report, sizeof(report)), &agent), 0);
	assert_state(&agent, AGENT_SILENT, "systemctl status annex-agent");
	assert_true(agent.has_report);
	report.pinned = 101 * 4096;
	assert_int_equal(read_answer(answer("alive", &report, sizeof(report)), &agent), 0);
	assert_state(&agent, AGENT_ALIVE, "it takes more for pinned than the VMM holds");
	assert_int_equal(read_answer(answer_hex("alive", ""), &agent), 0);
	assert_state(&agent, AGENT_ALIVE, "no report yet");
	assert_int_equal(read_answer(answer_hex("none", ""), &agent), 0);
	assert_state(&agent, AGENT_NONE, "apt install annex-agent");
	assert_int_equal(read_answer(answer_hex("ended", ""), &agent), 0);
	assert_state(&agent, AGENT_ENDED, "systemctl start annex-agent");
	agent = (struct agent){.state = AGENT_NO_DOORBELL};
	assert_state(&agent, AGENT_NO_DOORBELL, "annex guest define");
	report.version = REPORT_VERSION - 1;
	report.size = 400;
	assert_int_equal(read_answer(answer("alive", &report, 400), &agent), 0);
	assert_state(&agent, AGENT_OLD, "Upgrade annex-agent in the guest");
	report.version = REPORT_VERSION + 1;
	report.size = 600;
	assert_int_equal(read_answer(answer("alive", &report, sizeof(report)), &agent), 0);
	assert_state(&agent, AGENT_NEW, "Upgrade annex-tools here");
}

/* The VMM itself is wrong. */
static void test_malformed_answer(void **state)
{
	static const char *const hexes[] = {"0", "0g", "AB", "0x"};
	struct agent agent;
	char *much = malloc(2 * DOORBELL_REPORT_MAX + 3);

	assert_non_null(much);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(read_answer(answer_hex("alive", hexes[i]), &agent), ERROR_FAILED);
	memset(much, '0', 2 * DOORBELL_REPORT_MAX + 2);
	much[2 * DOORBELL_REPORT_MAX + 2] = '\0';
	assert_int_equal(read_answer(answer_hex("alive", much), &agent), ERROR_FAILED);
	much[2 * DOORBELL_REPORT_MAX] = '\0';
	assert_int_equal(read_answer(answer_hex("alive", much), &agent), 0);
	assert_state(&agent, AGENT_LYING, "1024 bytes does not begin as one");
	free(much);
	assert_int_equal(read_answer(answer_hex("lying", ""), &agent), ERROR_FAILED);
	assert_int_equal(read_answer(json_pack("{s:i}", "state", 1), &agent), ERROR_FAILED);
	assert_int_equal(read_answer(json_array(), &agent), ERROR_FAILED);
}

/* A lie is told by its field, and nothing of the report is shown. */
static void assert_lie(const struct report *report, const char *field)
{
	struct agent agent;
	json_t *json;

	assert_int_equal(read_answer(answer("alive", report, sizeof(*report)), &agent), 0);
	assert_state(&agent, AGENT_LYING, field);
	assert_int_equal(strncmp(agent.problem, field, strlen(field)), 0);
	json = agent_show_json(&agent);
	assert_string_equal(json_string_value(json_object_get(json, "problem")), agent.problem);
	json_decref(json);
}

static void test_lies(void **state)
{
	static const struct {
		size_t offset;
		uint64_t value;
		const char *field;
	} numbers[] = {
		{offsetof(struct report, pinned), 2049 * 4096, "pinned "},
		{offsetof(struct report, far.total), 512 * MIB + 4096, "far.total "},
		{offsetof(struct report, far.free), 512 * MIB + 1, "far.free "},
		{offsetof(struct report, far.file), UINT64_MAX - 1, "far.file "},
		{offsetof(struct report, local.total), 257 * MIB, "local.total "},
		{offsetof(struct report, local.anon), 251 * MIB, "local.anon "},
		{offsetof(struct report, swiotlb_total), 257 * MIB, "swiotlb_total "},
		{offsetof(struct report, swiotlb_used), 65 * MIB, "swiotlb_used "},
		{offsetof(struct report, swiotlb_high), 65 * MIB, "swiotlb_high "},
		{offsetof(struct report, uptime_ns), 30000000000, "uptime_ns "},
		{offsetof(struct report, refaults), 1ull << 63, "refaults "},
		{offsetof(struct report, major_faults), 1ull << 63, "major_faults "},
		{offsetof(struct report, memory.full_us), 1ull << 63, "memory.full_us "},
		{offsetof(struct report, top[1].far), 513 * MIB, "top[1].far "},
	};
	struct report report;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		report = good();
		memcpy((char *)&report + numbers[i].offset, &numbers[i].value, 8);
		assert_lie(&report, numbers[i].field);
	}
	report = good();
	report.io.some10 = 10001;
	assert_lie(&report, "io.some10 ");
	report = good();
	report.top_count = REPORT_TOP + 1;
	assert_lie(&report, "top_count ");
	report = good();
	report.size--;
	assert_lie(&report, "size ");
	report = good();
	report.magic++;
	assert_lie(&report, "its report of 472 bytes does not begin");
}

/* Every byte of a report may be anything: never a crash, and JSON always. */
static void test_any_bytes(void **state)
{
	struct report report;
	uint32_t random = 1;

	for (unsigned round = 0; round < 3000; round++) {
		struct agent agent;
		json_t *json;

		report = good();
		for (unsigned n = 0; n < 1 + round % 8; n++) {
			random = random * 1664525u + 1013904223u;
			((uint8_t *)&report)[8 + (random >> 8) % (sizeof(report) - 8)] =
				(uint8_t)random ^ (uint8_t)(random >> 24);
		}
		assert_int_equal(read_answer(answer("alive", &report, sizeof(report)), &agent), 0);
		json = agent_show_json(&agent);
		assert_non_null(json);
		json_decref(json);
	}
}

/* Processes name themselves as they like. */
static void test_names(void **state)
{
	struct report report = good();
	struct agent agent;

	memcpy(report.top[0].comm, "\x1b[2J\xff\nabcdefghij", REPORT_COMM);
	assert_int_equal(read_answer(answer("alive", &report, sizeof(report)), &agent), 0);
	assert_state(&agent, AGENT_ALIVE, "");
	assert_string_equal(agent.report.top[0].comm, "?[2J??abcdefghi");
}

static void test_printable(void **state)
{
	char text[] = "a\tb\nc\x7f \xc3\xa9 \xc2\x9b \xc0\x8a \xe2\x80\xae \xf0\x9f\x98\x80 "
		      "\xed\xa0\x80 \xe2\x82";

	assert_true(printable_is("plain \xc3\xa9", false));
	assert_false(printable_is("two\nlines", false));
	assert_true(printable_is("two\nlines", true));
	assert_false(printable_is(text, true));
	printable_text(text, true);
	assert_string_equal(text, "a?b\nc? \xc3\xa9 ?? ?? ??? \xf0\x9f\x98\x80 ??? ??");
}

static void assert_hint(const char *verb, const char *selector, uint64_t max, const char *wanted)
{
	char out[DOORBELL_MESSAGE_MAX + 1];

	if (message_hint(verb, (char *[]){(char *)selector}, 1, max, out))
		fail_msg("%s", error_text());
	assert_string_equal(out, wanted);
}

static void refuse_hint(const char *verb, const char *selector, uint64_t max, const char *text)
{
	char out[DOORBELL_MESSAGE_MAX + 1];

	error_clear();
	assert_int_equal(
		message_hint(verb, (char *[]){(char *)selector}, 1, max, out), ERROR_USAGE);
	if (!strstr(error_text(), text))
		fail_msg("no '%s' in '%s'", text, error_text());
}

static void test_hints(void **state)
{
	char longest[DOORBELL_MESSAGE_MAX + 8] = "exe=/", out[DOORBELL_MESSAGE_MAX + 1];
	char *two[] = {longest, NULL};

	assert_hint("pin", "unit=redis.service", 256 * MIB, "pin unit=redis.service max=256M");
	assert_hint("cold", "cgroup=/user.slice", 0, "cold cgroup=/user.slice");
	assert_hint("unpin", "comm=fifteen-letters", 0, "unpin comm=fifteen-letters");
	assert_hint("prefetch", "pid=4194304", 4096, "prefetch pid=4194304 max=4K");
	assert_hint("pin", "user=redis", 0, "pin user=redis");
	refuse_hint("hold", "pid=1", 0, "pin, unpin, prefetch and cold");
	refuse_hint("pin", "redis", 0, "There are unit=, cgroup=, comm=");
	refuse_hint("pin", "length=0", 0, "such as 2M");
	refuse_hint("pin", "address=7f00", 0, "such as 0x7f0000000000");
	refuse_hint("pin", "file=main", 0, "absolute path");
	refuse_hint("pin", "units=a", 0, "is no selector");
	refuse_hint("pin", "unit=", 0, "a systemd unit");
	refuse_hint("pin", "unit=a/b", 0, "a systemd unit");
	refuse_hint("pin", "comm=sixteen-letters-", 0, "up to 15 bytes");
	refuse_hint("pin", "comm=a b", 0, "without blanks");
	refuse_hint("pin", "exe=redis", 0, "absolute path");
	refuse_hint("pin", "pid=0", 0, "1 to 4194304");
	refuse_hint("pin", "pid=4194305", 0, "1 to 4194304");
	refuse_hint("pin", "user=a:b", 0, "user's name");
	refuse_hint("pin", "pid=1", 4095, "multiple of 4K");
	refuse_hint("pin", "comm=a\nunpin", 0, "one line");
	refuse_hint("pin", "comm=\x1b", 0, "one line");
	memset(longest + 5, 'x', DOORBELL_MESSAGE_MAX - 5 - 4);
	assert_int_equal(message_hint("pin", two, 1, 0, out), 0);
	assert_int_equal(strlen(out), DOORBELL_MESSAGE_MAX);
	longest[DOORBELL_MESSAGE_MAX - 4] = 'x';
	refuse_hint("pin", longest, 0, "more than 192 bytes");
	memset(longest + DOORBELL_MESSAGE_MAX - 3, 'x', 5);
	refuse_hint("pin", longest, 0, "up to 192 fit");
	two[0] = (char *)"pid=4711", two[1] = (char *)"address=0x7f00";
	assert_int_equal(message_hint("cold", two, 2, 0, out), 0);
	assert_string_equal(out, "cold pid=4711 address=0x7f00");
}

static void test_verdicts(void **state)
{
	assert_int_equal(message_verdict("g", "ok"), 0);
	assert_int_equal(message_verdict("g", "ok pinned 4K"), 0);
	assert_int_equal(message_verdict("g", "ok\nline"), 0);
	assert_int_equal(message_verdict("g", "error: no such unit"), ERROR_FAILED);
	assert_non_null(strstr(error_text(), "refuses: no such unit"));
	assert_int_equal(message_verdict("g", "okay"), ERROR_FAILED);
	assert_int_equal(message_verdict("g", ""), ERROR_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_malformed_answer),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_printable),
		cmocka_unit_test(test_hints),
		cmocka_unit_test(test_verdicts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
