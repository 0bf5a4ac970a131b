/* SPDX-License-Identifier: MIT */
/* Policies over real processes, and what the operator's messages do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "annex/version.h"
#include "guest-agent/agent.h"
#include "guest-agent/log.h"
#include "guest-agent/message.h"
#include "tests/unit/agent_bell.h"
#include "tests/unit/agent_child.h"

#define MS 1000000ull

static struct agent_bell bell;
static struct agent agent;
static char cgroups[64]; /* a directory for the mount of cgroup v2 */
static char events[4500]; /* cgroup.events of our own cgroup there; "": we have none */
static uint64_t now;
static char reply[DOORBELL_REPLY_MAX + 1];

static void turn(uint64_t ms)
{
	now += ms * MS;
	agent.now_ns = now;
	session_turn(&agent.session, now);
	processes_turn(agent.processes);
	hints_turn(agent.hints, now);
	policies_turn(agent.policies, now);
}

static void write_events(int frozen)
{
	FILE *f = fopen(events, "we");

	assert_non_null(f);
	fprintf(f, "populated 1\nfrozen %d\n", frozen);
	assert_int_equal(fclose(f), 0);
}

static void make_cgroup(void)
{
	const struct process *self = processes_look(agent.processes, getpid());
	char command[5000];

	strcpy(cgroups, "/tmp/annex-cgroup-XXXXXX");
	assert_non_null(mkdtemp(cgroups));
	events[0] = '\0';
	if (!self->cgroup[0])
		return;
	snprintf(command, sizeof(command), "mkdir -p '%s%s'", cgroups, self->cgroup);
	assert_int_equal(system(command), 0);
	snprintf(events, sizeof(events), "%s%s/cgroup.events", cgroups, self->cgroup);
	write_events(0);
}

static int set_up(void **state)
{
	log_level(LOG_EMERG);
	memset(&agent, 0, sizeof(agent));
	agent_bell_init(&bell, 100000);
	agent.doorbell = &bell.bell;
	session_init(&agent.session, &bell.bell, DOORBELL_RATE);
	config_default(&agent.config);
	agent.processes = processes_open("/proc");
	agent.hints = hints_open(&agent.session, agent.processes, &agent.config, "/dev/null");
	make_cgroup();
	agent.policies = policies_open(agent.hints, agent.processes, cgroups);
	now = agent.started_ns = 1000000 * MS;
	turn(0);
	return 0;
}

static int tear_down(void **state)
{
	char command[100];

	policies_close(agent.policies);
	hints_close(agent.hints);
	processes_close(agent.processes);
	agent_bell_free(&bell);
	snprintf(command, sizeof(command), "rm -r '%s'", cgroups);
	return system(command);
}

static void need_frames(void)
{
	if (!agent_bell_frames_shown()) {
		print_message("the kernel hides page frame numbers: CAP_SYS_ADMIN is missing\n");
		skip();
	}
}

static void configure(const char *format)
{
	char text[1000], error[CONFIG_ERROR];

	snprintf(text, sizeof(text), format, agent_child_path());
	if (config_parse(&agent.config, "test", text, error) != 0)
		fail_msg("%s", error);
	policies_set(agent.policies, &agent.config);
}

static const char *tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static const char *tell(const char *format, ...)
{
	va_list arguments;
	char line[400];

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	message_answer(&agent, line, reply, sizeof(reply));
	assert_true(strlen(reply) > 0 && reply[strlen(reply) - 1] == '\n');
	return reply;
}

#define SAYS(part, ...)                                                                            \
	do {                                                                                       \
		if (!strstr(tell(__VA_ARGS__), part))                                              \
			fail_msg("'%s' has no '%s'", reply, part);                                 \
	} while (0)

static void a_pin_waits_for_its_process(void **state)
{
	pid_t pid;

	need_frames();
	configure("pin exe=%s max=64K\n");
	turn(1000);
	assert_int_equal(policies_count(agent.policies), 1);
	assert_int_equal(policies_targets(agent.policies), 0);
	pid = agent_child_start();
	turn(1000);
	turn(1000);
	assert_int_equal(policies_targets(agent.policies), 1);
	assert_int_equal(ranges_pages(&bell.pinned), 16);
	/* The same again changes nothing; another takes its place. */
	configure("# now with a comment\npin   exe=%s max=64K\n");
	turn(100);
	assert_int_equal(ranges_pages(&bell.pinned), 16);
	assert_int_equal(bell.calls[DOORBELL_UNPIN], 0);
	configure("pin exe=%s max=32K\n");
	turn(100);
	turn(1000);
	assert_int_equal(ranges_pages(&bell.pinned), 8);
	configure("");
	turn(100);
	assert_int_equal(ranges_pages(&bell.pinned), 0);
	agent_child_end(pid);
}

static void cold_is_said_again_and_again(void **state)
{
	uint64_t once;
	pid_t pid;

	need_frames();
	pid = agent_child_start();
	turn(0);
	configure("cold exe=%s every=5\n");
	turn(1000);
	once = ranges_pages(&bell.cold);
	assert_true(once > 20);
	turn(1000);
	assert_int_equal(ranges_pages(&bell.cold), once);
	turn(5000);
	assert_int_equal(ranges_pages(&bell.cold), 2 * once);
	agent_child_end(pid);
}

static void one_that_is_continued_is_prefetched(void **state)
{
	pid_t pid;

	need_frames();
	pid = agent_child_start();
	configure("prefetch exe=%s on=wake\n");
	turn(1000);
	turn(1000);
	assert_int_equal(policies_targets(agent.policies), 1);
	assert_int_equal(policies_deadline(agent.policies), UINT64_MAX);
	kill(pid, SIGSTOP);
	agent_child_state(pid, 'T');
	turn(1000);
	turn(1000);
	assert_true(policies_deadline(agent.policies) <= now + 100 * MS);
	assert_int_equal(ranges_pages(&bell.prefetched), 0);
	kill(pid, SIGCONT);
	agent_child_state(pid, 'S');
	/* Without a pass over /proc. */
	now += 100 * MS;
	policies_turn(agent.policies, now);
	assert_true(ranges_pages(&bell.prefetched) > 20);
	bell.calls[DOORBELL_PREFETCH] = 0;
	turn(1000);
	turn(1000);
	assert_int_equal(bell.calls[DOORBELL_PREFETCH], 0);
	agent_child_end(pid);
}

static void a_cgroup_that_thaws_is_prefetched(void **state)
{
	pid_t pid;

	need_frames();
	if (!events[0]) {
		print_message("no cgroup v2 here\n");
		skip();
	}
	pid = agent_child_start();
	configure("prefetch exe=%s\n");
	write_events(1);
	turn(1000);
	turn(1000);
	assert_int_equal(ranges_pages(&bell.prefetched), 0);
	write_events(0);
	now += 100 * MS;
	policies_turn(agent.policies, now);
	assert_true(ranges_pages(&bell.prefetched) > 20);
	assert_int_equal(policies_deadline(agent.policies), UINT64_MAX);
	agent_child_end(pid);
}

static void messages_are_answered(void **state)
{
	SAYS("ok annex-agent " ANNEX_VERSION "\n", "ping");
	SAYS("ok\n", "stat");
	SAYS("session 1", "  stat ");
	SAYS("ok\n", "check");
	assert_true(strlen(reply) > 100);
	SAYS("error: 'hello' is none of ping", "hello there");
	SAYS("error: '' is none of", "%s", "");
	SAYS("error: ping takes nothing", "ping pong");
	SAYS("error: whose memory", "pin");
	SAYS("error: whose memory", "pin max=1M");
	SAYS("error: max: a size", "pin pid=1 max=lots");
	SAYS("error: 'on=wake' is no selector", "prefetch comm=x on=wake");
	SAYS("error: 'max=1M' is no selector", "unpin pid=1 max=1M");
	SAYS("error: there is no such process", "pin comm=no-such-thing");
	SAYS("error: there is no such process", "cold file=/no/such/file");
	SAYS("error: the operator has no such pin", "unpin pid=1");
	SAYS("error: policy add LINE", "policy");
	SAYS("error: policy add LINE", "policy delete 1");
	SAYS("error: policy remove takes", "policy remove x");
	SAYS("error: policy remove takes", "policy remove 1 2");
	SAYS("error: there is no policy 77", "policy remove 77");
	SAYS("error: 'hold' is no policy", "policy add hold comm=x");
}

static void the_operator_pins(void **state)
{
	pid_t pid;

	need_frames();
	pid = agent_child_start();
	SAYS("ok", "pin pid=%d max=64K", (int)pid);
	SAYS("64 KiB of far memory", "pin max=64K pid=%d", (int)pid);
	turn(100);
	assert_int_equal(ranges_pages(&bell.pinned), 16);
	SAYS("(operator): 1 processes, 64 KiB", "stat");
	SAYS("ok", "prefetch pid=%d", (int)pid);
	SAYS("ok", "cold exe=%s", agent_child_path());
	assert_true(ranges_pages(&bell.prefetched) > 20);
	assert_int_equal(ranges_pages(&bell.cold), ranges_pages(&bell.prefetched));
	SAYS("ok\n", "unpin pid=%d", (int)pid);
	turn(100);
	assert_int_equal(ranges_pages(&bell.pinned), 0);
	bell.budget = agent.session.budget = 5;
	SAYS("error: over budget: needs", "pin pid=%d", (int)pid);
	agent_child_end(pid);
}

static void the_operator_adds_policies(void **state)
{
	pid_t pid;

	need_frames();
	pid = agent_child_start();
	configure("pin comm=some-thing\n");
	SAYS("ok policy 2\n", "policy add pin exe=%s max=64K", agent_child_path());
	turn(1000);
	turn(1000);
	assert_int_equal(ranges_pages(&bell.pinned), 16);
	SAYS("1 pin comm=some-thing (configured): 0 now\n2 pin exe=", "policies");
	SAYS("(operator): 1 now", "policies");
	/* Another reading of the configuration leaves it. */
	configure("");
	SAYS("ok\n2 pin exe=", "policies");
	SAYS("ok\n", "policy remove 2");
	turn(100);
	assert_int_equal(ranges_pages(&bell.pinned), 0);
	agent_child_end(pid);
}

static int group_set_up(void **state)
{
	agent_child_program("annexpolicy");
	return 0;
}

static int group_tear_down(void **state)
{
	agent_child_program_remove();
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_pin_waits_for_its_process),
		TEST(cold_is_said_again_and_again),
		TEST(one_that_is_continued_is_prefetched),
		TEST(a_cgroup_that_thaws_is_prefetched),
		TEST(messages_are_answered),
		TEST(the_operator_pins),
		TEST(the_operator_adds_policies),
	};

	return cmocka_run_group_tests_name("agent policies", tests, group_set_up, group_tear_down);
}
