/* SPDX-License-Identifier: MIT */
#include "guest-agent/check_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest-agent/nodes.h"
#include "guest-agent/report_kernel.h"
#include "guest-agent/tree.h"

#define MIB          (1ull << 20)
#define PAGE_BYTES   4096u
#define ZONEINFO_MAX 262144u
#define IOMEM_MAX    131072u

/* "0-3,5": how many. */
static unsigned list_count(const char *list)
{
	unsigned count = 0, first, last;
	int used;

	while (sscanf(list, "%5u%n", &first, &used) == 1) {
		list += used;
		last = first;
		if (sscanf(list, "-%5u%n", &last, &used) == 1)
			list += used;
		if (last < first)
			break;
		count += last - first + 1;
		if (*list++ != ',')
			break;
	}
	return count;
}

static void count_cpus(void *context, int node)
{
	struct {
		struct check_context *c;
		unsigned far, other;
	} *n = context;
	char list[1024];

	tree_readf(n->c->root, list, sizeof(list), "/sys/devices/system/node/node%d/cpulist", node);
	*(node == n->c->far ? &n->far : &n->other) += list_count(list);
}

static void no_node(void *context, int node)
{
	(void)context;
	(void)node;
}

/* False: there is no far node to look at. */
static bool nodes(struct check_context *c)
{
	struct report_node far;
	unsigned count = nodes_each(c->root, no_node, NULL);

	if (c->far < 0 || count < 2) {
		check_add(c, CHECK_FAIL, "nodes",
			"the kernel sees %u NUMA node%s, far memory is not one of its own: it "
			"needs "
			"CONFIG_NUMA, ACPI and no numa=off",
			count, count == 1 ? "" : "s");
		return false;
	}
	nodes_read(c->root, c->far, &far);
	uint64_t promised = c->annex->far_pages * PAGE_BYTES;

	if (far.total == REPORT_UNKNOWN || far.total == 0)
		check_add(c, CHECK_FAIL, "nodes",
			"far memory (node %d) has no memory online; "
			"see lsmem",
			c->far);
	else if (promised && far.total < promised - promised / 16)
		check_add(c, CHECK_WARN, "nodes",
			"far memory is node %d, %llu of %llu MiB online; see lsmem and chmem",
			c->far, (unsigned long long)(far.total / MIB),
			(unsigned long long)(promised / MIB));
	else
		check_add(c, CHECK_OK, "nodes", "far memory is node %d, %llu MiB", c->far,
			(unsigned long long)(far.total / MIB));
	return true;
}

static void cpus(struct check_context *c)
{
	struct {
		struct check_context *c;
		unsigned far, other;
	} n = {c, 0, 0};

	nodes_each(c->root, count_cpus, &n);
	if (n.other || !n.far)
		check_add(c, CHECK_FAIL, "cpus",
			"%u of %u CPUs are at home in far memory: user pages would fill pinned "
			"memory; "
			"take numa= and other NUMA overrides off the command line",
			n.far, n.far + n.other);
	else
		check_add(c, CHECK_OK, "cpus", "all %u at home in node %d", n.far, c->far);
}

/* The far node's zones, in pages; first: the lowest page frame number of those that have pages. */
struct zones {
	uint64_t movable, other, first;
};

static bool zones_read(const struct check_context *c, struct zones *z)
{
	char *text = malloc(ZONEINFO_MAX), *save = NULL;
	uint64_t *zone = NULL;
	unsigned long long pages = 0, first;

	*z = (struct zones){0, 0, UINT64_MAX};
	if (!text || tree_read(c->root, "/proc/zoneinfo", text, ZONEINFO_MAX) <= 0) {
		free(text);
		return false;
	}
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned node;
		char name[16];

		if (sscanf(line, "Node %4u, zone %15s", &node, name) == 2) {
			zone = strcmp(name, "Movable") == 0 ? &z->movable : &z->other;
			if ((int)node != c->far)
				zone = NULL;
			pages = 0;
		} else if (zone && sscanf(line, " present %15llu", &pages) == 1) {
			*zone += pages;
		} else if (zone && pages && sscanf(line, " start_pfn: %15llu", &first) == 1 &&
			   first < z->first) {
			z->first = first;
		}
	}
	free(text);
	return true;
}

static void movable(struct check_context *c)
{
	struct zones z;

	if (!zones_read(c, &z))
		check_add(c, CHECK_SKIP, "movable", "/proc/zoneinfo cannot be read");
	else if (z.other)
		check_add(c, CHECK_FAIL, "movable",
			"%llu MiB of far memory are not in ZONE_MOVABLE: the kernel's own pages go "
			"far; "
			"movable_node on the command line, none of kernelcore=, movablecore=",
			(unsigned long long)(z.other * PAGE_BYTES / MIB));
	else
		check_add(c, CHECK_OK, "movable", "all of far memory");
}

/* What the kernel could still take there: free pages and clean page cache. */
static void pinned(struct check_context *c)
{
	struct report_node local;

	nodes_others(c->root, c->far, &local);
	if (local.total == REPORT_UNKNOWN || local.free == REPORT_UNKNOWN || local.total == 0) {
		check_add(c, CHECK_SKIP, "pinned", "the local nodes' meminfo cannot be read");
		return;
	}
	unsigned long long total = local.total / MIB, file = local.file;
	unsigned long long left = (local.free + (file == REPORT_UNKNOWN ? 0 : file)) / MIB;
	enum check_result result = left * 32 < total   ? CHECK_FAIL
				   : left * 10 < total ? CHECK_WARN
						       : CHECK_OK;

	if (result == CHECK_OK)
		check_add(c, result, "pinned", "%llu of %llu MiB left", left, total);
	else
		check_add(c, result, "pinned",
			"%llu of %llu MiB left for the kernel: raise `pinned` of the guest and "
			"define it again",
			left, total);
}

static void swiotlb(struct check_context *c)
{
	struct report r;
	uint64_t seen = 0;

	report_kernel_swiotlb(c->root, &seen, &r);
	if (r.swiotlb_total == REPORT_UNKNOWN) {
		check_add(c, CHECK_SKIP, "swiotlb",
			"not told: mount -t debugfs none /sys/kernel/debug, and be root");
		return;
	}
	if (r.swiotlb_total == 0) {
		check_add(c, CHECK_FAIL, "swiotlb",
			"none: devices DMA straight into far memory; swiotlb=force on the command "
			"line");
		return;
	}
	unsigned long long total = r.swiotlb_total / 1024;

	if (r.swiotlb_high == REPORT_UNKNOWN)
		check_add(c, CHECK_OK, "swiotlb", "%llu KiB; how much is used is not told", total);
	else if (r.swiotlb_high >= r.swiotlb_total / 10 * 9)
		check_add(c, CHECK_WARN, "swiotlb",
			"up to %llu of %llu KiB used, devices may have been refused: "
			"swiotlb=%llu,force, and as much more `pinned`",
			(unsigned long long)(r.swiotlb_high / 1024), total, total);
	else
		check_add(c, CHECK_OK, "swiotlb", "%llu of %llu KiB used, at most %llu",
			(unsigned long long)(r.swiotlb_used / 1024), total,
			(unsigned long long)(r.swiotlb_high / 1024));
}

/* Where far memory is: the session's window, or all from the far node's first page on. */
static bool window(const struct check_context *c, uint64_t *base, uint64_t *end)
{
	struct zones z;

	*base = c->annex->far_base;
	*end = *base + c->annex->far_pages * PAGE_BYTES;
	if (c->annex->far_pages)
		return true;
	if (c->far < 0 || !zones_read(c, &z) || z.first == UINT64_MAX)
		return false;
	*base = z.first * PAGE_BYTES;
	*end = UINT64_MAX;
	return true;
}

/* "  140000000-14fffffff : Crash kernel"; who is not root sees zeros. */
static void crash_kernel(struct check_context *c)
{
	char *text = malloc(IOMEM_MAX), *save = NULL;
	uint64_t base, end;
	bool far = false;

	if (!text || tree_read(c->root, "/proc/iomem", text, IOMEM_MAX) <= 0 ||
		!window(c, &base, &end)) {
		check_add(c, CHECK_SKIP, "crash-kernel", "/proc/iomem or zoneinfo cannot be read");
		free(text);
		return;
	}
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long long from, to;

		if (sscanf(line, " %16llx-%16llx", &from, &to) == 2 &&
			strstr(line, " : Crash kernel") && to >= base && from < end)
			far = true;
	}
	free(text);
	if (far)
		check_add(c, CHECK_FAIL, "crash-kernel",
			"lies in far memory, where a kdump cannot live: give an address below 4 "
			"GiB "
			"(crashkernel=192M@512M)");
	else
		check_add(c, CHECK_OK, "crash-kernel", "none in far memory");
}

void check_memory_add(struct check_context *c)
{
	if (nodes(c)) {
		cpus(c);
		movable(c);
		pinned(c);
	}
	swiotlb(c);
	crash_kernel(c);
}
