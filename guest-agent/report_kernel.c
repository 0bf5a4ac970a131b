/* SPDX-License-Identifier: MIT */
#include "guest-agent/report_kernel.h"

#include <stdio.h>
#include <string.h>

#include "guest-agent/tree.h"

#define VMSTAT_MAX  32768u
#define SLAB_BYTES  2048u /* swiotlb's, IO_TLB_SHIFT */
#define SLABS_LIMIT (UINT64_MAX / SLAB_BYTES)

/* "some avg10=1.53 avg60=0.30 avg300=0.07 total=123456": false without such a line. */
static bool pressure_line(const char *text, const char *name, uint32_t *share, uint64_t *us)
{
	const char *line = strstr(text, name);
	unsigned whole, hundredths;
	unsigned long long total;

	if (!line || (line != text && line[-1] != '\n'))
		return false;
	if (sscanf(line + strlen(name), " avg10=%3u.%2u avg60=%*u.%*u avg300=%*u.%*u total=%19llu",
		    &whole, &hundredths, &total) != 3)
		return false;
	*share = whole * 100 + hundredths;
	*us = total;
	return true;
}

void report_kernel_pressure(const char *root, const char *name, struct report_psi *psi)
{
	char text[256];

	psi->some10 = psi->full10 = UINT32_MAX;
	psi->some_us = psi->full_us = REPORT_UNKNOWN;
	if (tree_readf(root, text, sizeof(text), "/proc/pressure/%s", name) <= 0)
		return;
	pressure_line(text, "some", &psi->some10, &psi->some_us);
	pressure_line(text, "full", &psi->full10, &psi->full_us);
}

void report_kernel_vmstat(const char *root, struct report *report)
{
	char text[VMSTAT_MAX];
	uint64_t anon, file;

	report->refaults = report->major_faults = REPORT_UNKNOWN;
	if (tree_read(root, "/proc/vmstat", text, sizeof(text)) <= 0)
		return;
	if (tree_field(text, "workingset_refault_anon", &anon) &&
		tree_field(text, "workingset_refault_file", &file))
		report->refaults = anon + file;
	if (!tree_field(text, "pgmajfault", &report->major_faults))
		report->major_faults = REPORT_UNKNOWN;
}

static uint64_t slabs(const char *root, const char *path)
{
	uint64_t n;

	return tree_number(root, path, &n) && n < SLABS_LIMIT ? n * SLAB_BYTES : REPORT_UNKNOWN;
}

void report_kernel_swiotlb(const char *root, uint64_t *seen, struct report *report)
{
	report->swiotlb_total = slabs(root, "/sys/kernel/debug/swiotlb/io_tlb_nslabs");
	report->swiotlb_used = slabs(root, "/sys/kernel/debug/swiotlb/io_tlb_used");
	report->swiotlb_high = slabs(root, "/sys/kernel/debug/swiotlb/io_tlb_used_hiwater");
	if (report->swiotlb_used == REPORT_UNKNOWN)
		return;
	if (report->swiotlb_used > *seen)
		*seen = report->swiotlb_used;
	if (report->swiotlb_high == REPORT_UNKNOWN)
		report->swiotlb_high = *seen;
}
