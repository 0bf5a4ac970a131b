/* SPDX-License-Identifier: MIT */
/* From addresses and files to page frames, against what this machine's kernel says of our own memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "guest-agent/translate.h"
#include "tests/unit/agent_bell.h"
#include "tests/unit/agent_child.h"

#define PAGES 64u

static const struct translate_window all = {.first = 1, .pages = 1ull << 36};

static void need_frames(void)
{
	if (!agent_bell_frames_shown()) {
		print_message("the kernel hides page frame numbers: CAP_SYS_ADMIN is missing\n");
		skip();
	}
}

static enum translate_state walk(
	struct translate *t, const struct translate_window *window, struct ranges *out)
{
	enum translate_state state;

	assert_non_null(t);
	do {
		uint64_t work = 1000000;

		state = translate_step(t, window, &work, out);
		if (state == TRANSLATE_MORE)
			assert_int_equal(work, 0);
	} while (state == TRANSLATE_MORE);
	translate_close(t);
	ranges_normalize(out);
	return state;
}

static char *map_pages(void)
{
	char *memory = mmap(NULL, PAGES * RANGES_PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(memory != MAP_FAILED);
	return memory;
}

/* Every third page has memory; those and no others are found. */
static void a_range_is_what_pagemap_says(void **state)
{
	char *memory = map_pages();
	struct ranges found = {0};
	unsigned touched = 0;

	need_frames();
	for (unsigned i = 0; i < PAGES; i += 3, touched++)
		memory[i * RANGES_PAGE] = 1;
	assert_int_equal(walk(translate_process(getpid(), (uintptr_t)memory, PAGES * RANGES_PAGE),
				 &all, &found),
		TRANSLATE_DONE);
	assert_int_equal(ranges_pages(&found), touched);
	for (unsigned i = 0; i < PAGES; i += 3)
		assert_true(ranges_contains(&found, agent_bell_frame(memory + i * RANGES_PAGE)));
	/* Asked about one byte: its page. */
	ranges_clear(&found);
	walk(translate_process(getpid(), (uintptr_t)memory + 3 * RANGES_PAGE + 5, 1), &all, &found);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.item[0].pages, 1);
	assert_int_equal(found.item[0].first, agent_bell_frame(memory + 3 * RANGES_PAGE));
	munmap(memory, PAGES * RANGES_PAGE);
	ranges_free(&found);
}

static void what_lies_outside_the_window_is_left_out(void **state)
{
	char *memory = map_pages();
	struct translate_window one = {.pages = 1};
	struct ranges found = {0};

	need_frames();
	memset(memory, 1, PAGES * RANGES_PAGE);
	one.first = agent_bell_frame(memory + 7 * RANGES_PAGE);
	walk(translate_process(getpid(), (uintptr_t)memory, PAGES * RANGES_PAGE), &one, &found);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.item[0].first, one.first);
	one.pages = 0;
	ranges_clear(&found);
	walk(translate_process(getpid(), (uintptr_t)memory, PAGES * RANGES_PAGE), &one, &found);
	assert_int_equal(found.count, 0);
	munmap(memory, PAGES * RANGES_PAGE);
	ranges_free(&found);
}

/* However little work a step is given, it gets on, and the sum is the same. */
static void work_is_bounded(void **state)
{
	char *memory = map_pages();
	struct ranges found = {0};
	struct translate *t;
	unsigned steps = 0;
	uint64_t work = 1, before = 0;

	need_frames();
	memset(memory, 1, PAGES * RANGES_PAGE);
	t = translate_process(getpid(), (uintptr_t)memory, PAGES * RANGES_PAGE);
	assert_non_null(t);
	while (translate_step(t, &all, &work, &found) == TRANSLATE_MORE) {
		assert_int_equal(work, 0);
		assert_true(ranges_pages(&found) <= before + 3);
		before = ranges_pages(&found);
		work = 3;
		assert_true(++steps < 100000);
	}
	translate_close(t);
	assert_true(steps >= PAGES / 3);
	assert_int_equal(ranges_pages(&found), PAGES);
	munmap(memory, PAGES * RANGES_PAGE);
	ranges_free(&found);
}

/* A huge page is one range of its 512 pages. */
static void huge_pages_are_one_range(void **state)
{
	const size_t huge = 2 << 20;
	struct ranges found = {0};
	char *memory, *aligned;

	need_frames();
	memory = mmap(NULL, 2 * huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!memory || memory == MAP_FAILED) {
		fail();
		return;
	}
	aligned = memory + (-(uintptr_t)memory & (huge - 1));
	(void)madvise(aligned, huge, MADV_HUGEPAGE);
	aligned[0] = 1;
	walk(translate_process(getpid(), (uintptr_t)aligned, huge), &all, &found);
	munmap(memory, 2 * huge);
	if (ranges_pages(&found) != 512) {
		print_message("the kernel gave no huge page\n");
		ranges_free(&found);
		skip();
	}
	assert_int_equal(found.count, 1);
	assert_int_equal(found.item[0].first % 512, 0);
	ranges_free(&found);
}

static void a_process_that_ended_is_gone(void **state)
{
	struct ranges found = {0};
	struct translate *before, *during;
	uint64_t work = 1;
	pid_t pid;

	need_frames();
	pid = agent_child_start();
	assert_int_equal(walk(translate_process(pid, 0, UINT64_MAX), &all, &found), TRANSLATE_DONE);
	assert_true(ranges_pages(&found) > 20);
	before = translate_process(pid, 0, UINT64_MAX);
	during = translate_process(pid, 0, UINT64_MAX);
	assert_int_equal(translate_step(during, &all, &work, &found), TRANSLATE_MORE);
	agent_child_end(pid);
	assert_int_equal(walk(before, &all, &found), TRANSLATE_GONE);
	assert_int_equal(walk(during, &all, &found), TRANSLATE_GONE);
	assert_null(translate_process(pid, 0, UINT64_MAX));
	assert_int_equal(errno, ESRCH);
	ranges_free(&found);
}

static unsigned resident(int fd, unsigned char map[PAGES])
{
	void *memory = mmap(NULL, PAGES * RANGES_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	unsigned count = 0;

	assert_true(memory != MAP_FAILED);
	assert_int_equal(mincore(memory, PAGES * RANGES_PAGE, map), 0);
	munmap(memory, PAGES * RANGES_PAGE);
	for (unsigned i = 0; i < PAGES; i++)
		count += map[i] & 1;
	return count;
}

/* The pages of a file that are in the page cache are found, and no other is read from disk. */
static void a_file_is_not_read(void **state)
{
	char path[] = "build/annex-agent-XXXXXX", block[RANGES_PAGE] = "x";
	unsigned char before[PAGES], after[PAGES];
	struct ranges found = {0};
	unsigned count;
	int fd;

	need_frames();
	fd = mkstemp(path);
	assert_true(fd >= 0);
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	assert_int_equal(fsync(fd), 0);
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	(void)posix_fadvise(
		fd, 8 * (off_t)RANGES_PAGE, 16 * (off_t)RANGES_PAGE, POSIX_FADV_DONTNEED);
	count = resident(fd, before);
	assert_int_equal(walk(translate_file(path), &all, &found), TRANSLATE_DONE);
	assert_int_equal(ranges_pages(&found), count);
	assert_int_equal(resident(fd, after), count);
	assert_memory_equal(before, after, sizeof(before));
	unlink(path);
	close(fd);
	ranges_free(&found);
	if (count == PAGES)
		print_message("this file system keeps all pages: little was shown\n");
}

static void only_regular_files(void **state)
{
	char pipe_name[] = "build/annex-agent-pipe";

	unlink(pipe_name);
	assert_int_equal(mkfifo(pipe_name, 0600), 0);
	assert_null(translate_file(pipe_name));
	assert_int_equal(errno, EINVAL);
	unlink(pipe_name);
	assert_null(translate_file("/dev/null"));
	assert_null(translate_file("/"));
	assert_null(translate_file("/no/such/file"));
	assert_int_equal(errno, ENOENT);
}

static int set_up(void **state)
{
	agent_child_program("annextranslate");
	return 0;
}

static int tear_down(void **state)
{
	agent_child_program_remove();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_is_what_pagemap_says),
		cmocka_unit_test(what_lies_outside_the_window_is_left_out),
		cmocka_unit_test(work_is_bounded),
		cmocka_unit_test(huge_pages_are_one_range),
		cmocka_unit_test(a_process_that_ended_is_gone),
		cmocka_unit_test(a_file_is_not_read),
		cmocka_unit_test(only_regular_files),
	};

	return cmocka_run_group_tests_name("agent translate", tests, set_up, tear_down);
}
