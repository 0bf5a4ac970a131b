/* SPDX-License-Identifier: MIT */
/*
 * Whose pages are filled: pages of recent remote fills (samples) are looked up in the page tables of all
 * processes (/proc/PID/maps and pagemap), one process after the other, round after round, within a budget.
 * A sample is looked for until every process was looked at once after it came, and counts for the first
 * process that has its page, so all processes' sum never exceeds what was filled.
 */
#ifndef ANNEX_AGENT_REPORT_SCAN_H
#define ANNEX_AGENT_REPORT_SCAN_H

#include <stdint.h>

#include <annex/report.h>

struct report_scan;

#define REPORT_SCAN_SAMPLES   4096u /* kept; the oldest of a bucket makes room */
#define REPORT_SCAN_PROCESSES 128u /* with fills; the one with fewest makes room */

/* root is kept. NULL: no memory. */
struct report_scan *report_scan_new(const char *root);
void report_scan_free(struct report_scan *scan);

/* Page frame numbers. Forgets all samples. */
void report_scan_window(struct report_scan *scan, uint64_t first, uint64_t pages);

/* One sample, which stands for weight fills. Outside the window it is ignored. */
void report_scan_sample(struct report_scan *scan, uint64_t pfn, uint32_t weight);

/*
 * Goes on with the round until budget entries are spent. A page table entry costs 1, unpopulated ones an
 * eighth, a mapping 8, a process 64; what was spent over the budget (at most REPORT_SCAN_OVER) is returned.
 * Does nothing while no sample is looked for and no process has fills.
 */
#define REPORT_SCAN_OVER 2048u
uint32_t report_scan_step(struct report_scan *scan, uint32_t budget, uint64_t now_ns);

/* Lets estimates fade to now_ns and writes those that are left, largest first. Returns how many. */
unsigned report_scan_top(
	struct report_scan *scan, uint64_t now_ns, struct report_process top[REPORT_TOP]);

#endif
