/* SPDX-License-Identifier: MIT */
/* guest-agent/socket*.c, libannex-hint and annex-hint: whose memory, by whom, and what is told. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "agent_client.h"

static uint64_t start_of(pid_t pid)
{
	char path[64], text[1024];
	unsigned long long value = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	char *p = strrchr(text, ')');

	for (unsigned i = 0; p && i < 20; i++)
		p = strchr(p + 1, ' ');
	assert_non_null(p);
	sscanf(p, " %llu", &value);
	return value;
}

static void own_memory(void **state)
{
	pid_t child = CLIENT(NOBODY, {
		CHECK(annex_hint_prefetch((void *)0x12345678, 5000) == 0);
		CHECK(annex_hint_reason()[0] == 0);
		pause();
	});

	while (world.hints == 0)
		agent_client_turn(10);
	assert_int_equal(world.last.kind, ANNEX_HINT_PREFETCH);
	assert_int_equal(world.last.pid, child);
	assert_int_equal(world.last.uid, NOBODY);
	assert_int_equal(world.last.starttime, start_of(child));
	assert_int_equal(world.last.address, 0x12345000);
	assert_int_equal(world.last.length, 0x2000);
	kill(child, SIGKILL);
	agent_client_serve(child);
	assert_int_equal(
		agent_client_serve(CLIENT(NOBODY, CHECK(annex_hint_cold((void *)4096, 1) == 0))),
		0);
	assert_int_equal(world.last.kind, ANNEX_HINT_COLD);
	assert_int_equal(
		agent_client_serve(CLIENT(NOBODY, CHECK(annex_hint_unpin((void *)4096, 1) == 0))),
		0);
	assert_int_equal(world.last.kind, ANNEX_HINT_UNPIN);
	/* Longer than one request may be. */
	world.hints = 0;
	assert_int_equal(
		agent_client_serve(CLIENT(NOBODY,
			CHECK(annex_hint_prefetch((void *)4096, 5 * (ANNEX_HINT_MAX / 2)) == 0))),
		0);
	assert_int_equal(world.hints, 3);
	assert_int_equal(world.last.address, 4096 + 2 * ANNEX_HINT_MAX);
	assert_int_equal(world.last.length, ANNEX_HINT_MAX / 2);
	assert_int_equal(agent_client_counters().bad + agent_client_counters().not_yours +
				 agent_client_counters().refused,
		0);
}

static void refused_with_reason(void **state)
{
	socket_pin_max(world.server, 0);
	assert_int_equal(
		agent_client_serve(CLIENT(NOBODY,
			{
				CHECK(annex_hint_pin((void *)4096, 4096) == -1 && errno == EPERM);
				CHECK(strstr(annex_hint_reason(), "applications-pin"));
				CHECK(annex_hint_prefetch((void *)4096, 4096) == 0 &&
					!annex_hint_reason()[0]);
			})),
		0);
	assert_int_equal(world.hints, 1);
	socket_pin_max(world.server, 4096);
	static const struct {
		enum annex_hint_result result;
		int error;
	} table[] = {{ANNEX_HINT_OVER_LIMIT, ENOSPC}, {ANNEX_HINT_BUSY, EAGAIN},
		{ANNEX_HINT_GONE, ESRCH}, {ANNEX_HINT_REFUSED, EPERM}};

	for (unsigned i = 0; i < 4; i++) {
		world.answer_with = table[i].result;
		assert_int_equal(agent_client_serve(CLIENT(NOBODY,
					 {
						 CHECK(annex_hint_pin((void *)4096, 4096) == -1 &&
							 errno == table[i].error);
						 CHECK(strcmp(annex_hint_reason(), "because") == 0);
					 })),
			0);
	}
	assert_int_equal(
		agent_client_serve(CLIENT(NOBODY,
			{
				CHECK(annex_hint_pin((void *)4096, 0) == -1 && errno == EINVAL);
				CHECK(annex_hint_pin((void *)UINTPTR_MAX, 4096) == -1 &&
					errno == EINVAL);
				CHECK(annex_hint_process(99, 0, 4096, 4096) == -1 &&
					errno == EINVAL);
				CHECK(annex_hint_process(ANNEX_HINT_PIN, -1, 4096, 4096) == -1 &&
					errno == EINVAL);
			})),
		0);
}

static void about(pid_t pid, uid_t client, bool allowed)
{
	unsigned before = world.hints;

	assert_int_equal(agent_client_serve(CLIENT(client,
				 {
					 int r = annex_hint_process(
						 ANNEX_HINT_COLD, pid, 4096, 4096);

					 CHECK(allowed ? r == 0
						       : r == -1 && errno == EPERM &&
								 annex_hint_reason()[0]);
				 })),
		0);
	assert_int_equal(world.hints, before + allowed);
	if (allowed)
		assert_int_equal(world.last.pid, pid);
}

static void others_memory(void **state)
{
	pid_t mine = agent_client_target(NOBODY, true, NOBODY, NOBODY),
	      hidden = agent_client_target(NOBODY, false, NOBODY, NOBODY);
	pid_t group = agent_client_target(NOBODY, true, OTHER, NOBODY),
	      setuid = agent_client_target(NOBODY, true, NOBODY, 0);
	pid_t others = agent_client_target(OTHER, true, OTHER, OTHER);
	pid_t gone = CLIENT(NOBODY, );

	waitpid(gone, NULL, 0);
	about(mine, NOBODY, true);
	about(hidden, NOBODY, false);
	about(group, NOBODY, false);
	about(setuid, NOBODY, false);
	about(others, NOBODY, false);
	about(getpid(), NOBODY, false); /* root's */
	about(1, NOBODY, false);
	about(mine, OTHER, false);
	about(others, OTHER, true);
	about(mine, 0, false); /* root's way is agent.conf */
	assert_int_equal(agent_client_counters().not_yours, 8);
	assert_int_equal(
		agent_client_serve(CLIENT(NOBODY,
			{
				CHECK(annex_hint_process(ANNEX_HINT_COLD, gone, 4096, 4096) == -1 &&
					errno == ESRCH);
				CHECK(annex_hint_process(ANNEX_HINT_COLD, INT32_MAX, 4096, 4096) ==
						-1 &&
					errno == ESRCH);
			})),
		0);
	const pid_t all[] = {mine, hidden, group, setuid, others};

	for (unsigned i = 0; i < 5; i++) {
		kill(all[i], SIGKILL);
		waitpid(all[i], NULL, 0);
	}
}

/* Who holds the connection does not matter: a hint is about the process that sends it. */
static void handed_on(void **state)
{
	pid_t child = fork();

	if (child == 0) {
		int fd = agent_client_connect(); /* as root */
		struct annex_hint_request r = agent_client_request(ANNEX_HINT_COLD, 4096, 4096);
		pid_t grandchild = CLIENT(NOBODY, {
			CHECK(agent_client_exchange(fd, &r, sizeof(r)) == ANNEX_HINT_OK);
			r.pid = (uint32_t)getppid(); /* the one that has connected */
			CHECK(agent_client_exchange(fd, &r, sizeof(r)) == ANNEX_HINT_NOT_YOURS);
			r.kind = ANNEX_HINT_STATUS;
			r.pid = 0;
			r.address = r.length = 0;
			CHECK(agent_client_exchange(fd, &r, sizeof(r)) == ANNEX_HINT_REFUSED);
		});
		int status;

		CHECK(waitpid(grandchild, &status, 0) == grandchild && status == 0);
		_exit(0);
	}
	assert_int_equal(agent_client_serve(child), 0);
	assert_int_equal(world.hints, 1);
	assert_int_equal(world.last.uid, NOBODY);
	assert_int_not_equal(world.last.pid, child);
}

/* The kernel does not let a user claim another process. */
static void false_credentials(void **state)
{
	pid_t parent = getpid();

	assert_int_equal(
		agent_client_serve(CLIENT(NOBODY,
			{
				int fd = agent_client_connect();
				struct annex_hint_request r =
					agent_client_request(ANNEX_HINT_COLD, 4096, 4096);
				struct ucred claimed = {parent, 0, 0};
				union {
					struct cmsghdr head;
					char bytes[CMSG_SPACE(sizeof(claimed))];
				} control = {.head = {CMSG_LEN(sizeof(claimed)), SOL_SOCKET,
						     SCM_CREDENTIALS}};
				struct iovec part = {&r, sizeof(r)};
				struct msghdr m = {.msg_iov = &part,
					.msg_iovlen = 1,
					.msg_control = &control,
					.msg_controllen = sizeof(control)};

				memcpy(CMSG_DATA(&control.head), &claimed, sizeof(claimed));
				CHECK(sendmsg(fd, &m, MSG_NOSIGNAL) == -1 && errno == EPERM);
			})),
		0);
	assert_int_equal(world.hints, 0);
}

static void root_asks_for_state(void **state)
{
	assert_int_equal(agent_client_serve(CLIENT(0,
				 {
					 struct annex_hint_request r =
						 agent_client_request(ANNEX_HINT_STATUS, 0, 0);

					 CHECK(agent_client_exchange(agent_client_connect(), &r,
						       sizeof(r)) == ANNEX_HINT_OK);
				 })),
		0);
	assert_int_equal(agent_client_serve(CLIENT(NOBODY,
				 {
					 struct annex_hint_request r =
						 agent_client_request(ANNEX_HINT_STATUS, 0, 0);

					 CHECK(agent_client_exchange(agent_client_connect(), &r,
						       sizeof(r)) == ANNEX_HINT_REFUSED);
				 })),
		0);
	assert_int_equal(world.hints, 0);
}

static void one_listener(void **state)
{
	char error[200] = "";
	struct stat st;

	assert_int_equal(stat(ANNEX_HINT_SOCKET, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
	assert_null(agent_client_listen(0, error, sizeof(error)));
	assert_non_null(strstr(error, "another agent listens"));
	assert_int_equal(
		agent_client_serve(CLIENT(NOBODY, CHECK(annex_hint_cold((void *)4096, 1) == 0))),
		0);
	/* What is left of a daemon that was killed is replaced. */
	socket_free(world.server);
	world.server = NULL;
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = ANNEX_HINT_SOCKET};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(chmod(ANNEX_HINT_SOCKET, 0666), 0);
	close(fd);
	pid_t child = CLIENT(
		NOBODY, CHECK(annex_hint_cold((void *)4096, 1) == -1 && errno == ECONNREFUSED));
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	world.server = agent_client_listen(0, error, sizeof(error));
	assert_non_null(world.server);
	assert_int_equal(
		agent_client_serve(CLIENT(NOBODY, CHECK(annex_hint_cold((void *)4096, 1) == 0))),
		0);
	/* A file that is no socket is left alone. */
	socket_free(world.server);
	world.server = NULL;
	fd = open(ANNEX_HINT_SOCKET, O_CREAT | O_WRONLY, 0600);
	close(fd);
	world.server = agent_client_listen(0, error, sizeof(error));
	assert_null(world.server);
	assert_non_null(strstr(error, "in use"));
	unlink(ANNEX_HINT_SOCKET);
	struct socket_config long_path = {
		"/run/annex/"
		"a-path-that-is-much-longer-than-a-socket-may-have-0123456789-0123456789-"
		"0123456789-0123456789-0123456789",
		0, NULL, NULL, NULL};

	assert_null(socket_new(&long_path, error, sizeof(error)));
	assert_non_null(strstr(error, "longer"));
}

/* build/annex-hint; this is build/unit/agent_socket_test. */
static int open_tool(void)
{
	char path[512];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("/annex-hint"));

	assert_true(n > 0);
	path[n] = 0;
	*strrchr(path, '/') = 0;
	memcpy(strrchr(path, '/'), "/annex-hint", sizeof("/annex-hint"));
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* annex-hint, run by a process about that process, or another. */
static void tool(void **state)
{
	int program = open_tool();
	pid_t runner =
		agent_client_target(OTHER, true, OTHER, OTHER); /* not an ancestor of the tool */
	char number[16];

	snprintf(number, sizeof(number), "%d", runner);
	const struct {
		char *word[7];
		int code;
		enum annex_hint_kind kind;
		uint64_t length;
	} table[] = {
		{{"annex-hint", "prefetch", "0x400000", "1M", NULL}, 0, ANNEX_HINT_PREFETCH,
			1 << 20},
		{{"annex-hint", "pin", "4096", "8192", NULL}, 0, ANNEX_HINT_PIN, 8192},
		{{"annex-hint", "-p", number, "cold", "0x1000", "1", NULL}, 0, ANNEX_HINT_COLD,
			4096},
		{{"annex-hint", "-p", "1", "cold", "0x1000", "1", NULL}, 1, 0, 0},
		{{"annex-hint", "warm", "0x1000", "1", NULL}, 2, 0, 0},
		{{"annex-hint", "cold", "-1", "1", NULL}, 2, 0, 0},
		{{"annex-hint", "cold", "0x1000", "0", NULL}, 2, 0, 0},
		{{"annex-hint", "cold", "0x1000", "1T", NULL}, 2, 0, 0},
		{{"annex-hint", "cold", "0x1000", NULL}, 2, 0, 0},
		{{"annex-hint", "--help", NULL}, 0, 0, 0},
	};

	assert_true(program >= 0);
	for (unsigned i = 0; i < sizeof(table) / sizeof(*table); i++) {
		unsigned before = world.hints;
		pid_t parent = CLIENT(OTHER, {
			prctl(PR_SET_DUMPABLE, 1);
			pid_t child = fork();
			int status;

			if (child == 0) {
				int null = open("/dev/null", O_WRONLY);

				dup2(null, 1);
				dup2(null, 2);
				fexecve(program, table[i].word, (char *[]){NULL});
				_exit(96);
			}
			waitpid(child, &status, 0);
			_exit(WEXITSTATUS(status));
		});

		assert_int_equal(agent_client_serve(parent), table[i].code);
		assert_int_equal(world.hints, before + (table[i].kind != 0));
		if (!table[i].kind)
			continue;
		assert_int_equal(world.last.kind, table[i].kind);
		assert_int_equal(world.last.length, table[i].length);
		assert_int_equal(
			world.last.pid, table[i].kind == ANNEX_HINT_COLD ? runner : parent);
	}
	close(program);
	kill(runner, SIGKILL);
	waitpid(runner, NULL, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, agent_client_begin, agent_client_end)
	const struct CMUnitTest tests[] = {
		TEST(own_memory),
		TEST(refused_with_reason),
		TEST(others_memory),
		TEST(handed_on),
		TEST(false_credentials),
		TEST(root_asks_for_state),
		TEST(one_listener),
		TEST(tool),
	};

	if (geteuid() != 0) {
		puts("skipped: needs root");
		return 0;
	}
	return cmocka_run_group_tests(tests, agent_client_private_run, NULL);
}
