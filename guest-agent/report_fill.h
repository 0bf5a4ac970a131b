/* SPDX-License-Identifier: MIT */
/*
 * The once-a-second report (annex/report.h): what the guest's kernel knows, what the daemon says about
 * itself, and which processes the remote fills are for.
 *
 * The daemon calls, in this order and from one thread:
 *   report_fill_total()    with each DOORBELL_BEAT
 *   report_fill_samples()  with each DOORBELL_SAMPLE, some times a second
 *   report_fill_scan()     some times a second: goes on looking for the samples' processes, as far as
 *                          the budget has grown since the last call
 *   report_fill()          once a second, before PUT and COMMIT
 * Nothing here touches the processes' memory, only what the kernel tells about it.
 */
#ifndef ANNEX_AGENT_REPORT_FILL_H
#define ANNEX_AGENT_REPORT_FILL_H

#include <stddef.h>
#include <stdint.h>

#include <annex/report.h>

struct report_state;

struct report_config {
	const char
		*root; /* "" for the running system; a directory that stands for / in tests. Kept */
	uint64_t far_base; /* HELLO's w1, bytes */
	uint64_t far_pages; /* HELLO's w2 */
	uint32_t scan_pages; /* page table entries looked at per second; 0: REPORT_SCAN_PAGES */
};

#define REPORT_SCAN_PAGES     262144u /* 1 GiB of address space, some 10 ms of one CPU */
#define REPORT_SCAN_PAGES_MAX 16777216u

/* What only the daemon knows; copied into the report as it is. */
struct report_own {
	const char *version;
	uint64_t uptime_ns;
	uint64_t pinned; /* bytes */
	uint64_t hints_stale;
	uint32_t policies;
	uint32_t targets;
};

/* NULL without memory. The window may change with a new session: report_fill_window(). */
struct report_state *report_fill_new(const struct report_config *config);
void report_fill_free(struct report_state *state);
void report_fill_window(struct report_state *state, uint64_t far_base, uint64_t far_pages);

/* All remote fills so far (BEAT's w5, any value at first): tells how many fills one sample stands for. */
void report_fill_total(struct report_state *state, uint64_t fills);

/* Addresses of pages just filled (SAMPLE's w1..w9). Those outside the window are ignored. */
void report_fill_samples(struct report_state *state, const uint64_t *address, unsigned count);

/* now_ns: CLOCK_MONOTONIC, never smaller than in the call before. */
void report_fill_scan(struct report_state *state, uint64_t now_ns);

/* All of *report is written; what the kernel does not tell is REPORT_UNKNOWN (UINT32_MAX for shares). */
void report_fill(struct report_state *state, const struct report_own *own, uint64_t now_ns,
	struct report *report);

#endif
