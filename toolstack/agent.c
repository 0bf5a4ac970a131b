/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "annex/doorbell.h"
#include "toolstack/agent.h"
#include "toolstack/error.h"
#include "toolstack/manage.h"
#include "toolstack/printable.h"

#define PAGE         4096u
#define CLOCK_SECOND 1000000000ull

static_assert(
	__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the report's byte order is taken as it is");

/* What the VMM says itself. */
struct truth {
	uint64_t far; /* bytes of the window */
	uint64_t local; /* bytes of pinned memory */
	uint64_t uptime; /* ns */
};

static uint64_t number(const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return value > 0 ? (uint64_t)value : 0;
}

static void lie(struct agent *agent, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The first contradiction is the one that is told. */
static void lie(struct agent *agent, const char *format, ...)
{
	va_list args;

	if (agent->problem[0])
		return;
	va_start(args, format);
	vsnprintf(agent->problem, sizeof(agent->problem), format, args);
	va_end(args);
}

/* A known number above its limit. */
static void limit(
	struct agent *agent, const char *field, uint64_t value, uint64_t most, const char *whose)
{
	if (value != REPORT_UNKNOWN && value > most)
		lie(agent, "%s is %" PRIu64 ", more than %s, %" PRIu64, field, value, whose, most);
}

static void check_node(struct agent *agent, const char *name, const struct report_node *node,
	uint64_t most, const char *whose)
{
	const struct {
		const char *name;
		uint64_t value;
	} parts[] = {{"free", node->free}, {"file", node->file}, {"anon", node->anon}};
	char field[32];

	snprintf(field, sizeof(field), "%s.total", name);
	limit(agent, field, node->total, most, whose);
	for (unsigned i = 0; i < 3; i++) {
		snprintf(field, sizeof(field), "%s.%s", name, parts[i].name);
		limit(agent, field, parts[i].value,
			node->total == REPORT_UNKNOWN ? most : node->total, "the node has");
	}
}

static void check_psi(struct agent *agent, const char *name, const struct report_psi *psi)
{
	char field[32];

	snprintf(field, sizeof(field), "%s.some10", name);
	limit(agent, field, psi->some10, 10000, "all of the time");
	snprintf(field, sizeof(field), "%s.full10", name);
	limit(agent, field, psi->full10, 10000, "all of the time");
	snprintf(field, sizeof(field), "%s.some_us", name);
	limit(agent, field, psi->some_us, INT64_MAX, "a clock can show");
	snprintf(field, sizeof(field), "%s.full_us", name);
	limit(agent, field, psi->full_us, INT64_MAX, "a clock can show");
}

/* Texts are the guest's processes' own choice: made printable, not held against the agent. */
static void check_top(struct agent *agent, const struct truth *truth)
{
	struct report *r = &agent->report;

	for (unsigned i = 0; i < r->top_count; i++) {
		char field[32];

		r->top[i].comm[REPORT_COMM - 1] = '\0';
		printable_text(r->top[i].comm, false);
		snprintf(field, sizeof(field), "top[%u].far", i);
		limit(agent, field, r->top[i].far, truth->far, "the far window");
	}
}

static void check_numbers(struct agent *agent, const struct truth *truth)
{
	const struct report *r = &agent->report;

	check_psi(agent, "memory", &r->memory);
	check_psi(agent, "io", &r->io);
	check_node(agent, "far", &r->far, truth->far, "the far window");
	check_node(agent, "local", &r->local, truth->local, "the guest's pinned memory");
	limit(agent, "swiotlb_total", r->swiotlb_total, truth->local, "the guest's pinned memory");
	limit(agent, "swiotlb_used", r->swiotlb_used, r->swiotlb_total, "swiotlb_total");
	limit(agent, "swiotlb_high", r->swiotlb_high, r->swiotlb_total, "swiotlb_total");
	limit(agent, "refaults", r->refaults, INT64_MAX, "could have been");
	limit(agent, "major_faults", r->major_faults, INT64_MAX, "could have been");
	limit(agent, "hints_stale", r->hints_stale, INT64_MAX, "could have been");
	limit(agent, "uptime_ns", r->uptime_ns,
		truth->uptime + truth->uptime / 64 + 2 * CLOCK_SECOND, "the VMM has run");
	/* Up to the budget it may be behind: what the VMM had to drop is sent again. */
	limit(agent, "pinned", r->pinned, agent->budget * PAGE, "the VMM lets it pin");
	check_top(agent, truth);
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Returns the bytes, at most size of them stored; -1: no such text. */
static int decode(const char *text, uint8_t *out, size_t size)
{
	size_t length = strlen(text);

	if (length % 2 || length / 2 > DOORBELL_REPORT_MAX)
		return -1;
	for (size_t i = 0; i < length / 2; i++) {
		int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return -1;
		if (i < size)
			out[i] = (uint8_t)(high << 4 | low);
	}
	return (int)(length / 2);
}

/* Sets has_report, or a problem and the state that an agent with such a report is in. */
static enum agent_state check_report(struct agent *agent, int bytes, const struct truth *truth)
{
	struct report *r = &agent->report;
	enum agent_state wrong = AGENT_LYING;

	r->agent[sizeof(r->agent) - 1] = '\0';
	printable_text(r->agent, false);
	if (bytes < 8 || r->magic != REPORT_MAGIC) {
		lie(agent, "its report of %d bytes does not begin as one", bytes);
	} else if (r->version < REPORT_VERSION) {
		wrong = AGENT_OLD;
		lie(agent, "its report is of version %u, and version %u is read here", r->version,
			REPORT_VERSION);
	} else if (r->version > REPORT_VERSION) {
		wrong = AGENT_NEW;
		lie(agent, "its report is of version %u, and version %u is read here", r->version,
			REPORT_VERSION);
	} else if (bytes != (int)sizeof(*r) || r->size != sizeof(*r)) {
		lie(agent, "size is %u in a report of %d bytes, and version %u has %zu", r->size,
			bytes, REPORT_VERSION, sizeof(*r));
	} else if (r->top_count > REPORT_TOP) {
		lie(agent, "top_count is %u, and there are %u", r->top_count, REPORT_TOP);
	} else {
		check_numbers(agent, truth);
	}
	agent->has_report = !agent->problem[0];
	return agent->has_report ? AGENT_ALIVE : wrong;
}

static bool vmm_state(const char *name, enum agent_state *state)
{
	for (*state = AGENT_NONE; *state <= AGENT_ENDED; ++*state)
		if (name && !strcmp(name, agent_name(*state)))
			return true;
	return false;
}

int agent_read(const json_t *answer, const json_t *status, struct agent *agent)
{
	const char *state = json_string_value(json_object_get(answer, "state"));
	const char *hex = json_string_value(json_object_get(answer, "report"));
	const struct truth truth = {
		.far = number(json_object_get(status, "far"), "pages") * PAGE,
		.local = number(status, "pinned_bytes"),
		.uptime = number(status, "uptime_ns"),
	};
	enum agent_state found;
	int bytes;

	*agent = (struct agent){.session = number(answer, "session"),
		.age_ns = number(answer, "age_ns"),
		.pinned = number(answer, "pinned"),
		.budget = number(answer, "budget"),
		.queued = number(answer, "queued"),
		.message = number(answer, "message"),
		.replied = number(answer, "replied")};
	bytes = hex ? decode(hex, (uint8_t *)&agent->report, sizeof(agent->report)) : -1;
	if (!vmm_state(state, &agent->state) || bytes < 0)
		return error_set(ERROR_FAILED, "the VMM's answer to 'agent' is malformed. Are "
					       "annex and the guest's VMM of "
					       "one version? annex version, annex guest show");
	if (!bytes)
		return 0;
	found = check_report(agent, bytes, &truth);
	if (agent->state == AGENT_ALIVE)
		agent->state = found;
	return 0;
}

int agent_ask(virDomainPtr domain, const json_t *status, struct agent *agent)
{
	json_t *answer = NULL;
	int code = manage_ask(domain, "agent", &answer);

	if (code == ERROR_FAILED && strstr(error_text(), "no such command")) {
		error_clear();
		*agent = (struct agent){.state = AGENT_NO_DOORBELL};
		return 0;
	}
	if (!code)
		code = agent_read(answer, status, agent);
	json_decref(answer);
	return code;
}

const char *agent_name(enum agent_state state)
{
	static const char *const names[] = {
		[AGENT_NO_DOORBELL] = "no-doorbell",
		[AGENT_NONE] = "none",
		[AGENT_ALIVE] = "alive",
		[AGENT_SILENT] = "silent",
		[AGENT_ENDED] = "ended",
		[AGENT_OLD] = "old",
		[AGENT_NEW] = "new",
		[AGENT_LYING] = "lying",
	};

	return names[state];
}

void agent_advice(const struct agent *agent, char *out, size_t size)
{
	double seconds = (double)agent->age_ns / CLOCK_SECOND;

	switch (agent->state) {
	case AGENT_NO_DOORBELL:
		snprintf(out, size,
			"the VMM is of a version that knows no agent. Define the guest "
			"again (annex guest define) and start it anew");
		break;
	case AGENT_NONE:
		snprintf(out, size,
			"no agent has come since the guest started. In the guest: apt "
			"install annex-agent; systemctl start annex-agent");
		break;
	case AGENT_ALIVE:
		snprintf(out, size, "heard %.1f s ago%s", seconds,
			!agent->has_report ? ", no report yet"
			: agent->report.pinned != REPORT_UNKNOWN &&
					agent->report.pinned >
						(agent->pinned + agent->queued) * PAGE
				? ", it takes more for pinned than the VMM holds: no frame or "
				  "server "
				  "was free for the rest, which is sent again"
				: "");
		break;
	case AGENT_SILENT:
		snprintf(out, size,
			"silent for %.1f s: it stands still or was killed. Its pins end "
			"%llu s after its last word. In the guest: systemctl status "
			"annex-agent",
			seconds, DOORBELL_LEASE_NS / CLOCK_SECOND);
		break;
	case AGENT_ENDED:
		snprintf(out, size,
			"it ended, heard %.1f s ago; nothing is pinned. In the guest: "
			"systemctl start annex-agent",
			seconds);
		break;
	case AGENT_OLD:
		snprintf(out, size,
			"%s: the guest's numbers are not known, and it may not know every "
			"hint. Upgrade annex-agent in the guest",
			agent->problem);
		break;
	case AGENT_NEW:
		snprintf(out, size, "%s. Upgrade annex-tools here", agent->problem);
		break;
	case AGENT_LYING:
		snprintf(out, size,
			"its report contradicts the VMM: %s. None of it is believed. Who "
			"is root in the guest? systemctl restart annex-agent there",
			agent->problem);
		break;
	}
}
