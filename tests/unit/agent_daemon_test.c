/* SPDX-License-Identifier: MIT */
/* The daemon as a whole, against a doorbell that checks every request; and the IN itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include <cmocka.h>
#include "annex/version.h"
#include "guest-agent/agent.h"
#include "guest-agent/annex_hint.h"
#include "guest-agent/lock.h"
#include "guest-agent/log.h"
#include "tests/unit/agent_bell.h"

#define PAGES 16u
#define MS    1000000ull

static struct agent_bell bell;
static struct agent agent;
static char directory[64], config_path[100], socket_path[100];
static uint64_t now;

static void write_config(const char *text)
{
	FILE *f = fopen(config_path, "we");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
	log_level(LOG_EMERG);
	strcpy(directory, "/tmp/annex-daemon-XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(config_path, sizeof(config_path), "%s/agent.conf", directory);
	snprintf(socket_path, sizeof(socket_path), "%s/socket", directory);
	write_config("log = error\npin comm=annex-nothing\n");
	memset(&agent, 0, sizeof(agent));
	agent_bell_init(&bell, 100000);
	agent.doorbell = &bell.bell;
	agent.config_path = config_path;
	agent.config_needed = true;
	assert_int_equal(agent_open(&agent, socket_path), 0);
	log_level(LOG_EMERG);
	now = agent.started_ns;
	agent_turn(&agent, now);
	return 0;
}

static int tear_down(void **state)
{
	agent_close(&agent);
	agent_bell_free(&bell);
	unlink(config_path);
	return rmdir(directory); /* the socket is gone */
}

static void turns(unsigned count)
{
	while (count--) {
		now += 100 * MS;
		agent_turn(&agent, now);
	}
}

/* A client in this process: what it sends waits until the agent's next turn. */
static int connect_client(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, socket_path, sizeof(socket_path));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static struct annex_hint_answer ask(
	int fd, enum annex_hint_kind kind, const void *address, size_t length, char *text)
{
	struct annex_hint_request request = {
		.magic = ANNEX_HINT_MAGIC,
		.version = ANNEX_HINT_VERSION,
		.kind = (uint16_t)kind,
		.address = (uintptr_t)address,
		.length = length,
	};
	static char packet[sizeof(struct annex_hint_answer) + ANNEX_HINT_TEXT_MAX];
	struct annex_hint_answer answer;
	ssize_t got;

	assert_int_equal(send(fd, &request, sizeof(request), MSG_NOSIGNAL), sizeof(request));
	turns(3);
	got = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
	assert_true(got >= (ssize_t)sizeof(answer));
	memcpy(&answer, packet, sizeof(answer));
	assert_int_equal((size_t)got, sizeof(answer) + answer.text_length);
	if (text) {
		memcpy(text, packet + sizeof(answer), answer.text_length);
		text[answer.text_length] = '\0';
	}
	return answer;
}

static void reports_once_a_second(void **state)
{
	struct report report;

	turns(30);
	assert_in_range(bell.calls[DOORBELL_BEAT], 2, 4);
	assert_int_equal(bell.committed[DOORBELL_REPORT], sizeof(report));
	memcpy(&report, bell.buffer[DOORBELL_REPORT], sizeof(report));
	assert_int_equal(report.magic, REPORT_MAGIC);
	assert_int_equal(report.size, sizeof(report));
	assert_string_equal(report.agent, ANNEX_VERSION);
	assert_int_equal(report.policies, 1);
	assert_int_equal(report.targets, 0);
	assert_in_range(report.sequence, 2, 5);
	assert_true(report.uptime_ns >= 2000 * MS);
}

static void acts_on_a_message_once(void **state)
{
	agent_bell_tell(&bell, "policy add pin comm=annex-more");
	turns(9);
	/* Its reply does not arrive at first. */
	bell.busy_commits = 4;
	turns(10);
	assert_int_equal(bell.busy_commits, 0);
	assert_string_equal(bell.buffer[DOORBELL_REPLY], "ok policy 2\n");
	assert_int_equal(bell.message, 0);
	turns(30);
	assert_int_equal(policies_count(agent.policies), 2);
	agent_bell_tell(&bell, "nonsense");
	turns(11);
	assert_memory_equal(bell.buffer[DOORBELL_REPLY], "error: ", 7);
}

static void applications_hint_about_themselves(void **state)
{
	char *memory = mmap(NULL, PAGES * RANGES_PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct annex_hint_answer answer;
	int fd;

	if (!agent_bell_frames_shown())
		skip();
	assert_true(memory != MAP_FAILED);
	memset(memory, 1, PAGES * RANGES_PAGE);
	fd = connect_client();
	answer = ask(fd, ANNEX_HINT_PIN, memory, PAGES * RANGES_PAGE, NULL);
	assert_int_equal(answer.result, ANNEX_HINT_OK);
	assert_int_equal(answer.pages, PAGES);
	assert_int_equal(answer.used, PAGES * RANGES_PAGE);
	for (unsigned i = 0; i < PAGES; i++)
		assert_true(
			ranges_contains(&bell.pinned, agent_bell_frame(memory + i * RANGES_PAGE)));
	answer = ask(fd, ANNEX_HINT_COLD, memory, RANGES_PAGE, NULL);
	assert_int_equal(answer.result, ANNEX_HINT_OK);
	assert_int_equal(ranges_pages(&bell.cold), 1);
	answer = ask(fd, ANNEX_HINT_UNPIN, memory, PAGES * RANGES_PAGE, NULL);
	assert_int_equal(answer.result, ANNEX_HINT_OK);
	assert_int_equal(ranges_pages(&bell.pinned), 0);
	close(fd);
	munmap(memory, PAGES * RANGES_PAGE);
}

static void tells_its_state(void **state)
{
	char text[ANNEX_HINT_TEXT_MAX + 1];
	json_t *json;
	int fd = connect_client();

	if (geteuid() != 0)
		skip();
	assert_int_equal(ask(fd, ANNEX_HINT_STATUS, NULL, 0, text).result, ANNEX_HINT_OK);
	close(fd);
	json = json_loads(text, 0, NULL);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "version")), ANNEX_VERSION);
	assert_int_equal(json_integer_value(json_object_get(json, "session")), bell.session);
	assert_int_equal(json_integer_value(json_object_get(json, "policies")), 1);
	assert_int_equal(
		json_integer_value(json_object_get(json, "budget_bytes")), 100000 * RANGES_PAGE);
	json_decref(json);
}

static void a_bad_configuration_changes_nothing(void **state)
{
	write_config("log = error\nrefresh = 5\npin comm=annex-nothing\npin comm=annex-more\n");
	agent_reload(&agent);
	log_level(LOG_EMERG);
	assert_int_equal(policies_count(agent.policies), 2);
	assert_true(agent.config.refresh_ns == 5000 * MS);
	write_config("refresh = 6\npin comm=annex-nothing\nhold everything\n");
	agent_reload(&agent);
	assert_int_equal(policies_count(agent.policies), 2);
	assert_true(agent.config.refresh_ns == 5000 * MS);
	/* One that is gone was meant to be there. */
	unlink(config_path);
	agent_reload(&agent);
	assert_int_equal(policies_count(agent.policies), 2);
}

static void signals_reload_and_end_it(void **state)
{
	write_config("pin comm=annex-nothing\npin comm=annex-more\nlog = error\n");
	raise(SIGHUP);
	raise(SIGTERM);
	assert_int_equal(agent_run(&agent), 0);
	assert_int_equal(policies_count(agent.policies), 2);
	session_bye(&agent.session);
	assert_int_equal(bell.calls[DOORBELL_BYE], 1);
	assert_int_equal(bell.session, 0);
}

static void another_version_ends_the_loop(void **state)
{
	agent_bell_lose(&bell);
	bell.version = DOORBELL_VERSION + 1;
	assert_int_equal(agent_run(&agent), 1);
}

static void once_ends_by_itself(void **state)
{
	assert_int_equal(agent_run_once(&agent), 0);
	assert_true(bell.calls[DOORBELL_COMMIT] > 0);
}

/* The lock is a process's: another one is told whose. */
static void there_is_one_at_a_time(void **state)
{
	char path[120];
	pid_t child, holder;
	int status;

	snprintf(path, sizeof(path), "%s/lock", directory);
	assert_int_equal(lock_take(path, &holder), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(lock_take(path, &holder) == 1 && holder == getppid() ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	unlink(path);
}

/* Without the port's permission the IN raises a fault: the handler is the VMM. */
static gregset_t rung;
static unsigned rings;
static const int word_registers[DOORBELL_WORDS] = {
	REG_RSI, REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static void be_the_vmm(int number, siginfo_t *info, void *context)
{
	greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;

	if (*(const unsigned char *)r[REG_RIP] != 0xed) /* IN EAX, DX */
		_exit(99);
	memcpy(rung, r, sizeof(rung));
	rings++;
	r[REG_RAX] = DOORBELL_OVER_BUDGET;
	for (unsigned i = 0; i < DOORBELL_WORDS; i++)
		r[word_registers[i]] = 5000 + i;
	r[REG_RIP]++;
}

static void the_in_carries_all_registers(void **state)
{
	struct sigaction vmm = {.sa_sigaction = be_the_vmm, .sa_flags = SA_SIGINFO}, before;
	struct doorbell d = {.call = doorbell_ring, .port = DOORBELL_PORT};
	uint64_t words[DOORBELL_WORDS];

	for (unsigned i = 0; i < DOORBELL_WORDS; i++)
		words[i] = (uint64_t)i << 40 | (i + 1);
	assert_int_equal(sigaction(SIGSEGV, &vmm, &before), 0);
	assert_int_equal(
		doorbell_call(&d, DOORBELL_PIN, 0x123456789abcdefull, words), DOORBELL_OVER_BUDGET);
	sigaction(SIGSEGV, &before, NULL);
	assert_int_equal(rings, 1);
	assert_int_equal(rung[REG_RAX], DOORBELL_MAGIC);
	assert_int_equal(rung[REG_RBX], DOORBELL_PIN);
	assert_int_equal(rung[REG_RCX], 0x123456789abcdefull);
	assert_int_equal(rung[REG_RDX], DOORBELL_PORT);
	for (unsigned i = 0; i < DOORBELL_WORDS; i++) {
		assert_int_equal(rung[word_registers[i]], (uint64_t)i << 40 | (i + 1));
		assert_int_equal(words[i], 5000 + i);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reports_once_a_second),
		TEST(acts_on_a_message_once),
		TEST(applications_hint_about_themselves),
		TEST(tells_its_state),
		TEST(a_bad_configuration_changes_nothing),
		TEST(signals_reload_and_end_it),
		TEST(another_version_ends_the_loop),
		TEST(once_ends_by_itself),
		TEST(there_is_one_at_a_time),
		cmocka_unit_test(the_in_carries_all_registers),
	};

	return cmocka_run_group_tests_name("agent daemon", tests, NULL, NULL);
}
