/* SPDX-License-Identifier: MIT */
/* The part of the report that the kernel's own counters fill; report_fill.h says what unknown looks like. */
#ifndef ANNEX_AGENT_REPORT_KERNEL_H
#define ANNEX_AGENT_REPORT_KERNEL_H

#include <annex/report.h>

/* name: "memory" or "io". */
void report_kernel_pressure(const char *root, const char *name, struct report_psi *psi);

void report_kernel_vmstat(const char *root, struct report *report);

/*
 * Bytes; debugfs. Linux before 6.4 keeps no high-water mark: then it is the most that *seen has been; give
 * the same one, 0 at first, at each call.
 */
void report_kernel_swiotlb(const char *root, uint64_t *seen, struct report *report);

#endif
