/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <string.h>
#include "annex/report.h"
#include "tests/cli/vmm_report.h"

#define MIB 1048576ull

static const struct {
	const char *field;
	size_t offset;
	uint64_t value;
} lies[] = {
	{"pinned", offsetof(struct report, pinned), 2049 * 4096},
	{"far.total", offsetof(struct report, far.total), 513 * MIB},
	{"local.total", offsetof(struct report, local.total), 1024 * MIB},
	{"uptime_ns", offsetof(struct report, uptime_ns), 1ull << 62},
};

size_t vmm_report(const char *mode, void *out)
{
	static uint32_t sequence;
	struct report r = {.magic = REPORT_MAGIC,
		.version = REPORT_VERSION,
		.size = sizeof(r),
		.sequence = sequence++,
		.top_count = 3,
		.agent = "0.1.0",
		.uptime_ns = 1000000000,
		.memory = {125, 25, 4000000, 1000000},
		.io = {0, 0, REPORT_UNKNOWN, REPORT_UNKNOWN},
		.refaults = 12,
		.major_faults = 34,
		.far = {512 * MIB, 100 * MIB, 200 * MIB, 150 * MIB},
		.local = {250 * MIB, 50 * MIB, 20 * MIB, 0},
		.swiotlb_total = 64 * MIB,
		.swiotlb_used = MIB,
		.swiotlb_high = 2 * MIB,
		.pinned = 100 * 4096,
		.policies = 1,
		.targets = 2,
		.top = {{4711, 1250, 64 * MIB, "redis \"main\"\\"}, {12, 100, MIB, "worker"},
			{13, 50, MIB, "worker"}}};

	if (!strcmp(mode, "old"))
		r.version = 0;
	if (!strcmp(mode, "new"))
		r.version = REPORT_VERSION + 1;
	if (!strcmp(mode, "hostile"))
		memcpy(r.top[0].comm, "\x1b[2J\n\"\xff", 8);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		if (!strncmp(mode, "lying ", 6) && !strcmp(mode + 6, lies[i].field))
			memcpy((char *)&r + lies[i].offset, &lies[i].value, 8);
	memcpy(out, &r, sizeof(r));
	return sizeof(r);
}
