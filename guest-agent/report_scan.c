/* SPDX-License-Identifier: MIT */
#include "guest-agent/report_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "guest-agent/tree.h"

#define WAYS           4u
#define BUCKETS        (REPORT_SCAN_SAMPLES / WAYS)
#define CHUNK          512u /* pagemap entries read at once: 2 MiB of addresses */
#define MAPS_BUFFER    8192u
#define PAGE_SHIFT     12u
#define PRESENT        (1ull << 63)
#define PFN_MASK       ((1ull << 55) - 1)
#define COST_PROCESS   64u
#define COST_MAPPING   8u
#define COST_HOP       16u
#define HOLES          8u /* unpopulated entries for the price of one */
#define SECOND_NS      1000000000.0
#define FADE_MIN_NS    (10 * SECOND_NS)
#define FADE_MAX_NS    (600 * SECOND_NS)
#define ROUND_MIN_NS   1000000000u
#define RATE_FORGOTTEN 0.01 /* fills per second */

/* PAGEMAP_SCAN of <linux/fs.h> (Linux 6.7), which the headers of older systems do not have. */
struct scan_region {
	uint64_t start, end, categories;
};

struct scan_argument {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN_IOCTL   _IOWR('f', 16, struct scan_argument)
#define SCAN_PRESENT (1ull << 3)

struct sample {
	uint64_t pfn;
	uint32_t weight; /* 0: empty */
	uint32_t round; /* that it came in */
};

struct known {
	uint32_t pid; /* 0: empty */
	uint32_t seen; /* the round that met it last */
	uint64_t start;
	uint64_t far; /* bytes, of the last whole look */
	double rate; /* fills per second */
	char comm[REPORT_COMM];
};

/* The process that is being looked at. */
struct looked {
	uint32_t pid; /* 0: none */
	uint64_t start;
	char comm[REPORT_COMM];
	int maps, pagemap;
	uint64_t at, end; /* of the mapping: page numbers; at == end: next mapping */
	bool hops; /* the kernel can be asked where the next page is */
	uint64_t far; /* pages */
	size_t have, used; /* of text */
	char text[MAPS_BUFFER];
};

struct report_scan {
	const char *root;
	uint64_t first, pages;
	uint32_t round;
	unsigned waiting; /* samples */
	DIR *proc; /* the round's list; NULL between rounds */
	uint64_t round_ns; /* when the round began */
	double fade_ns; /* time in which an estimate falls to a third */
	uint64_t faded_ns;
	struct looked now;
	struct sample sample[BUCKETS][WAYS];
	struct known known[REPORT_SCAN_PROCESSES];
};

struct report_scan *report_scan_new(const char *root)
{
	struct report_scan *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->root = root;
	s->fade_ns = FADE_MIN_NS;
	s->now.maps = s->now.pagemap = -1;
	return s;
}

static void leave(struct looked *l)
{
	if (l->maps >= 0)
		close(l->maps);
	if (l->pagemap >= 0)
		close(l->pagemap);
	l->maps = l->pagemap = -1;
	l->pid = 0;
}

void report_scan_free(struct report_scan *scan)
{
	if (!scan)
		return;
	leave(&scan->now);
	if (scan->proc)
		closedir(scan->proc);
	free(scan);
}

void report_scan_window(struct report_scan *scan, uint64_t first, uint64_t pages)
{
	memset(scan->sample, 0, sizeof(scan->sample));
	scan->waiting = 0;
	scan->first = first;
	scan->pages = pages;
}

static struct sample *bucket(struct report_scan *s, uint64_t pfn)
{
	return s->sample[(pfn * 0x9e3779b97f4a7c15ull) >> 54]; /* BUCKETS is 2^10 */
}

static_assert(BUCKETS == 1024, "bucket()");

void report_scan_sample(struct report_scan *scan, uint64_t pfn, uint32_t weight)
{
	struct sample *b = bucket(scan, pfn), *place = b;

	if (pfn - scan->first >= scan->pages || weight == 0)
		return;
	for (unsigned i = 0; i < WAYS; i++) {
		if (b[i].weight && b[i].pfn == pfn) {
			b[i].round = scan->round;
			b[i].weight += b[i].weight > UINT32_MAX - weight ? 0 : weight;
			return;
		}
		if (b[i].weight == 0)
			place = &b[i];
		else if (place->weight && scan->round - b[i].round > scan->round - place->round)
			place = &b[i];
	}
	scan->waiting += place->weight == 0;
	*place = (struct sample){pfn, weight, scan->round};
}

/* Samples that all processes were asked about, and processes that were not met for a whole round. */
static void forget(struct report_scan *s)
{
	for (unsigned i = 0; i < REPORT_SCAN_SAMPLES; i++) {
		struct sample *one = &s->sample[i / WAYS][i % WAYS];

		if (one->weight && s->round - one->round >= 2) {
			one->weight = 0;
			s->waiting--;
		}
	}
	for (unsigned i = 0; i < REPORT_SCAN_PROCESSES; i++)
		if (s->known[i].pid && s->round - s->known[i].seen >= 2)
			s->known[i].pid = 0;
}

static struct known *known_find(struct report_scan *s, uint32_t pid, uint64_t start)
{
	for (unsigned i = 0; i < REPORT_SCAN_PROCESSES; i++)
		if (s->known[i].pid == pid && s->known[i].start == start)
			return &s->known[i];
	return NULL;
}

static void credit(struct report_scan *s, uint32_t weight)
{
	struct looked *l = &s->now;
	struct known *k = known_find(s, l->pid, l->start);

	if (!k) {
		k = s->known;
		for (unsigned i = 0; i < REPORT_SCAN_PROCESSES && k->pid; i++)
			if (!s->known[i].pid || s->known[i].rate < k->rate)
				k = &s->known[i];
		*k = (struct known){.pid = l->pid, .start = l->start, .seen = s->round};
	}
	memcpy(k->comm, l->comm, sizeof(k->comm));
	k->rate += weight * SECOND_NS / s->fade_ns;
}

static void look_at_page(struct report_scan *s, uint64_t pfn)
{
	if (pfn - s->first >= s->pages)
		return;
	s->now.far++;
	struct sample *b = bucket(s, pfn);

	for (unsigned i = 0; i < WAYS; i++)
		if (b[i].weight && b[i].pfn == pfn) {
			credit(s, b[i].weight);
			b[i].weight = 0;
			s->waiting--;
			return;
		}
}

/* Field 22 of /proc/PID/stat; the name in field 2 may have spaces and brackets. */
static bool start_time(const char *root, uint32_t pid, uint64_t *start)
{
	char text[1024];
	unsigned long long value;

	if (tree_readf(root, text, sizeof(text), "/proc/%u/stat", pid) <= 0)
		return false;
	const char *p = strrchr(text, ')');

	if (!p ||
		sscanf(p + 1,
			" %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
			"%*d %19llu",
			&value) != 1)
		return false;
	*start = value;
	return true;
}

static int open_of(const char *root, uint32_t pid, const char *name)
{
	char path[TREE_PATH];
	int n = snprintf(path, sizeof(path), "%s/proc/%u/%s", root, pid, name);

	return n > 0 && (size_t)n < sizeof(path) ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
						 : -1;
}

/* False: nothing to look at (a kernel thread, gone, swapped out whole). */
static bool enter(struct report_scan *s, uint32_t pid)
{
	struct looked *l = &s->now;
	char text[128];
	unsigned long long resident;

	if (tree_readf(s->root, text, sizeof(text), "/proc/%u/statm", pid) <= 0 ||
		sscanf(text, "%*u %19llu", &resident) != 1 || resident == 0 ||
		!start_time(s->root, pid, &l->start))
		return false;
	l->pid = pid;
	l->maps = open_of(s->root, pid, "maps");
	l->pagemap = open_of(s->root, pid, "pagemap");
	if (l->maps < 0 || l->pagemap < 0) {
		leave(l);
		return false;
	}
	tree_readf(s->root, text, sizeof(text), "/proc/%u/comm", pid);
	memset(l->comm, 0, sizeof(l->comm));
	size_t length = strcspn(text, "\n");

	memcpy(l->comm, text, length < sizeof(l->comm) ? length : sizeof(l->comm) - 1);
	l->hops = true;
	l->far = l->at = l->end = 0;
	l->have = l->used = 0;
	return true;
}

static void finish(struct report_scan *s)
{
	struct known *k = known_find(s, s->now.pid, s->now.start);

	if (k) {
		k->seen = s->round;
		k->far = s->now.far << PAGE_SHIFT;
	}
	leave(&s->now);
}

/* A line of maps without its end; NULL at the end of it. A line longer than the buffer is cut. */
static char *maps_line(struct looked *l)
{
	char *end = memchr(l->text + l->used, '\n', l->have - l->used);

	if (!end) {
		memmove(l->text, l->text + l->used, l->have - l->used);
		l->have -= l->used;
		l->used = 0;
		while (!end && l->have < MAPS_BUFFER - 1) {
			ssize_t n = read(l->maps, l->text + l->have, MAPS_BUFFER - 1 - l->have);

			if (n <= 0)
				return NULL;
			l->have += (size_t)n;
			end = memchr(l->text, '\n', l->have);
		}
		if (!end)
			end = l->text + l->have - 1;
	}
	char *line = l->text + l->used;

	*end = 0;
	l->used = (size_t)(end - l->text) + 1;
	return line;
}

/* The next mapping that may have pages. False: there is none. */
static bool next_mapping(struct looked *l, uint32_t *cost)
{
	for (char *line; (line = maps_line(l));) {
		unsigned long long from, to;
		char access[5];

		*cost += COST_MAPPING;
		if (sscanf(line, "%16llx-%16llx %4s", &from, &to, access) != 3 || to <= from ||
			to >> 63)
			continue;
		if (strncmp(access, "---", 3) != 0) {
			l->at = from >> PAGE_SHIFT;
			l->end = to >> PAGE_SHIFT;
			return true;
		}
		if (*cost >= REPORT_SCAN_OVER / 2)
			return true; /* at == end: go on in the next step */
	}
	return false;
}

/*
 * Goes on to the mapping's next page that is there. Mappings can be terabytes of nothing; before Linux 6.7
 * they are read entry by entry.
 */
static void hop(struct looked *l, uint32_t *cost)
{
	struct scan_region found;
	struct scan_argument argument = {
		.size = sizeof(argument),
		.start = l->at << PAGE_SHIFT,
		.end = l->end << PAGE_SHIFT,
		.vec = (uintptr_t)&found,
		.vec_len = 1,
		.max_pages = 1,
		.category_mask = SCAN_PRESENT,
		.return_mask = SCAN_PRESENT,
	};

	*cost += COST_HOP;
	int n = ioctl(l->pagemap, SCAN_IOCTL, &argument);

	if (n < 0)
		l->hops = false;
	else if (n == 0)
		l->at = l->end;
	else if (found.start >> PAGE_SHIFT > l->at && found.start >> PAGE_SHIFT < l->end)
		l->at = found.start >> PAGE_SHIFT;
}

/* Up to CHUNK entries. False: the process has ended. */
static bool chunk(struct report_scan *s, uint32_t *cost)
{
	struct looked *l = &s->now;
	uint64_t entry[CHUNK], many = l->end - l->at < CHUNK ? l->end - l->at : CHUNK, empty = 0;
	ssize_t n =
		pread(l->pagemap, entry, many * sizeof(*entry), (off_t)(l->at * sizeof(*entry)));

	if (n < (ssize_t)sizeof(*entry))
		return false;
	many = (uint64_t)n / sizeof(*entry);
	for (uint64_t i = 0; i < many; i++) {
		if (!(entry[i] & PRESENT)) {
			empty++;
			continue;
		}
		look_at_page(s, entry[i] & PFN_MASK);
	}
	l->at += many;
	*cost += (uint32_t)(many - empty + empty / HOLES + 1);
	if (empty == many && l->hops)
		hop(l, cost);
	return true;
}

static uint32_t look(struct report_scan *s)
{
	struct looked *l = &s->now;
	uint32_t cost = 0;

	if ((l->at == l->end && !next_mapping(l, &cost)) || (l->at < l->end && !chunk(s, &cost)))
		finish(s);
	return cost ? cost : 1;
}

static void begin_round(struct report_scan *s, uint64_t now_ns)
{
	if (s->round_ns && now_ns > s->round_ns) {
		double fade = 2.0 * (double)(now_ns - s->round_ns);

		s->fade_ns = fade < FADE_MIN_NS   ? FADE_MIN_NS
			     : fade > FADE_MAX_NS ? FADE_MAX_NS
						  : fade;
	}
	s->round++;
	s->round_ns = now_ns;
	forget(s);
	s->proc = tree_list(s->root, "/proc");
}

static void end_round(struct report_scan *s)
{
	closedir(s->proc);
	s->proc = NULL;
}

static bool idle(const struct report_scan *s)
{
	if (s->waiting)
		return false;
	for (unsigned i = 0; i < REPORT_SCAN_PROCESSES; i++)
		if (s->known[i].pid)
			return false;
	return true;
}

uint32_t report_scan_step(struct report_scan *scan, uint32_t budget, uint64_t now_ns)
{
	uint32_t spent = 0;

	if (!scan->now.pid && !scan->proc && idle(scan)) {
		scan->round_ns =
			0; /* the next round's predecessor says nothing about how long one takes */
		return 0;
	}
	while (spent < budget) {
		struct dirent *e;
		uint64_t pid;

		if (scan->now.pid) {
			spent += look(scan);
			continue;
		}
		if (!scan->proc) {
			if (idle(scan) || now_ns - scan->round_ns < ROUND_MIN_NS)
				break;
			begin_round(scan, now_ns);
		}
		if (!scan->proc)
			break;
		e = readdir(scan->proc);
		if (!e) {
			end_round(scan);
			continue;
		}
		spent++;
		if (!tree_numbered(e->d_name, "", &pid) || pid == 0 || pid > INT32_MAX)
			continue;
		spent += COST_PROCESS;
		enter(scan, (uint32_t)pid);
	}
	return spent > budget ? spent - budget : 0;
}

static void fade(struct report_scan *s, uint64_t now_ns)
{
	double left = 1.0 - (double)(now_ns - s->faded_ns) / s->fade_ns;

	if (s->faded_ns == 0 || left > 1.0)
		left = 1.0;
	s->faded_ns = now_ns;
	for (unsigned i = 0; i < REPORT_SCAN_PROCESSES; i++) {
		struct known *k = &s->known[i];

		if (!k->pid)
			continue;
		k->rate *= left < 0 ? 0 : left;
		if (k->rate < RATE_FORGOTTEN)
			k->pid = 0;
	}
}

static int by_rate(const void *one, const void *other)
{
	const struct known *a = *(const struct known *const *)one,
			   *b = *(const struct known *const *)other;

	return (a->rate < b->rate) - (a->rate > b->rate);
}

unsigned report_scan_top(
	struct report_scan *scan, uint64_t now_ns, struct report_process top[REPORT_TOP])
{
	const struct known *sorted[REPORT_SCAN_PROCESSES];
	unsigned count = 0;

	fade(scan, now_ns);
	for (unsigned i = 0; i < REPORT_SCAN_PROCESSES; i++)
		if (scan->known[i].pid)
			sorted[count++] = &scan->known[i];
	qsort(sorted, count, sizeof(sorted) / REPORT_SCAN_PROCESSES, by_rate);
	count = count < REPORT_TOP ? count : REPORT_TOP;
	memset(top, 0, REPORT_TOP * sizeof(*top));
	for (unsigned i = 0; i < count; i++) {
		const struct known *k = sorted[i];
		uint64_t now = k->pid == scan->now.pid && k->start == scan->now.start
				       ? scan->now.far << PAGE_SHIFT
				       : 0;
		double rate = k->rate * 100;

		top[i].pid = k->pid;
		top[i].fills = rate < UINT32_MAX ? (uint32_t)rate : UINT32_MAX;
		top[i].far = k->far > now ? k->far : now;
		memcpy(top[i].comm, k->comm, sizeof(top[i].comm));
	}
	return count;
}
