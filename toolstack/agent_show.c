/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include "toolstack/agent_show.h"
#include "toolstack/output.h"
#include "toolstack/size.h"

#define PAGE 4096u

static json_t *known(uint64_t value)
{
	return value == REPORT_UNKNOWN ? json_null() : json_integer((json_int_t)value);
}

static json_t *psi_json(const struct report_psi *psi)
{
	return json_pack("{s:f,s:f,s:o,s:o}", "some10", psi->some10 / 100.0, "full10",
		psi->full10 / 100.0, "some_us", known(psi->some_us), "full_us",
		known(psi->full_us));
}

static json_t *node_json(const struct report_node *node)
{
	return json_pack("{s:o,s:o,s:o,s:o}", "total", known(node->total), "free",
		known(node->free), "file", known(node->file), "anon", known(node->anon));
}

static json_t *top_json(const struct report *r)
{
	json_t *top = json_array();

	for (unsigned i = 0; i < r->top_count; i++)
		json_array_append_new(
			top, json_pack("{s:I,s:s,s:f,s:o}", "pid", (json_int_t)r->top[i].pid,
				     "comm", r->top[i].comm, "fills_per_s", r->top[i].fills / 100.0,
				     "far", known(r->top[i].far)));
	return top;
}

static json_t *report_json(const struct report *r)
{
	return json_pack(
		"{s:s,s:i,s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:{s:o,s:o,s:o},s:o,s:o,s:I,s:I,s:o}",
		"agent", r->agent, "version", (int)r->version, "sequence", (json_int_t)r->sequence,
		"uptime_ns", known(r->uptime_ns), "memory", psi_json(&r->memory), "io",
		psi_json(&r->io), "refaults", known(r->refaults), "major_faults",
		known(r->major_faults), "far", node_json(&r->far), "swiotlb", "total",
		known(r->swiotlb_total), "used", known(r->swiotlb_used), "high",
		known(r->swiotlb_high), "local", node_json(&r->local), "pinned", known(r->pinned),
		"policies", (json_int_t)r->policies, "targets", (json_int_t)r->targets, "top",
		top_json(r));
}

json_t *agent_show_json(const struct agent *agent)
{
	char advice[400];
	json_t *report = agent->has_report ? report_json(&agent->report) : json_null();

	if (agent->has_report)
		json_object_set_new(report, "hints_stale", known(agent->report.hints_stale));
	agent_advice(agent, advice, sizeof(advice));
	return json_pack("{s:s,s:s,s:s*,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "state",
		agent_name(agent->state), "advice", advice, "problem",
		agent->problem[0] ? agent->problem : NULL, "session", (json_int_t)agent->session,
		"age_ns", (json_int_t)agent->age_ns, "pinned", (json_int_t)agent->pinned, "budget",
		(json_int_t)agent->budget, "queued", (json_int_t)agent->queued, "message",
		(json_int_t)agent->message, "replied", (json_int_t)agent->replied, "report",
		report);
}

static const char *size_known(uint64_t bytes, char *out)
{
	return bytes == REPORT_UNKNOWN ? "?" : size_text(bytes, out);
}

static const char *count_known(uint64_t value, char *out)
{
	if (value == REPORT_UNKNOWN)
		return "?";
	snprintf(out, SIZE_TEXT_MAX, "%llu", (unsigned long long)value);
	return out;
}

static void print_node(const char *head, const struct report_node *node)
{
	char total[SIZE_TEXT_MAX], vacant[SIZE_TEXT_MAX], file[SIZE_TEXT_MAX], anon[SIZE_TEXT_MAX];

	printf("%s%s, %s free, %s page cache, %s of processes\n", head,
		size_known(node->total, total), size_known(node->free, vacant),
		size_known(node->file, file), size_known(node->anon, anon));
}

static void print_report(const struct report *r)
{
	char a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX], c[SIZE_TEXT_MAX];

	printf("pressure:    memory %.2f %% some, %.2f %% full; io %.2f %% some, %.2f %% full "
	       "(10 s)\n",
		r->memory.some10 / 100.0, r->memory.full10 / 100.0, r->io.some10 / 100.0,
		r->io.full10 / 100.0);
	printf("faults:      %s major, %s refaults since the guest's boot\n",
		count_known(r->major_faults, a), count_known(r->refaults, b));
	print_node("far node:    ", &r->far);
	print_node("local node:  ", &r->local);
	printf("swiotlb:     %s of %s, at most %s so far\n", size_known(r->swiotlb_used, a),
		size_known(r->swiotlb_total, b), size_known(r->swiotlb_high, c));
	printf("policies:    %u, applied to %u now; %s hints stale\n", r->policies, r->targets,
		count_known(r->hints_stale, a));
}

static void print_top(const struct report *r)
{
	struct output_table *table = output_table_new(4);
	static const char *const heads[] = {"PID", "PROCESS", "FILLS/s", "FAR"};
	char far[SIZE_TEXT_MAX];

	for (unsigned i = 0; i < 4; i++)
		output_table_cell(table, "%s", heads[i]);
	for (unsigned i = 0; i < r->top_count; i++) {
		output_table_cell(table, "%u", r->top[i].pid);
		output_table_cell(table, "%s", r->top[i].comm);
		output_table_cell(table, "%.2f", r->top[i].fills / 100.0);
		output_table_cell(table, "%s", size_known(r->top[i].far, far));
	}
	putchar('\n');
	output_table_end(table);
}

void agent_show_text(const struct agent *agent, bool top)
{
	char advice[400], pinned[SIZE_TEXT_MAX], budget[SIZE_TEXT_MAX], queued[SIZE_TEXT_MAX];

	agent_advice(agent, advice, sizeof(advice));
	printf("agent:       %s%s%s: %s\n", agent_name(agent->state), agent->has_report ? " " : "",
		agent->has_report ? agent->report.agent : "", advice);
	if (agent->state != AGENT_NO_DOORBELL && agent->state != AGENT_NONE)
		printf("pins:        %s of %s, %s queued\n",
			size_text(agent->pinned * PAGE, pinned),
			size_text(agent->budget * PAGE, budget),
			size_text(agent->queued * PAGE, queued));
	if (!agent->has_report)
		return;
	print_report(&agent->report);
	if (top)
		print_top(&agent->report);
}
