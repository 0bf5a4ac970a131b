/* SPDX-License-Identifier: MIT */
#include "guest-agent/nodes.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest-agent/tree.h"

#define ZONEINFO_MAX 262144u
#define PAGE_BYTES   4096u
#define BLOCK_MIN    (1ull << 20)

/* The node that a memory block's directory links to; a block that is offline may have none. */
static int block_node(const char *root, uint64_t block)
{
	char path[64];
	int node = -1;

	snprintf(path, sizeof(path), "/sys/devices/system/memory/memory%llu",
		(unsigned long long)block);
	DIR *dir = tree_list(root, path);

	if (!dir)
		return -1;
	for (struct dirent *e; node < 0 && (e = readdir(dir));) {
		uint64_t n;

		if (tree_numbered(e->d_name, "node", &n) && n < NODES_MAX)
			node = (int)n;
	}
	closedir(dir);
	return node;
}

/* What is looked for: the lowest in [first, end), or the highest of all. */
struct wanted {
	uint64_t first, end;
	bool highest;
};

static bool better(const struct wanted *w, uint64_t at, int node, uint64_t best)
{
	if (w->highest)
		return node < 0 || at > best;
	return at >= w->first && at < w->end && (node < 0 || at < best);
}

static int far_by_blocks(const char *root, const struct wanted *bytes)
{
	char text[32];
	uint64_t best = 0;
	int node = -1;

	if (tree_read(root, "/sys/devices/system/memory/block_size_bytes", text, sizeof(text)) <= 0)
		return -1;
	uint64_t size = strtoull(text, NULL, 16);
	DIR *dir = size >= BLOCK_MIN ? tree_list(root, "/sys/devices/system/memory") : NULL;

	if (!dir)
		return -1;
	/* A block of the window's first address may begin below it. */
	struct wanted blocks = {
		bytes->first / size, bytes->end / size + (bytes->end % size != 0), bytes->highest};

	for (struct dirent *e; (e = readdir(dir));) {
		uint64_t block;

		if (!tree_numbered(e->d_name, "memory", &block) ||
			!better(&blocks, block, node, best))
			continue;
		int of = block_node(root, block);

		if (of >= 0) {
			node = of;
			best = block;
		}
	}
	closedir(dir);
	return node;
}

/* "Node 1, zone  Movable" ... "  start_pfn:           1048576" */
static int far_by_zones(const char *root, const struct wanted *bytes)
{
	struct wanted pages = {bytes->first / PAGE_BYTES, bytes->end / PAGE_BYTES, bytes->highest};
	char *text = malloc(ZONEINFO_MAX);
	uint64_t best = 0;
	int node = -1, of = -1;

	if (!text || tree_read(root, "/proc/zoneinfo", text, ZONEINFO_MAX) <= 0) {
		free(text);
		return -1;
	}
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned n;
		unsigned long long start;

		if (sscanf(line, "Node %4u, zone", &n) == 1)
			of = n < NODES_MAX ? (int)n : -1;
		else if (of >= 0 && sscanf(line, " start_pfn: %20llu", &start) == 1 && start &&
			 better(&pages, start, node, best)) {
			node = of;
			best = start;
		}
	}
	free(text);
	return node;
}

int nodes_far(const char *root, uint64_t far_base, uint64_t far_pages)
{
	struct wanted w = {far_base, far_base + far_pages * PAGE_BYTES, far_pages == 0};

	if (far_pages > (UINT64_MAX - far_base) / PAGE_BYTES)
		return -1;
	int node = far_by_blocks(root, &w);

	return node >= 0 ? node : far_by_zones(root, &w);
}

/* "Node 0 MemTotal:       16278484 kB" */
static uint64_t kib(const char *text, const char *name)
{
	const char *p = strstr(text, name);
	unsigned long long value;

	if (!p || sscanf(p + strlen(name), "%16llu kB", &value) != 1)
		return REPORT_UNKNOWN;
	return value * 1024;
}

void nodes_read(const char *root, int node, struct report_node *usage)
{
	char text[8192];

	tree_readf(root, text, sizeof(text), "/sys/devices/system/node/node%d/meminfo", node);
	usage->total = kib(text, " MemTotal:");
	usage->free = kib(text, " MemFree:");
	usage->file = kib(text, " FilePages:");
	usage->anon = kib(text, " AnonPages:");
}

unsigned nodes_each(const char *root, void (*each)(void *context, int node), void *context)
{
	DIR *dir = tree_list(root, "/sys/devices/system/node");
	unsigned count = 0;

	if (!dir)
		return 0;
	for (struct dirent *e; (e = readdir(dir)) && count < NODES_MAX;) {
		uint64_t n;

		if (!tree_numbered(e->d_name, "node", &n) || n >= NODES_MAX)
			continue;
		count++;
		each(context, (int)n);
	}
	closedir(dir);
	return count;
}

struct others {
	const char *root;
	int far;
	unsigned count;
	struct report_node sum;
};

static void add(uint64_t *sum, uint64_t value)
{
	if (*sum == REPORT_UNKNOWN || value == REPORT_UNKNOWN)
		*sum = REPORT_UNKNOWN;
	else
		*sum += value;
}

static void add_node(void *context, int node)
{
	struct others *o = context;
	struct report_node one;

	if (node == o->far)
		return;
	nodes_read(o->root, node, &one);
	add(&o->sum.total, one.total);
	add(&o->sum.free, one.free);
	add(&o->sum.file, one.file);
	add(&o->sum.anon, one.anon);
	o->count++;
}

void nodes_others(const char *root, int far, struct report_node *usage)
{
	struct others o = {.root = root, .far = far};

	if (far >= 0)
		nodes_each(root, add_node, &o);
	*usage = o.sum;
	if (o.count == 0)
		memset(usage, 0xff, sizeof(*usage)); /* REPORT_UNKNOWN */
}
