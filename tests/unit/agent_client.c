/* SPDX-License-Identifier: MIT */
#include "agent_client.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#define PASSRIGHTS 83

struct agent_client_world world;

int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size);

/* A kernel before 6.16 has no SO_PASSRIGHTS. */
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	if (world.old_kernel && level == SOL_SOCKET && name == PASSRIGHTS) {
		errno = ENOPROTOOPT;
		return -1;
	}
	return __real_setsockopt(fd, level, name, value, size);
}

uint64_t agent_client_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static void on_hint(void *context, const struct socket_hint *hint, struct socket_answer *answer)
{
	world.last = *hint;
	world.hints++;
	answer->result = world.answer_with;
	answer->pages = 7;
	if (world.answer_with)
		strcpy(answer->reason, "because");
}

static size_t on_status(void *context, char *text, size_t size)
{
	return (size_t)snprintf(text, size, "{\"up\":true}");
}

struct socket_state *agent_client_listen(uint64_t pin_max, char *error, size_t size)
{
	struct socket_config config = {ANNEX_HINT_SOCKET, pin_max, on_hint, on_status, NULL};

	return socket_new(&config, error, size);
}

int agent_client_begin(void **state)
{
	char error[200];

	world.hints = 0;
	world.longest = world.skew = 0;
	world.answer_with = ANNEX_HINT_OK;
	memset(&world.last, 0, sizeof(world.last));
	world.server = agent_client_listen(1 << 20, error, sizeof(error));
	if (!world.server)
		fail_msg("%s", error);
	return 0;
}

int agent_client_end(void **state)
{
	socket_free(world.server);
	world.server = NULL;
	world.old_kernel = false;
	return access(ANNEX_HINT_SOCKET, F_OK) == 0;
}

void agent_client_turn(int wait_ms)
{
	struct pollfd p = {socket_fd(world.server), POLLIN, 0};

	poll(&p, 1, wait_ms);
	uint64_t before = agent_client_clock();

	socket_turn(world.server, before + world.skew);
	uint64_t took = agent_client_clock() - before;

	world.longest = took > world.longest ? took : world.longest;
}

int agent_client_serve(pid_t child)
{
	int status;

	assert_true(child > 0);
	for (unsigned i = 0; i < 3000; i++) {
		agent_client_turn(10);
		if (waitpid(child, &status, WNOHANG) == child)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	fail_msg("a client did not end");
	return -1;
}

struct socket_counters agent_client_counters(void)
{
	struct socket_counters c;

	socket_counters(world.server, &c);
	return c;
}

void agent_client_become(uid_t user)
{
	if (setgroups(0, NULL) != 0 || setresgid(user, user, user) != 0 ||
		setresuid(user, user, user) != 0)
		_exit(99);
	/* A test that fails leaves nobody behind. After the ids, which would clear it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

int agent_client_connect(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = ANNEX_HINT_SOCKET};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		_exit(97);
	return fd;
}

struct annex_hint_request agent_client_request(unsigned kind, uint64_t address, uint64_t length)
{
	return (struct annex_hint_request){.magic = ANNEX_HINT_MAGIC,
		.version = ANNEX_HINT_VERSION,
		.kind = (uint16_t)kind,
		.address = address,
		.length = length};
}

int agent_client_exchange(int fd, const void *bytes, size_t size)
{
	struct {
		struct annex_hint_answer head;
		char text[ANNEX_HINT_TEXT_MAX];
	} answer;

	if (send(fd, bytes, size, MSG_NOSIGNAL) < 0)
		return -1;
	ssize_t n = recv(fd, &answer, sizeof(answer), 0);

	if (n < (ssize_t)sizeof(answer.head))
		return -1;
	CHECK(answer.head.magic == ANNEX_HINT_MAGIC && answer.head.version == ANNEX_HINT_VERSION);
	CHECK((size_t)n == sizeof(answer.head) + answer.head.text_length);
	CHECK((answer.head.result == ANNEX_HINT_OK) == (answer.head.text_length == 0) ||
		answer.text[0] == '{');
	return answer.head.result;
}

pid_t agent_client_target(uid_t user, bool dumpable, gid_t saved_group, uid_t saved)
{
	int ready[2];
	char c;

	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();

	if (pid == 0) {
		if (setgroups(0, NULL) != 0 || setresgid(user, user, saved_group) != 0 ||
			setresuid(user, user, saved) != 0)
			_exit(99);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_DUMPABLE, dumpable);
		if (write(ready[1], "r", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

int agent_client_private_run(void **state)
{
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
		mount("tmpfs", "/run", "tmpfs", 0, "mode=755") != 0 ||
		mkdir("/run/annex", 0755) != 0)
		return -1;
	return 0;
}
