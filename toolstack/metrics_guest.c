/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include "toolstack/agent.h"
#include "toolstack/metrics_guest.h"

#define PAGE   4096.0
#define SECOND 1e9

struct context {
	struct metrics *metrics;
	const char *guest;
};

static double value_of(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void gauge(const struct context *c, const char *name, const char *help, double value)
{
	metrics_add(c->metrics, name, "gauge", help, "", value, "guest", c->guest, NULL);
}

/* A number that the guest does not know is null, and no sample. */
static void known(const struct context *c, const char *name, const char *type, const char *help,
	const json_t *object, const char *key, double unit)
{
	if (json_is_number(json_object_get(object, key)))
		metrics_add(c->metrics, name, type, help, "", value_of(object, key) * unit, "guest",
			c->guest, NULL);
}

static void known_kind(const struct context *c, const char *name, const char *help,
	const json_t *object, const char *key, const char *label, const char *value)
{
	if (!json_is_number(json_object_get(object, key)))
		return;
	if (label)
		metrics_add(c->metrics, name, "gauge", help, "", value_of(object, key), "guest",
			c->guest, label, value, "kind", key, NULL);
	else
		metrics_add(c->metrics, name, "gauge", help, "", value_of(object, key), "guest",
			c->guest, "kind", key, NULL);
}

static void state_set(const struct context *c, const char *name, const char *help,
	const char *state, const char *const *states, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		metrics_add(c->metrics, name, "gauge", help, "", !strcmp(state, states[i]), "guest",
			c->guest, "state", states[i], NULL);
}

static void pages(const struct context *c, const json_t *far)
{
	static const char *const states[] = {"zero", "remote", "filling", "resident", "unsettled",
		"victim_clean", "victim_dirty", "cleaning", "moving"};

	gauge(c, "annex_far_window_bytes", "Size of the far window.",
		value_of(far, "pages") * PAGE);
	for (unsigned i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		metrics_add(c->metrics, "annex_far_pages", "gauge", "Far pages by state.", "",
			value_of(far, states[i]), "guest", c->guest, "state", states[i], NULL);
}

static void servers(const struct context *c, const json_t *list)
{
	const json_t *server;
	size_t i;

	json_array_foreach(list, i, server)
	{
		const char *name = text_of(server, "name"), *address = text_of(server, "address");

		metrics_add(c->metrics, "annex_server_ready", "gauge",
			"Whether the memory server can be used.", "",
			!strcmp(text_of(server, "state"), "ready"), "guest", c->guest, "server",
			name, "address", address, NULL);
		metrics_add(c->metrics, "annex_server_rtt_seconds", "gauge",
			"Round trip to the memory server.", "", value_of(server, "rtt_ns") / SECOND,
			"guest", c->guest, "server", name, "address", address, NULL);
		metrics_add(c->metrics, "annex_server_reconnects_total", "counter",
			"Connections made anew to the memory server.", "",
			value_of(server, "reconnects"), "guest", c->guest, "server", name,
			"address", address, NULL);
	}
}

static void status(const struct context *c, const json_t *s)
{
	static const char *const states[] = {"booting", "running", "stalled", "stopped", "refused"};
	const json_t *frames = json_object_get(s, "frames"),
		     *extents = json_object_get(s, "extents");

	state_set(c, "annex_vmm_state", "State of the VMM; 1 for the one that it is in.",
		text_of(s, "state"), states, sizeof(states) / sizeof(states[0]));
	metrics_add(c->metrics, "annex_vmm_info", "gauge", "Version of the VMM.", "", 1, "guest",
		c->guest, "version", text_of(s, "version"), NULL);
	gauge(c, "annex_vmm_uptime_seconds", "Time since the VMM started.",
		value_of(s, "uptime_ns") / SECOND);
	if (!json_object_get(s, "far"))
		return; /* it has stopped, and says no more */
	pages(c, json_object_get(s, "far"));
	gauge(c, "annex_guest_cpus", "CPUs of the guest.", value_of(s, "cpus"));
	gauge(c, "annex_pcache_frames", "Frames of the page cache.", value_of(frames, "total"));
	gauge(c, "annex_pcache_frames_free", "Free frames of the page cache.",
		value_of(frames, "free"));
	gauge(c, "annex_extents", "Extents of the far window.", value_of(extents, "total"));
	gauge(c, "annex_extents_leased", "Extents that memory servers hold.",
		value_of(extents, "leased"));
	gauge(c, "annex_extents_lost", "Extents whose last copy is lost.",
		value_of(extents, "lost"));
	gauge(c, "annex_pinned_memory_bytes", "The guest's pinned memory.",
		value_of(s, "pinned_bytes"));
	gauge(c, "annex_vmm_memory_bytes", "Memory that the VMM keeps for itself.",
		value_of(s, "vmm_bytes"));
	servers(c, json_object_get(s, "servers"));
}

static void counters(const struct context *c, json_t *groups)
{
	json_t *group, *number;
	const char *room, *counter;

	json_object_foreach(groups, room, group)
	{
		json_object_foreach(group, counter, number)
		{
			char name[128], help[160];

			if (!json_is_number(number))
				continue;
			/* The one that is no counter. */
			if (!strcmp(counter, "longest_turn_ns")) {
				gauge(c, "annex_service_longest_turn_seconds",
					"The longest turn of the service loop since hand-off.",
					json_number_value(number) / SECOND);
				continue;
			}
			if (snprintf(name, sizeof(name), "annex_%s_%s_total", room, counter) >=
				(int)sizeof(name))
				continue;
			snprintf(help, sizeof(help), "Counter %s of the VMM's part %s.", counter,
				room);
			metrics_add(c->metrics, name, "counter", help, "",
				json_number_value(number), "guest", c->guest, NULL);
		}
	}
}

static void stage(const struct context *c, const char *fill, const char *stage, const json_t *h)
{
	static const char *const keys[] = {"p50", "p99", "p999"}, *const quantiles[] = {
									  "0.5", "0.99", "0.999"};
	static const char name[] = "annex_fill_duration_seconds",
			  help[] = "Time of fills by stage, since the VMM started.";

	for (unsigned i = 0; i < 3; i++)
		metrics_add(c->metrics, name, "summary", help, "", value_of(h, keys[i]) / SECOND,
			"guest", c->guest, "fill", fill, "stage", stage, "quantile", quantiles[i],
			NULL);
	metrics_add(c->metrics, name, "summary", help, "_count", value_of(h, "count"), "guest",
		c->guest, "fill", fill, "stage", stage, NULL);
	metrics_add(c->metrics, "annex_fill_duration_max_seconds", "gauge",
		"The longest fill by stage, since the VMM started.", "",
		value_of(h, "max") / SECOND, "guest", c->guest, "fill", fill, "stage", stage, NULL);
}

static void histogram(const struct context *c, json_t *fills)
{
	const char *fill, *name;
	json_t *stages, *h;

	json_object_foreach(fills, fill, stages) json_object_foreach(stages, name, h)
		stage(c, fill, name, h);
}

static void pressure(const struct context *c, const char *resource, const json_t *psi)
{
	static const char *const kinds[] = {"some", "full"};

	for (unsigned i = 0; i < 2; i++) {
		char average[16], total[16];

		snprintf(average, sizeof(average), "%s10", kinds[i]);
		snprintf(total, sizeof(total), "%s_us", kinds[i]);
		metrics_add(c->metrics, "annex_guest_pressure_ratio", "gauge",
			"Share of the last 10 s in which some, or all, tasks waited.", "",
			value_of(psi, average) / 100, "guest", c->guest, "resource", resource,
			"kind", kinds[i], NULL);
		if (json_is_number(json_object_get(psi, total)))
			metrics_add(c->metrics, "annex_guest_pressure_seconds_total", "counter",
				"Time in which some, or all, tasks waited.", "",
				value_of(psi, total) / 1e6, "guest", c->guest, "resource", resource,
				"kind", kinds[i], NULL);
	}
}

/* Two processes of one name are one sample: a pid would be a new series with every process. */
static void processes(const struct context *c, const json_t *top)
{
	for (size_t i = 0; i < json_array_size(top); i++) {
		const char *comm = text_of(json_array_get(top, i), "comm");
		double fills = 0;
		bool before = false;

		for (size_t j = 0; j < json_array_size(top); j++) {
			const json_t *other = json_array_get(top, j);

			if (strcmp(comm, text_of(other, "comm")))
				continue;
			before |= j < i;
			fills += value_of(other, "fills_per_s");
		}
		if (!before)
			metrics_add(c->metrics, "annex_guest_process_fills_per_second", "gauge",
				"Remote fills of the processes that have most, estimated by the "
				"agent.",
				"", fills, "guest", c->guest, "process", comm, NULL);
	}
}

static void report(const struct context *c, const json_t *r)
{
	static const char *const nodes[] = {"far", "local"},
				 *const parts[] = {"total", "free", "file", "anon"},
				 *const bounce[] = {"total", "used", "high"};

	pressure(c, "memory", json_object_get(r, "memory"));
	pressure(c, "io", json_object_get(r, "io"));
	known(c, "annex_guest_refaults_total", "counter", "Refaults since the guest's boot.", r,
		"refaults", 1);
	known(c, "annex_guest_major_faults_total", "counter",
		"Major faults since the guest's boot.", r, "major_faults", 1);
	for (unsigned n = 0; n < 2; n++)
		for (unsigned p = 0; p < 4; p++)
			known_kind(c, "annex_guest_memory_bytes", "The guest's memory by node.",
				json_object_get(r, nodes[n]), parts[p], "node", nodes[n]);
	for (unsigned p = 0; p < 3; p++)
		known_kind(c, "annex_guest_swiotlb_bytes", "The guest's DMA bounce buffers.",
			json_object_get(r, "swiotlb"), bounce[p], NULL, NULL);
	known(c, "annex_agent_policies", "gauge", "Policies of the agent.", r, "policies", 1);
	known(c, "annex_agent_targets", "gauge", "Processes and cgroups that policies apply to.", r,
		"targets", 1);
	known(c, "annex_agent_hints_stale_total", "counter",
		"Hints dropped because the memory had moved.", r, "hints_stale", 1);
	processes(c, json_object_get(r, "top"));
}

static void agent(const struct context *c, const json_t *a)
{
	const char *names[AGENT_LYING + 1], *state = text_of(a, "state");

	for (unsigned i = 0; i <= AGENT_LYING; i++)
		names[i] = agent_name(i);
	state_set(c, "annex_agent_state",
		"State of the guest's agent; 1 for the one that it is in.", state, names,
		AGENT_LYING + 1);
	if (!strcmp(state, agent_name(AGENT_NO_DOORBELL)) || !strcmp(state, agent_name(AGENT_NONE)))
		return;
	known(c, "annex_agent_age_seconds", "gauge", "Time since the agent's last request.", a,
		"age_ns", 1 / SECOND);
	known(c, "annex_agent_pinned_bytes", "gauge", "Far memory pinned, by the VMM's count.", a,
		"pinned", PAGE);
	known(c, "annex_agent_budget_bytes", "gauge", "Most far memory that may be pinned.", a,
		"budget", PAGE);
	known(c, "annex_agent_queued_bytes", "gauge", "Far memory of hints not dealt with yet.", a,
		"queued", PAGE);
	/* The last words of one that is silent are no measurement of now. */
	if (!strcmp(state, agent_name(AGENT_ALIVE)) && json_is_object(json_object_get(a, "report")))
		report(c, json_object_get(a, "report"));
}

void metrics_guest(struct metrics *metrics, const json_t *guest)
{
	const struct context c = {metrics, text_of(guest, "name")};
	const json_t *s = json_object_get(guest, "status");

	gauge(&c, "annex_up", "Whether the guest's VMM answered.", json_is_object(s));
	gauge(&c, "annex_guest_running", "Whether the guest's domain is active.",
		json_is_true(json_object_get(guest, "running")));
	metrics_add(metrics, "annex_guest_info", "gauge", "The guest's domain.", "", 1, "guest",
		c.guest, "uuid", text_of(guest, "uuid"), NULL);
	if (!json_is_object(s))
		return;
	status(&c, s);
	counters(&c, json_object_get(guest, "counters"));
	histogram(&c, json_object_get(guest, "histogram"));
	if (json_is_object(json_object_get(guest, "agent")))
		agent(&c, json_object_get(guest, "agent"));
}
