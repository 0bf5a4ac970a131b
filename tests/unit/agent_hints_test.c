/* SPDX-License-Identifier: MIT */
/* Hints that live, about real memory of this machine, against a doorbell that checks every request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include "guest-agent/hints.h"
#include "guest-agent/log.h"
#include "tests/unit/agent_bell.h"
#include "tests/unit/agent_child.h"

#define PAGES 64u
#define BYTES (PAGES * RANGES_PAGE)
#define MS    1000000ull
#define USER  1000u

static struct agent_bell bell;
static struct session session;
static struct config config;
static struct processes *processes;
static struct hints *hints;
static uint64_t now;
static char vmstat[64]; /* a file for /proc/vmstat */
static char *memory; /* PAGES pages, each with a frame of its own */

static void turn(uint64_t ms)
{
	now += ms * MS;
	session_turn(&session, now);
	processes_turn(processes);
	hints_turn(hints, now);
}

static char *map_pages(void)
{
	char *pages = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(pages != MAP_FAILED);
	memset(pages, 1, BYTES);
	return pages;
}

static void write_vmstat(unsigned moved)
{
	FILE *f = fopen(vmstat, "we");

	assert_non_null(f);
	fprintf(f, "nr_free_pages 12345%u\nthp_split_page 3\npgmigrate_success %u\npgfault %u\n",
		moved, moved, moved);
	assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
	log_level(LOG_EMERG);
	agent_bell_init(&bell, 100000);
	session_init(&session, &bell.bell, DOORBELL_RATE);
	config_default(&config);
	processes = processes_open("/proc");
	write_vmstat(0);
	hints = hints_open(&session, processes, &config, vmstat);
	now = 1000000 * MS;
	memory = map_pages();
	turn(0);
	return 0;
}

static int tear_down(void **state)
{
	hints_close(hints);
	processes_close(processes);
	agent_bell_free(&bell);
	munmap(memory, BYTES);
	return 0;
}

static void need_frames(void)
{
	if (!agent_bell_frames_shown()) {
		print_message("the kernel hides page frame numbers: CAP_SYS_ADMIN is missing\n");
		skip();
	}
}

static enum hint_answer range(
	enum hint_kind kind, const char *from, unsigned pages, struct hint_outcome *outcome)
{
	struct hint_range r = {
		.pid = getpid(),
		.owner = USER,
		.kind = kind,
		.address = (uintptr_t)from,
		.length = pages * RANGES_PAGE,
	};

	hints_range(hints, &r, outcome);
	return outcome->answer;
}

static bool pinned(const char *address)
{
	return ranges_contains(&bell.pinned, agent_bell_frame(address));
}

static unsigned pinned_pages(const char *from)
{
	unsigned count = 0;

	for (unsigned i = 0; i < PAGES; i++)
		count += pinned(from + i * RANGES_PAGE);
	return count;
}

/* A pin of one process, as the operator or a policy makes it. */
static struct hint_request whole(pid_t pid, enum hint_kind kind, enum hint_origin origin)
{
	struct hint_request request = {.kind = kind, .origin = origin, .max_pages = UINT64_MAX};
	char word[32], error[SELECTOR_ERROR];

	selector_init(&request.selector);
	snprintf(word, sizeof(word), "pid=%d", (int)pid);
	assert_int_equal(selector_word(&request.selector, word, error), 0);
	request.partial = origin == HINT_OF_POLICY;
	return request;
}

static void a_range_is_pinned_at_once(void **state)
{
	struct hint_outcome outcome;

	need_frames();
	assert_int_equal(range(HINT_PIN, memory + 8 * RANGES_PAGE, 16, &outcome), HINT_DONE);
	assert_int_equal(outcome.pages, 16);
	assert_int_equal(ranges_pages(&bell.pinned), 16);
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(pinned(memory + i * RANGES_PAGE), i >= 8 && i < 24);
}

static void unpin_cuts_a_hole(void **state)
{
	struct hint_outcome outcome;

	need_frames();
	range(HINT_PIN, memory, PAGES, &outcome);
	assert_int_equal(range(HINT_UNPIN, memory + 10 * RANGES_PAGE, 5, &outcome), HINT_DONE);
	turn(100);
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(pinned(memory + i * RANGES_PAGE), i < 10 || i >= 15);
	assert_int_equal(hints_applications(hints, USER), PAGES - 5);
	assert_int_equal(range(HINT_UNPIN, memory, PAGES, &outcome), HINT_DONE);
	turn(100);
	assert_int_equal(ranges_pages(&bell.pinned), 0);
	assert_int_equal(range(HINT_UNPIN, memory, PAGES, &outcome), HINT_NOBODY);
	assert_int_equal(hints_applications(hints, UINT32_MAX), 0);
}

/* Half of the pages get other frames: those are dropped as stale, and the new ones pinned. */
static void what_has_moved_is_followed(void **state)
{
	const size_t half = BYTES / 2;
	struct hints_totals totals;
	struct hint_outcome outcome;
	uint64_t old[PAGES / 2];
	char *other = map_pages();

	need_frames();
	range(HINT_PIN, memory, PAGES, &outcome);
	for (unsigned i = 0; i < PAGES / 2; i++)
		old[i] = agent_bell_frame(memory + i * RANGES_PAGE);
	assert_true(mremap(other, half, half, MREMAP_MAYMOVE | MREMAP_FIXED, memory) == memory);
	assert_int_equal(pinned_pages(memory), PAGES / 2);
	turn(config.refresh_ns / MS + 1);
	assert_int_equal(pinned_pages(memory), PAGES);
	assert_int_equal(ranges_pages(&bell.pinned), PAGES);
	for (unsigned i = 0; i < PAGES / 2; i++)
		assert_false(ranges_contains(&bell.pinned, old[i]));
	hints_totals(hints, &totals);
	assert_true(totals.stale > 0);
	/* What is given back is unpinned, too. */
	assert_int_equal(madvise(memory, BYTES, MADV_DONTNEED), 0);
	turn(config.refresh_ns / MS + 1);
	assert_int_equal(ranges_pages(&bell.pinned), 0);
	munmap(other + half, half);
}

/* When the kernel says that it has moved pages, not only when the time has come. */
static void signs_of_movement_are_seen(void **state)
{
	struct hint_outcome outcome;
	char *other = map_pages();

	need_frames();
	range(HINT_PIN, memory, PAGES, &outcome);
	turn(1000);
	assert_true(mremap(other, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, memory) == memory);
	turn(1000);
	turn(1000);
	assert_int_equal(pinned_pages(memory), 0);
	write_vmstat(1);
	turn(1000);
	assert_int_equal(pinned_pages(memory), PAGES);
	assert_int_equal(ranges_pages(&bell.pinned), PAGES);
}

static void a_page_of_two_pins_stays_for_the_other(void **state)
{
	struct hint_request request;
	struct hint_outcome outcome, second;
	struct hint_range r = {.pid = getpid(), .owner = USER, .kind = HINT_PIN};

	need_frames();
	range(HINT_PIN, memory, 20, &outcome);
	/* Another one over the same, as an operator makes it. */
	request = whole(getpid(), HINT_PIN, HINT_OF_OPERATOR);
	request.selector.keys |= SELECTOR_ADDRESS | SELECTOR_LENGTH;
	request.selector.address = (uintptr_t)memory + 10 * RANGES_PAGE;
	request.selector.length = 20 * RANGES_PAGE;
	hints_add(hints, &request, &second);
	assert_int_equal(second.answer, HINT_DONE);
	assert_int_equal(ranges_pages(&bell.pinned), 30);
	assert_true(hints_remove(hints, outcome.id));
	assert_false(hints_remove(hints, outcome.id));
	turn(100);
	assert_int_equal(ranges_pages(&bell.pinned), 20);
	assert_true(pinned(memory + 15 * RANGES_PAGE));
	assert_int_equal(hints_remove_selector(hints, HINT_OF_APPLICATION, &request.selector), 0);
	assert_int_equal(hints_remove_selector(hints, HINT_OF_OPERATOR, &request.selector), 1);
	turn(100);
	assert_int_equal(ranges_pages(&bell.pinned), 0);
	r.start = 1; /* not ours */
	r.address = (uintptr_t)memory;
	r.length = 1;
	hints_range(hints, &r, &outcome);
	assert_int_equal(outcome.answer, HINT_NOBODY);
}

static void the_dead_are_unpinned_at_once(void **state)
{
	struct hint_request request;
	struct hint_outcome outcome;
	pid_t pid;

	need_frames();
	pid = agent_child_start();
	request = whole(pid, HINT_PIN, HINT_OF_OPERATOR);
	hints_add(hints, &request, &outcome);
	assert_int_equal(outcome.answer, HINT_DONE);
	assert_true(outcome.pages > 20);
	assert_int_equal(ranges_pages(&bell.pinned), outcome.pages);
	assert_int_equal(hints_members(hints, outcome.id), 1);
	agent_child_end(pid);
	/* No pass over /proc in between. */
	now += MS;
	hints_turn(hints, now);
	assert_int_equal(ranges_pages(&bell.pinned), 0);
	hints_add(hints, &request, &outcome);
	assert_int_equal(outcome.answer, HINT_NOBODY);
}

static void a_lost_session_gets_all_pins_again(void **state)
{
	struct hint_outcome outcome;

	need_frames();
	range(HINT_PIN, memory, PAGES, &outcome);
	agent_bell_lose(&bell);
	assert_int_equal(ranges_pages(&bell.pinned), 0);
	turn(1000);
	assert_int_equal(bell.sessions, 2);
	assert_int_equal(pinned_pages(memory), PAGES);
	/* Nothing is asked of a VMM that is away. */
	session_bye(&session);
	session.beat_ns = UINT64_MAX;
	assert_int_equal(range(HINT_PREFETCH, memory, PAGES, &outcome), HINT_NO_SESSION);
	turn(config.refresh_ns / MS + 1);
	session.beat_ns = 0;
	turn(100);
	assert_int_equal(pinned_pages(memory), PAGES);
}

static void over_budget_is_refused_with_the_numbers(void **state)
{
	struct hint_outcome outcome;
	char text[200];

	need_frames();
	bell.budget = session.budget = 40;
	assert_int_equal(range(HINT_PIN, memory, 30, &outcome), HINT_DONE);
	assert_int_equal(
		range(HINT_PIN, memory + 30 * RANGES_PAGE, 11, &outcome), HINT_OVER_BUDGET);
	assert_int_equal(outcome.needs, 11);
	assert_int_equal(outcome.pinned, 30);
	assert_int_equal(outcome.budget, 40);
	assert_int_equal(outcome.id, 0);
	hints_outcome_text(&outcome, text, sizeof(text));
	assert_non_null(strstr(text, "over budget: needs 44 KiB, 120 KiB of 160 KiB"));
	turn(100);
	assert_int_equal(ranges_pages(&bell.pinned), 30);
	assert_int_equal(range(HINT_PIN, memory + 30 * RANGES_PAGE, 10, &outcome), HINT_DONE);
	assert_int_equal(ranges_pages(&bell.pinned), 40);
}

/* A policy pins what fits, comes before applications, and takes the rest when there is room. */
static void a_policy_pins_what_fits(void **state)
{
	struct hint_outcome outcome;
	struct hint_request request;
	struct hints_totals totals;

	need_frames();
	bell.budget = session.budget = 40;
	range(HINT_PIN, memory, 20, &outcome);
	request = whole(getpid(), HINT_PIN, HINT_OF_POLICY);
	request.selector.keys |= SELECTOR_ADDRESS | SELECTOR_LENGTH;
	request.selector.address = (uintptr_t)memory + 20 * RANGES_PAGE;
	request.selector.length = 30 * RANGES_PAGE;
	hints_add(hints, &request, &outcome);
	turn(1000);
	hints_totals(hints, &totals);
	assert_int_equal(ranges_pages(&bell.pinned), 40);
	assert_int_equal(totals.refused, 10);
	for (unsigned i = 20; i < 50; i++)
		assert_true(pinned(memory + i * RANGES_PAGE));
	bell.budget = 60;
	turn(1000);
	turn(config.refresh_ns / MS + 1);
	assert_int_equal(ranges_pages(&bell.pinned), 50);
}

/* At a full budget what has moved must wait until its old pages are unpinned. */
static void a_full_budget_is_no_obstacle(void **state)
{
	const size_t half = BYTES / 2;
	struct hint_outcome outcome;
	char *other = map_pages();

	need_frames();
	bell.budget = session.budget = PAGES;
	bell.slow = true;
	assert_int_equal(range(HINT_PIN, memory, PAGES, &outcome), HINT_DONE);
	assert_true(mremap(other, half, half, MREMAP_MAYMOVE | MREMAP_FIXED, memory) == memory);
	turn(config.refresh_ns / MS + 1);
	assert_int_equal(pinned_pages(memory), PAGES / 2);
	for (unsigned i = 0; i < 15; i++)
		turn(100);
	assert_int_equal(pinned_pages(memory), PAGES);
	assert_int_equal(ranges_pages(&bell.pinned), PAGES);
	munmap(other + half, half);
}

/* The VMM may drop what it could not fill in time; it says so by a number only. */
static void what_the_vmm_dropped_is_pinned_again(void **state)
{
	struct hint_outcome outcome;
	struct ranges rest = {0}, lost = {0};
	unsigned calls;

	need_frames();
	bell.slow = true;
	bell.budget = session.budget = PAGES;
	range(HINT_PIN, memory, PAGES, &outcome);
	turn(1000);
	ranges_add(&lost, agent_bell_frame(memory + 5 * RANGES_PAGE), 1);
	ranges_difference(&rest, &bell.pinned, &lost);
	ranges_free(&bell.pinned);
	ranges_free(&lost);
	bell.pinned = rest;
	for (unsigned i = 0; i < 60; i++)
		turn(100);
	assert_int_equal(pinned_pages(memory), PAGES);
	/* And then there is peace. */
	calls = bell.calls[DOORBELL_PIN];
	for (unsigned i = 0; i < 60; i++)
		turn(100);
	assert_int_equal(bell.calls[DOORBELL_PIN], calls);
}

static void max_is_kept(void **state)
{
	struct hint_outcome outcome;
	struct hint_request request;

	need_frames();
	request = whole(getpid(), HINT_PIN, HINT_OF_POLICY);
	request.selector.keys |= SELECTOR_ADDRESS | SELECTOR_LENGTH;
	request.selector.address = (uintptr_t)memory;
	request.selector.length = BYTES;
	request.max_pages = 7;
	hints_add(hints, &request, &outcome);
	assert_int_equal(ranges_pages(&bell.pinned), 7);
	turn(config.refresh_ns / MS + 1);
	assert_int_equal(ranges_pages(&bell.pinned), 7);
	assert_int_equal(pinned_pages(memory), 7);
}

static void applications_have_limits(void **state)
{
	struct hint_outcome outcome;
	struct hint_range far_away = {.pid = getpid(),
		.owner = USER,
		.kind = HINT_PIN,
		.address = UINT64_MAX - 10,
		.length = 20};

	need_frames();
	config.user_pin_pages = 32;
	config.applications_pin_pages = 40;
	assert_int_equal(range(HINT_PIN, memory, 33, &outcome), HINT_OVER_QUOTA);
	assert_int_equal(outcome.needs, 33);
	assert_int_equal(outcome.budget, 32);
	assert_int_equal(range(HINT_PIN, memory, 32, &outcome), HINT_DONE);
	/* The same again is no more. */
	assert_int_equal(range(HINT_PIN, memory, 32, &outcome), HINT_DONE);
	assert_int_equal(hints_applications(hints, USER), 32);
	assert_int_equal(range(HINT_PIN, memory + 31 * RANGES_PAGE, 2, &outcome), HINT_OVER_QUOTA);
	assert_int_equal(range(HINT_UNPIN, memory, 12, &outcome), HINT_DONE);
	assert_int_equal(range(HINT_PIN, memory, 12, &outcome), HINT_DONE);
	/* Of many small ones there are not endlessly many. */
	assert_int_equal(range(HINT_UNPIN, memory, PAGES, &outcome), HINT_DONE);
	config.user_pin_pages = config.applications_pin_pages = 100000;
	for (unsigned i = 0; i < HINTS_USER_MAX; i++)
		assert_int_equal(range(HINT_PIN, memory + i * RANGES_PAGE, 1, &outcome), HINT_DONE);
	assert_int_equal(range(HINT_PREFETCH, memory, 1, &outcome), HINT_TOO_MANY);
	hints_range(hints, &far_away, &outcome);
	assert_int_equal(outcome.answer, HINT_BAD);
	far_away.address = 4096;
	far_away.length = 0;
	hints_range(hints, &far_away, &outcome);
	assert_int_equal(outcome.answer, HINT_BAD);
}

static void one_shots_are_sent_once(void **state)
{
	struct hint_outcome outcome;

	need_frames();
	assert_int_equal(range(HINT_PREFETCH, memory, PAGES, &outcome), HINT_DONE);
	assert_int_equal(outcome.id, 0);
	assert_int_equal(range(HINT_COLD, memory, 5, &outcome), HINT_DONE);
	turn(20000);
	assert_int_equal(ranges_pages(&bell.prefetched), PAGES);
	assert_int_equal(ranges_pages(&bell.cold), 5);
	ranges_normalize(&bell.prefetched);
	for (unsigned i = 0; i < PAGES; i++)
		assert_true(ranges_contains(
			&bell.prefetched, agent_bell_frame(memory + i * RANGES_PAGE)));
	assert_int_equal(ranges_pages(&bell.pinned), 0);
}

static void busy_loses_nothing(void **state)
{
	struct hint_outcome outcome;

	need_frames();
	bell.busy = 3;
	assert_int_equal(range(HINT_PREFETCH, memory, PAGES, &outcome), HINT_PENDING);
	assert_true(hints_busy(hints));
	range(HINT_PIN, memory, PAGES, &outcome);
	for (unsigned i = 0; i < 10; i++)
		turn(50);
	assert_int_equal(bell.busy, 0);
	assert_int_equal(ranges_pages(&bell.prefetched), PAGES);
	assert_int_equal(pinned_pages(memory), PAGES);
	assert_false(hints_busy(hints));
}

/* With little work a second a pin comes late, but whole. */
static void a_large_one_does_not_hold_the_loop(void **state)
{
	const uint64_t pages = 3000;
	struct hint_request request;
	struct hint_outcome outcome;
	unsigned turns = 0;
	char *large;

	need_frames();
	large = mmap(NULL, pages * RANGES_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);
	assert_true(large != MAP_FAILED);
	memset(large, 1, pages * RANGES_PAGE);
	hints_close(hints);
	config.scan_pages = 4096;
	hints = hints_open(&session, processes, &config, vmstat);
	hints_turn(hints, now);
	request = whole(getpid(), HINT_PIN, HINT_OF_OPERATOR);
	request.selector.keys |= SELECTOR_ADDRESS | SELECTOR_LENGTH;
	request.selector.address = (uintptr_t)large;
	request.selector.length = pages * RANGES_PAGE;
	hints_add(hints, &request, &outcome);
	assert_int_equal(outcome.answer, HINT_PENDING);
	assert_int_equal(ranges_pages(&bell.pinned), 0);
	while (!ranges_pages(&bell.pinned) && ++turns < 50)
		turn(100);
	assert_in_range(turns, 5, 12);
	turn(100);
	assert_int_equal(ranges_pages(&bell.pinned), pages);
	munmap(large, pages * RANGES_PAGE);
}

/* Processes come to a living selector, and leave it. */
static void members_come_and_go(void **state)
{
	struct hint_request request = {.kind = HINT_PIN,
		.origin = HINT_OF_POLICY,
		.max_pages = UINT64_MAX,
		.partial = true};
	char word[200], error[SELECTOR_ERROR];
	struct hint_outcome outcome;
	uint64_t one;
	pid_t first, second;

	need_frames();
	selector_init(&request.selector);
	snprintf(word, sizeof(word), "exe=%s", agent_child_path());
	assert_int_equal(selector_word(&request.selector, word, error), 0);
	hints_add(hints, &request, &outcome);
	assert_true(outcome.id != 0);
	turn(1000);
	assert_int_equal(ranges_pages(&bell.pinned), 0);
	first = agent_child_start();
	turn(1000);
	assert_int_equal(hints_members(hints, outcome.id), 1);
	one = ranges_pages(&bell.pinned);
	assert_true(one > 20);
	second = agent_child_start();
	turn(1000);
	assert_int_equal(hints_members(hints, outcome.id), 2);
	/* They share their program's and libraries' pages. */
	assert_true(ranges_pages(&bell.pinned) > one && ranges_pages(&bell.pinned) < 2 * one);
	agent_child_end(first);
	turn(100);
	assert_int_equal(hints_members(hints, outcome.id), 1);
	agent_child_end(second);
	turn(100);
	assert_int_equal(ranges_pages(&bell.pinned), 0);
}

static int group_set_up(void **state)
{
	int fd;

	agent_child_program("annexhints");
	strcpy(vmstat, "/tmp/annex-vmstat-XXXXXX");
	fd = mkstemp(vmstat);
	assert_true(fd >= 0);
	close(fd);
	return 0;
}

static int group_tear_down(void **state)
{
	agent_child_program_remove();
	unlink(vmstat);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_range_is_pinned_at_once),
		TEST(unpin_cuts_a_hole),
		TEST(what_has_moved_is_followed),
		TEST(signs_of_movement_are_seen),
		TEST(a_page_of_two_pins_stays_for_the_other),
		TEST(the_dead_are_unpinned_at_once),
		TEST(a_lost_session_gets_all_pins_again),
		TEST(over_budget_is_refused_with_the_numbers),
		TEST(a_policy_pins_what_fits),
		TEST(a_full_budget_is_no_obstacle),
		TEST(what_the_vmm_dropped_is_pinned_again),
		TEST(max_is_kept),
		TEST(applications_have_limits),
		TEST(one_shots_are_sent_once),
		TEST(busy_loses_nothing),
		TEST(a_large_one_does_not_hold_the_loop),
		TEST(members_come_and_go),
	};

	return cmocka_run_group_tests_name("agent hints", tests, group_set_up, group_tear_down);
}
