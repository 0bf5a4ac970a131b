/* SPDX-License-Identifier: MIT */
/* guest-agent/report*.c: on trees of files, and (as root) on this machine's own processes. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent_tree.h"
#include "guest-agent/nodes.h"
#include "guest-agent/report_fill.h"

#define SECOND  1000000000ull
#define FAR_PFN (AGENT_TREE_FAR >> 12)

static const char *root;
static struct report_state *state;
static struct report report;
static uint64_t now;

static int begin(void **unused)
{
	root = agent_tree_begin();
	agent_tree_guest();
	struct report_config config = {root, AGENT_TREE_FAR, AGENT_TREE_FAR_PAGES, 0};

	state = report_fill_new(&config);
	now = 1000 * SECOND;
	report_fill_scan(state, now);
	return 0;
}

static int end(void **unused)
{
	report_fill_free(state);
	agent_tree_end();
	return 0;
}

static void make(void)
{
	static const struct report_own own = {"1.2.3-with-a-long-tail", 42, 4096, 3, 2, 7};

	memset(&report, 0xaa, sizeof(report));
	report_fill(state, &own, now, &report);
}

static void kernel(void **unused)
{
	make();
	assert_int_equal(report.magic, REPORT_MAGIC);
	assert_int_equal(report.version, REPORT_VERSION);
	assert_int_equal(report.size, sizeof(report));
	assert_int_equal(report.sequence, 1);
	assert_string_equal(report.agent, "1.2.3-with-a-lo");
	assert_int_equal(report.uptime_ns, 42);
	assert_int_equal(report.pinned, 4096);
	assert_int_equal(report.hints_stale, 3);
	assert_int_equal(report.policies, 2);
	assert_int_equal(report.targets, 7);
	assert_int_equal(report.memory.some10, 1234);
	assert_int_equal(report.memory.some_us, 567890);
	assert_int_equal(report.memory.full10, 7);
	assert_int_equal(report.memory.full_us, 1234);
	assert_int_equal(report.io.some10, 10000);
	assert_int_equal(report.io.some_us, 18446744073709ull);
	assert_int_equal(report.io.full10, 50);
	assert_int_equal(report.refaults, 1234);
	assert_int_equal(report.major_faults, 77);
	assert_int_equal(report.far.total, 1ull << 30);
	assert_int_equal(report.far.free, 100ull << 20);
	assert_int_equal(report.far.file, 200ull << 20);
	assert_int_equal(report.far.anon, 300ull << 20);
	assert_int_equal(report.local.total, 512ull << 20);
	assert_int_equal(report.local.anon, 32ull << 20);
	assert_int_equal(report.swiotlb_total, 64ull << 20);
	assert_int_equal(report.swiotlb_used, 200 << 10);
	assert_int_equal(report.swiotlb_high, 4000 << 10);
	assert_int_equal(report.top_count, 0);
	for (unsigned i = 0; i < sizeof(report.top); i++)
		assert_int_equal(((const uint8_t *)report.top)[i], 0);
	make();
	assert_int_equal(report.sequence, 2);
}

static void unknown(void **unused)
{
	static const char *const gone[] = {
		"/proc/pressure", "/proc/vmstat", "/sys/devices", "/sys/kernel", "/proc/zoneinfo"};

	for (unsigned i = 0; i < sizeof(gone) / sizeof(*gone); i++)
		agent_tree_remove(gone[i]);
	make();
	assert_int_equal(report.memory.some10, UINT32_MAX);
	assert_int_equal(report.io.full10, UINT32_MAX);
	assert_int_equal(report.io.full_us, REPORT_UNKNOWN);
	assert_int_equal(report.refaults, REPORT_UNKNOWN);
	assert_int_equal(report.major_faults, REPORT_UNKNOWN);
	assert_int_equal(report.far.total, REPORT_UNKNOWN);
	assert_int_equal(report.local.anon, REPORT_UNKNOWN);
	assert_int_equal(report.swiotlb_total, REPORT_UNKNOWN);
	assert_int_equal(report.swiotlb_high, REPORT_UNKNOWN);
}

/* Linux before 6.4 has no high-water mark: then it is ours. */
static void high_water(void **unused)
{
	agent_tree_remove("/sys/kernel/debug/swiotlb/io_tlb_used_hiwater");
	agent_tree_put("/sys/kernel/debug/swiotlb/io_tlb_used", "500\n");
	make();
	agent_tree_put("/sys/kernel/debug/swiotlb/io_tlb_used", "20\n");
	make();
	assert_int_equal(report.swiotlb_used, 40 << 10);
	assert_int_equal(report.swiotlb_high, 1000 << 10);
}

static void far_node(void **unused)
{
	assert_int_equal(nodes_far(root, AGENT_TREE_FAR, AGENT_TREE_FAR_PAGES), 1);
	assert_int_equal(nodes_far(root, 0, 65536), 0);
	assert_int_equal(nodes_far(root, AGENT_TREE_FAR + (4ull << 30), 65536), -1);
	assert_int_equal(nodes_far(root, UINT64_MAX - 4095, 65536), -1);
	assert_int_equal(nodes_far(root, 0, 0), 1); /* the highest */
	/* The first block is offline, and has no node. */
	agent_tree_remove("/sys/devices/system/memory/memory72/node1");
	assert_int_equal(nodes_far(root, AGENT_TREE_FAR, AGENT_TREE_FAR_PAGES), 1);
	/* A kernel without memory hot-plug. */
	agent_tree_remove("/sys/devices/system/memory");
	assert_int_equal(nodes_far(root, AGENT_TREE_FAR, AGENT_TREE_FAR_PAGES), 1);
	assert_int_equal(nodes_far(root, 0, 0), 1);
	agent_tree_remove("/proc/zoneinfo");
	assert_int_equal(nodes_far(root, AGENT_TREE_FAR, AGENT_TREE_FAR_PAGES), -1);
}

/* A process with one mapping of `pages` at `base`, whose n-th page is frame pfn + n. */
static void process(unsigned pid, const char *name, uint64_t base, unsigned pages, uint64_t pfn)
{
	char path[64], text[256];

	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	snprintf(text, sizeof(text), "%s\n", name);
	agent_tree_put(path, text);
	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	snprintf(text, sizeof(text),
		"%u (%s) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 %u 99 99\n", pid, name,
		pid * 10);
	agent_tree_put(path, text);
	snprintf(path, sizeof(path), "/proc/%u/statm", pid);
	snprintf(text, sizeof(text), "999 %u 1 1 0 1 0\n", pages);
	agent_tree_put(path, text);
	snprintf(path, sizeof(path), "/proc/%u/maps", pid);
	snprintf(text, sizeof(text),
		"00001000-40000000 ---p 00000000 00:00 0\n%08llx-%08llx rw-p 00000000 00:00 0 "
		"[heap]\n"
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n",
		(unsigned long long)base, (unsigned long long)base + pages * 4096ull);
	agent_tree_put(path, text);
	snprintf(path, sizeof(path), "/proc/%u/pagemap", pid);
	agent_tree_remove(path);
	for (unsigned i = 0; i < pages; i++) {
		uint64_t entry = (pfn + i) | 1ull << 63 | 1ull << 55;

		agent_tree_put_at(path, (long)((base / 4096 + i) * 8), &entry, sizeof(entry));
	}
}

/* Seconds with `fills` fills each, of which the given pages are sampled. */
static void run(unsigned seconds, uint64_t fills, const uint64_t *pfn, unsigned count)
{
	static uint64_t total = 5000000;

	for (unsigned s = 0; s < seconds; s++) {
		uint64_t address[16];

		for (unsigned i = 0; i < count; i++)
			address[i] = pfn[i] << 12;
		report_fill_samples(state, address, count);
		total += fills;
		report_fill_total(state, total);
		for (unsigned i = 0; i < 10; i++) {
			now += SECOND / 10;
			report_fill_scan(state, now);
		}
		make();
	}
}

static void by_process(void **unused)
{
	process(100, "scanner", 0x50000000, 200, FAR_PFN);
	process(200, "redis) S (x", 0x60000000, 100, FAR_PFN + 1000);
	process(300, "idle", 0x70000000, 50, FAR_PFN + 2000);
	process(400, "local", 0x70000000, 50, 1000);
	agent_tree_put("/proc/500/statm", "0 0 0 0 0 0 0\n"); /* a kernel thread */
	agent_tree_put("/proc/500x/statm", "9 9 0 0 0 0 0\n");
	/* 3 of 4 samples are the scanner's; 800 fills a second. */
	run(60, 800, (const uint64_t[]){FAR_PFN, FAR_PFN + 7, FAR_PFN + 199, FAR_PFN + 1099}, 4);
	assert_int_equal(report.top_count, 2);
	assert_int_equal(report.top[0].pid, 100);
	assert_string_equal(report.top[0].comm, "scanner");
	assert_int_equal(report.top[0].far, 200 * 4096);
	assert_in_range(report.top[0].fills, 50000, 70000);
	assert_int_equal(report.top[1].pid, 200);
	assert_string_equal(report.top[1].comm, "redis) S (x");
	assert_int_equal(report.top[1].far, 100 * 4096);
	assert_in_range(report.top[1].fills, 17000, 23000);
	/* The fills end: so do the estimates. */
	run(10, 0, NULL, 0);
	assert_in_range(report.top[0].fills, 10000, 40000);
	run(240, 0, NULL, 0);
	assert_int_equal(report.top_count, 0);
}

/* Samples of pages that nobody has, or outside the window, are not anybody's. */
static void nobody(void **unused)
{
	process(100, "scanner", 0x50000000, 200, FAR_PFN);
	process(400, "local", 0x70000000, 50, 1000);
	run(5, 800, (const uint64_t[]){FAR_PFN + 500, 1001, FAR_PFN + AGENT_TREE_FAR_PAGES, 0}, 4);
	assert_int_equal(report.top_count, 0);
	/* Who has the page when it is looked for no more was not the one that waited for it. */
	run(10, 0, NULL, 0);
	process(600, "late", 0x50000000, 1, FAR_PFN + 500);
	run(3, 10, (const uint64_t[]){FAR_PFN + 501}, 1);
	assert_int_equal(report.top_count, 0);
	/* The sum is never more than what was filled: one page of two processes counts once. */
	process(200, "sharer", 0x50000000, 200, FAR_PFN);
	run(60, 100, (const uint64_t[]){FAR_PFN + 3}, 1);
	uint64_t sum = 0;

	for (unsigned i = 0; i < report.top_count; i++)
		sum += report.top[i].fills;
	assert_in_range(sum, 8000, 11500);
}

/* More processes than places, in order; who has gone, or whose number is another's now, is not shown. */
static void many(void **unused)
{
	uint64_t pfn[12];

	for (unsigned i = 0; i < 12; i++) {
		process(100 + i, "p", 0x50000000, 20, FAR_PFN + i * 100);
		pfn[i] = FAR_PFN + i * 100 + i;
	}
	run(10, 1200, pfn, 12);
	for (unsigned i = 0; i < 12; i++)
		run(i, 100 * i, pfn + i, 1);
	assert_int_equal(report.top_count, REPORT_TOP);
	assert_int_equal(report.top[0].pid, 111);
	for (unsigned i = 1; i < REPORT_TOP; i++)
		assert_true(report.top[i - 1].fills >= report.top[i].fills);
	agent_tree_remove("/proc/111");
	run(5, 1000, pfn, 1);
	for (unsigned i = 0; i < report.top_count; i++)
		assert_int_not_equal(report.top[i].pid, 111);
}

/* The budget: 1000 entries a second do not see 100,000 pages in five seconds, and do in some minutes. */
static void budget(void **unused)
{
	report_fill_free(state);
	struct report_config config = {root, AGENT_TREE_FAR, AGENT_TREE_FAR_PAGES, 1000};

	state = report_fill_new(&config);
	report_fill_scan(state, now);
	process(100, "large", 0x50000000, 20000, FAR_PFN);
	process(200, "last", 0x50000000, 1, FAR_PFN + 30000);
	run(1, 10, (const uint64_t[]){FAR_PFN + 19999}, 1);
	run(5, 0, NULL, 0);
	assert_int_equal(report.top_count, 0);
	run(20, 0, NULL, 0);
	assert_int_equal(report.top_count, 1);
	assert_int_equal(report.top[0].pid, 100);
	/* A caller that was away for an hour has one second's worth. */
	run(1, 10, (const uint64_t[]){FAR_PFN + 10}, 1);
	run(600, 0, NULL, 0);
	assert_int_equal(report.top_count, 0);
	run(1, 10, (const uint64_t[]){FAR_PFN + 19999}, 1);
	now += 3600 * SECOND;
	report_fill_scan(state, now);
	make();
	assert_int_equal(report.top_count, 0);
}

/* Processes whose files are nonsense, end in the middle, or are huge. */
static void hostile(void **unused)
{
	static char big[60000];
	static const uint8_t byte;

	memset(big, 'm', sizeof(big) - 1);
	process(100, "good", 0x50000000, 20, FAR_PFN);
	process(101, "\x1b[2J\xff", 0x50000000, 20, FAR_PFN + 100);
	process(102, "maps", 0x50000000, 20, FAR_PFN + 200);
	agent_tree_put("/proc/102/maps", big);
	process(103, "turned", 0x50000000, 20, FAR_PFN + 300);
	agent_tree_put("/proc/103/maps",
		"50000000-40000000 rw-p\n0-ffffffffffffffff rw-p\n-1-5 rw-p\n"
		"40000000-7fffffffffffffff rw-p\n");
	process(104, "short", 0x50000000, 20, FAR_PFN + 400);
	agent_tree_put_bytes("/proc/104/pagemap", &byte, 1);
	process(105, "stat", 0x50000000, 20, FAR_PFN + 500);
	agent_tree_put("/proc/105/stat", ")");
	process(106, "statm", 0x50000000, 20, FAR_PFN + 600);
	agent_tree_put("/proc/106/statm", "1 99999999999999999999999999 0");
	agent_tree_put("/proc/107/statm", "");
	agent_tree_put("/proc/99999999999999999999/statm", "1 1");
	run(60, 700,
		(const uint64_t[]){FAR_PFN + 1, FAR_PFN + 101, FAR_PFN + 201, FAR_PFN + 301,
			FAR_PFN + 401, FAR_PFN + 501, FAR_PFN + 601},
		7);
	/* good, the one with the name, the one that has a mapping among nonsense, 106 */
	assert_int_equal(report.top_count, 4);
}

static void new_window(void **unused)
{
	process(100, "one", 0x50000000, 20, FAR_PFN);
	report_fill_window(state, AGENT_TREE_FAR + (8ull << 30), 1000);
	run(5, 100, (const uint64_t[]){FAR_PFN + 1}, 1);
	assert_int_equal(report.top_count, 0);
	assert_int_equal(report.far.total, REPORT_UNKNOWN);
	report_fill_window(state, AGENT_TREE_FAR, AGENT_TREE_FAR_PAGES);
	run(5, 100, (const uint64_t[]){FAR_PFN + 1}, 1);
	assert_int_equal(report.top_count, 1);
	assert_int_equal(report.far.total, 1ull << 30);
}

/* A child with memory of its own on this machine: found by the real pagemap. */
static void this_machine(void **unused)
{
	int ready[2];

	if (geteuid() != 0)
		skip();
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();

	if (child == 0) {
		char *p = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
		int fd = open("/proc/self/pagemap", O_RDONLY);
		uint64_t entry = 0;

		memset(p, 1, 64 * 4096);
		mlock(p, 64 * 4096);
		if (pread(fd, &entry, 8, (off_t)((uintptr_t)p / 4096 * 8 + 40 * 8)) == 8 &&
			write(ready[1], &entry, 8) == 8)
			pause();
		_exit(1);
	}
	uint64_t entry;

	assert_int_equal(read(ready[0], &entry, 8), 8);
	uint64_t pfn = entry & ((1ull << 55) - 1);

	if (pfn == 0)
		fail_msg("no page frame numbers");
	report_fill_free(state);
	struct report_config config = {"", 0, 1ull << 40, REPORT_SCAN_PAGES_MAX};

	state = report_fill_new(&config);
	report_fill_scan(state, now);
	run(3, 500, &pfn, 1);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(ready[0]);
	close(ready[1]);
	assert_int_equal(report.top_count, 1);
	assert_int_equal(report.top[0].pid, child);
	assert_string_equal(report.top[0].comm, "agent_report_te");
	assert_true(report.top[0].far >= 64 * 4096);
	assert_int_not_equal(report.major_faults, REPORT_UNKNOWN);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(kernel),
		TEST(unknown),
		TEST(high_water),
		TEST(far_node),
		TEST(by_process),
		TEST(nobody),
		TEST(many),
		TEST(budget),
		TEST(hostile),
		TEST(new_window),
		TEST(this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
