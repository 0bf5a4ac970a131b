/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "annex/version.h"
#include "boot/config.h"
#include "fabric/session.h"
#include "lib/log.h"
#include "lib/text.h"
#include "service/doorbell.h"
#include "service/emit.h"
#include "service/manage.h"
#include "service/view.h"
#include "virt/virt.h"

static const char *const state_names[] = {
	[VIEW_BOOTING] = "booting",
	[VIEW_RUNNING] = "running",
	[VIEW_STALLED] = "stalled",
	[VIEW_STOPPED] = "stopped",
};

static void view_far(const struct view *v, struct emit *e)
{
	struct far_states states = {0};
	uint64_t pages;

	if (v->far)
		far_states(v->far, &states);
	pages = states.zero + states.remote + states.filling + states.resident + states.unsettled +
		states.victim_clean + states.victim_dirty + states.cleaning + states.moving;
	emit_open(e, "far", '{');
	emit_number(e, "base", v->far_base);
	emit_number(e, "pages", pages);
	emit_number(e, "zero", states.zero);
	emit_number(e, "remote", states.remote);
	emit_number(e, "filling", states.filling);
	emit_number(e, "resident", states.resident);
	emit_number(e, "unsettled", states.unsettled);
	emit_number(e, "victim_clean", states.victim_clean);
	emit_number(e, "victim_dirty", states.victim_dirty);
	emit_number(e, "cleaning", states.cleaning);
	emit_number(e, "moving", states.moving);
	emit_close(e, '}');
}

static void view_frames(const struct view *v, struct emit *e)
{
	uint32_t total = 0, free = 0, low = 0, high = 0;

	if (v->far)
		far_frames(v->far, &total, &free, &low, &high);
	emit_open(e, "frames", '{');
	emit_number(e, "total", total);
	emit_number(e, "free", free);
	emit_number(e, "low", low);
	emit_number(e, "high", high);
	emit_close(e, '}');
}

static void view_extents(const struct view *v, struct emit *e)
{
	uint32_t total = 0, leased = 0, lost = 0;

	if (v->far)
		far_extents(v->far, &total, &leased, &lost);
	emit_open(e, "extents", '{');
	emit_number(e, "total", total);
	emit_number(e, "leased", leased);
	emit_number(e, "lost", lost);
	emit_close(e, '}');
}

static void view_server(const struct view *v, struct emit *e, unsigned server)
{
	const struct config_server *c = &v->config->server[server];
	struct session_info info = {0};
	char address[24];

	if (server < v->sessions)
		session_info(v->session[server], &info);
	text_format(address, sizeof(address), "%u.%u.%u.%u:%u", c->address >> 24,
		c->address >> 16 & 255, c->address >> 8 & 255, c->address & 255, c->port);
	emit_open(e, NULL, '{');
	emit_string(e, "name", c->name);
	emit_string(e, "address", address);
	emit_string(e, "state", session_state_name(info.state));
	emit_number(e, "since_ns", info.since);
	emit_number(e, "rtt_ns", info.rtt);
	emit_number(e, "mtu", info.mtu);
	emit_number(e, "reconnects", info.reconnects);
	emit_close(e, '}');
}

static const char *view_status(const struct view *v, struct emit *e, const char *argument)
{
	emit_string(e, "version", ANNEX_VERSION);
	emit_number(e, "uptime_ns", v->now);
	emit_string(e, "state", state_names[v->state]);
	emit_string(e, "reason", v->reason);
	emit_number(e, "cpus", v->cpus);
	view_far(v, e);
	view_frames(v, e);
	view_extents(v, e);
	emit_number(e, "pinned_bytes", v->pinned_bytes);
	emit_number(e, "vmm_bytes", v->vmm_bytes);
	emit_open(e, "servers", '[');
	for (unsigned i = 0; i < v->config->servers; i++)
		view_server(v, e, i);
	emit_close(e, ']');
	return NULL;
}

static void far_part(const struct view *v, struct emit *e)
{
	const struct far_counters *c = v->far ? far_counters(v->far) : NULL;

	emit_open(e, "far", '{');
#define X(name, text) emit_number(e, #name, c ? c->name : 0);
	FAR_COUNTERS(X)
#undef X
	emit_close(e, '}');
}

static void fabric_part(const struct view *v, struct emit *e)
{
	const struct fabric_counters *c = v->fabric ? fabric_counters(v->fabric) : NULL;

	emit_open(e, "fabric", '{');
#define X(name, text) emit_number(e, #name, c ? c->name : 0);
	FABRIC_COUNTERS(X)
#undef X
	emit_close(e, '}');
}

static void nic_part(const struct view *v, struct emit *e)
{
	emit_open(e, "nic", '{');
#define X(name) emit_number(e, #name, v->nic->counters.name);
	NIC_COUNTERS(X)
#undef X
	emit_close(e, '}');
}

static void virt_part(struct emit *e)
{
	const char *name;
	uint64_t value;

	emit_open(e, "virt", '{');
	for (unsigned i = 0; virt_counter(i, &name, &value); i++)
		emit_number(e, name, value);
	emit_close(e, '}');
}

static void service_part(const struct view *v, struct emit *e)
{
	emit_open(e, "service", '{');
#define X(name, text) emit_number(e, #name, v->counters.name);
	SERVICE_COUNTERS(X)
#undef X
#define X(name, text) emit_number(e, #name, v->doorbell->counters.name);
	DOORBELL_COUNTERS(X)
#undef X
	emit_close(e, '}');
}

static const char *view_counters(const struct view *v, struct emit *e, const char *argument)
{
	far_part(v, e);
	fabric_part(v, e);
	nic_part(v, e);
	virt_part(e);
	service_part(v, e);
	return NULL;
}

static void view_stage(struct emit *e, const char *name, const struct histogram *h)
{
	static const struct histogram empty;

	if (!h)
		h = &empty;
	emit_open(e, name, '{');
	emit_number(e, "count", h->count);
	emit_number(e, "p50", histogram_at(h, 500));
	emit_number(e, "p99", histogram_at(h, 990));
	emit_number(e, "p999", histogram_at(h, 999));
	emit_number(e, "max", h->max);
	emit_close(e, '}');
}

static const char *view_histogram(const struct view *v, struct emit *e, const char *argument)
{
	static const char *const stages[FAR_STAGES] = {"queue", "wire", "map", "total"};
	const struct far_histograms *h = v->far ? far_histograms(v->far) : NULL;

	emit_open(e, "remote", '{');
	for (unsigned i = 0; i < FAR_STAGES; i++)
		view_stage(e, stages[i], h ? &h->remote[i] : NULL);
	emit_close(e, '}');
	emit_open(e, "zero", '{');
	view_stage(e, "total", h ? &h->zero : NULL);
	emit_close(e, '}');
	emit_open(e, "victim", '{');
	view_stage(e, "total", h ? &h->victim : NULL);
	emit_close(e, '}');
	return NULL;
}

/* Escaped, a byte is six at most; what stands behind the lines must fit too. */
#define LOG_MARGIN (6u * LOG_WIDTH + 64u)

static const char *view_log(const struct view *v, struct emit *e, const char *argument)
{
	uint64_t end = log_next(), first = end > LOG_LINES ? end - LOG_LINES : 0, from = first;
	char line[LOG_WIDTH];

	if (*argument && !text_number(argument, 10, &from))
		return "log wants the number of a line";
	if (from < first)
		from = first;
	emit_open(e, "lines", '[');
	for (; from < end && e->size - e->length > LOG_MARGIN; from++)
		if (log_line(from, line, sizeof(line)))
			emit_string(e, NULL, line);
	emit_close(e, ']');
	emit_number(e, "next", from < end ? from : end);
	return NULL;
}

static const char *agent_state(const struct doorbell *d, uint64_t age)
{
	if (d->state != DOORBELL_ALIVE)
		return d->state == DOORBELL_NONE ? "none" : "ended";
	return age >= DOORBELL_SILENT_NS ? "silent" : "alive";
}

static const char *view_agent(const struct view *v, struct emit *e, const char *argument)
{
	const struct doorbell *d = v->doorbell;
	uint64_t age = d->session && v->now > d->heard ? v->now - d->heard : 0;
	struct far_pins pins = {0};

	if (v->far)
		far_pins(v->far, &pins);
	emit_string(e, "state", agent_state(d, age));
	emit_number(e, "session", d->session);
	emit_number(e, "age_ns", age);
	emit_number(e, "pinned", pins.pinned);
	emit_number(e, "budget", pins.budget);
	emit_number(e, "queued", pins.queued);
	emit_number(e, "message", d->message);
	emit_number(e, "replied", d->replied);
	emit_hex(e, "report", d->report, d->report_length);
	return NULL;
}

static const char *view_tell(const struct view *v, struct emit *e, const char *text)
{
	size_t length = strlen(text), n;
	uint64_t message;

	if (!length)
		return "tell wants a text";
	for (size_t i = 0; i < length; i += n) {
		n = text_character(text + i, length - i);
		if (!n)
			return "tell wants printable text in UTF-8";
	}
	message = doorbell_tell(v->doorbell, text, length);
	if (!message)
		return "no agent speaks to the VMM; is annex-agent running in the guest?";
	emit_number(e, "message", message);
	return NULL;
}

static const char *view_reply(const struct view *v, struct emit *e, const char *argument)
{
	const struct doorbell *d = v->doorbell;

	emit_number(e, "message", d->replied);
	emit_text(e, "text", d->reply, d->reply_length);
	return NULL;
}

const char *view_end_answer(
	void *context, struct emit *result, const struct manage_request *request)
{
	const struct view_end *end = context;

	if (strcmp(request->command, "log") == 0)
		return view_log(NULL, result, request->argument);
	if (strcmp(request->command, "status") != 0)
		return "the VMM has stopped; there are status and log";
	if (*request->argument)
		return "this command takes no argument";
	emit_string(result, "version", ANNEX_VERSION);
	emit_number(result, "uptime_ns", end->now);
	emit_string(result, "state", end->state);
	emit_string(result, "reason", end->reason);
	return NULL;
}

const char *view_answer(void *context, struct emit *result, const struct manage_request *request)
{
	static const struct {
		const char *name;
		const char *(*view)(const struct view *v, struct emit *e, const char *argument);
		bool argument;
	} commands[] = {
		{"status", view_status, false},
		{"counters", view_counters, false},
		{"histogram", view_histogram, false},
		{"log", view_log, true},
		{"agent", view_agent, false},
		{"tell", view_tell, true},
		{"reply", view_reply, false},
	};

	for (unsigned i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(request->command, commands[i].name) != 0)
			continue;
		if (*request->argument && !commands[i].argument)
			return "this command takes no argument";
		return commands[i].view(context, result, request->argument);
	}
	return MANAGE_NO_COMMAND;
}
