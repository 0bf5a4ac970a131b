/* SPDX-License-Identifier: MIT */
#include "guest-agent/report_fill.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "guest-agent/nodes.h"
#include "guest-agent/report_kernel.h"
#include "guest-agent/report_scan.h"

#define PAGE_SHIFT 12u
#define SECOND_NS  1000000000ull

struct report_state {
	struct report_config config;
	struct report_scan *scan;
	int far_node; /* -1: not found yet */
	uint64_t swiotlb_seen;
	uint32_t sequence;
	/* What one sample stands for: fills / samples, both between the last two totals. */
	uint64_t fills;
	uint64_t samples;
	uint32_t weight;
	bool counted; /* fills is known */
	/* The scan's budget: what it may spend, and when that was computed. */
	uint64_t budget_ns;
	int64_t budget; /* negative: overspent */
};

struct report_state *report_fill_new(const struct report_config *config)
{
	struct report_state *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->config = *config;
	if (s->config.scan_pages == 0)
		s->config.scan_pages = REPORT_SCAN_PAGES;
	if (s->config.scan_pages > REPORT_SCAN_PAGES_MAX)
		s->config.scan_pages = REPORT_SCAN_PAGES_MAX;
	s->weight = 1;
	s->scan = report_scan_new(s->config.root);
	if (!s->scan) {
		free(s);
		return NULL;
	}
	report_fill_window(s, config->far_base, config->far_pages);
	return s;
}

void report_fill_free(struct report_state *state)
{
	if (!state)
		return;
	report_scan_free(state->scan);
	free(state);
}

void report_fill_window(struct report_state *state, uint64_t far_base, uint64_t far_pages)
{
	state->config.far_base = far_base;
	state->config.far_pages = far_pages;
	state->far_node = -1;
	report_scan_window(state->scan, far_base >> PAGE_SHIFT, far_pages);
}

void report_fill_total(struct report_state *state, uint64_t fills)
{
	uint64_t grown = state->counted && fills > state->fills ? fills - state->fills : 0;
	uint64_t weight = state->samples ? grown / state->samples : 0;

	state->weight = weight > UINT32_MAX ? UINT32_MAX : weight ? (uint32_t)weight : 1;
	state->fills = fills;
	state->samples = 0;
	state->counted = true;
}

void report_fill_samples(struct report_state *state, const uint64_t *address, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		report_scan_sample(state->scan, address[i] >> PAGE_SHIFT, state->weight);
	state->samples += count;
}

/* At most a second's worth at once, however long nobody called. */
void report_fill_scan(struct report_state *state, uint64_t now_ns)
{
	uint64_t passed = now_ns - state->budget_ns, most = state->config.scan_pages;

	if (state->budget_ns == 0) {
		state->budget_ns = now_ns;
		return;
	}
	if (passed > SECOND_NS)
		passed = SECOND_NS;
	uint64_t grown = passed * most / SECOND_NS;

	if (grown == 0)
		return;
	state->budget_ns = now_ns;
	state->budget += (int64_t)grown;
	if (state->budget <= 0)
		return;
	/* What is not spent is not saved up. */
	state->budget = -(int64_t)report_scan_step(state->scan, (uint32_t)state->budget, now_ns);
}

static void add_own(struct report *report, const struct report_own *own)
{
	strncpy(report->agent, own->version, sizeof(report->agent) - 1); /* fills with zeros */
	report->uptime_ns = own->uptime_ns;
	report->pinned = own->pinned;
	report->hints_stale = own->hints_stale;
	report->policies = own->policies;
	report->targets = own->targets;
}

void report_fill(struct report_state *state, const struct report_own *own, uint64_t now_ns,
	struct report *report)
{
	const char *root = state->config.root;

	memset(report, 0, sizeof(*report));
	report->magic = REPORT_MAGIC;
	report->version = REPORT_VERSION;
	report->size = sizeof(*report);
	report->sequence = ++state->sequence;
	add_own(report, own);
	report_kernel_pressure(root, "memory", &report->memory);
	report_kernel_pressure(root, "io", &report->io);
	report_kernel_vmstat(root, report);
	report_kernel_swiotlb(root, &state->swiotlb_seen, report);
	if (state->far_node < 0 && state->config.far_pages)
		state->far_node = nodes_far(root, state->config.far_base, state->config.far_pages);
	memset(&report->far, 0xff, sizeof(report->far)); /* REPORT_UNKNOWN */
	if (state->far_node >= 0)
		nodes_read(root, state->far_node, &report->far);
	nodes_others(root, state->far_node, &report->local);
	report->top_count = report_scan_top(state->scan, now_ns, report->top);
}
