/* SPDX-License-Identifier: MIT */
/* guest-agent/socket*.c and clients that are wrong, slow, many or hostile. */
#include <netinet/in.h>
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

static void malformed(void **state)
{
	assert_int_equal(
		agent_client_serve(CLIENT(NOBODY,
			{
				static uint8_t bytes[100000];
				const struct annex_hint_request good =
					agent_client_request(ANNEX_HINT_COLD, 4096, 4096);
				struct annex_hint_request r;
				int fd = agent_client_connect();

				/* These end in a refusal only. */
				const struct {
					unsigned kind;
					uint64_t address, length;
					uint32_t pid, zero;
				} refused[] = {{0, 4096, 4096, 0, 0}, {6, 4096, 4096, 0, 0},
					{65535, 4096, 4096, 0, 0}, {ANNEX_HINT_PIN, 4096, 0, 0, 0},
					{ANNEX_HINT_PIN, 4096, ANNEX_HINT_MAX + 1, 0, 0},
					{ANNEX_HINT_PIN, UINT64_MAX, 2, 0, 0},
					{ANNEX_HINT_PIN, 1ull << 56, 1, 0, 0},
					{ANNEX_HINT_PIN, (1ull << 56) - 1, 2, 0, 0},
					{ANNEX_HINT_PIN, 4096, 4096, 0, 1},
					{ANNEX_HINT_PIN, 4096, 4096, 1u << 31, 0},
					{ANNEX_HINT_STATUS, 1, 0, 0, 0}};

				for (unsigned i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
					r = agent_client_request(refused[i].kind,
						refused[i].address, refused[i].length);
					r.pid = refused[i].pid;
					r.zero = refused[i].zero;
					CHECK(agent_client_exchange(fd, &r, sizeof(r)) ==
						ANNEX_HINT_BAD_REQUEST);
				}
				CHECK(agent_client_exchange(fd, &good, sizeof(good)) ==
					ANNEX_HINT_OK);
				/* These end the connection, with the agent's version. */
				for (unsigned i = 0; i < 5; i++) {
					size_t size = (size_t[]){1, sizeof(r) - 1, sizeof(r) + 1,
						sizeof(bytes), sizeof(r)}[i];

					memcpy(bytes, &good, sizeof(good));
					bytes[4] += size == sizeof(r); /* version */
					CHECK(agent_client_exchange(fd, bytes, size) ==
						ANNEX_HINT_BAD_VERSION);
					CHECK(agent_client_exchange(fd, &good, sizeof(good)) == -1);
					close(fd);
					fd = agent_client_connect();
				}
				CHECK(agent_client_exchange(fd, bytes, 0) ==
					-1); /* an empty packet */
				srand(1);
				for (unsigned i = 0; i < 100; i++) {
					close(fd);
					fd = agent_client_connect();
					for (unsigned n = 0; n < sizeof(r); n++)
						bytes[n] = (uint8_t)rand();
					CHECK(agent_client_exchange(fd, bytes,
						      (size_t)rand() % 64) != ANNEX_HINT_OK);
				}
			})),
		0);
	assert_int_equal(world.hints, 1);
	assert_true(world.longest < SECOND / 2);
}

/* Whether the other end of fd is closed, or will be by the server's next turns. */
static bool shut(int fd)
{
	char c;

	for (unsigned i = 0; i < 20; i++)
		agent_client_turn(1);
	return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

static void too_many_connections(void **state)
{
	int fd[80];
	unsigned open = 0;

	for (unsigned i = 0; i < 12; i++)
		fd[i] = agent_client_connect();
	for (unsigned i = 0; i < 12; i++)
		open += !shut(fd[i]);
	assert_int_equal(open, SOCKET_CLIENTS_UID);
	assert_int_equal(agent_client_counters().refused, 12 - SOCKET_CLIENTS_UID);
	/* Another user gets in, until there are too many of all. */
	assert_int_equal(
		agent_client_serve(CLIENT(NOBODY, CHECK(annex_hint_cold((void *)4096, 1) == 0))),
		0);
	pid_t crowd[8];

	for (unsigned i = 0; i < 8; i++)
		crowd[i] = CLIENT(30000 + i, {
			for (unsigned k = 0; k < SOCKET_CLIENTS_UID; k++)
				agent_client_connect();
			pause();
		});
	for (unsigned i = 0; i < 300 && agent_client_counters().accepted < 1 + 64; i++)
		agent_client_turn(10);
	assert_int_equal(agent_client_counters().accepted, 1 + SOCKET_CLIENTS);
	assert_int_equal(
		agent_client_serve(CLIENT(NOBODY,
			CHECK(annex_hint_cold((void *)4096, 1) == -1 && errno != ETIMEDOUT))),
		0);
	for (unsigned i = 0; i < 8; i++) {
		kill(crowd[i], SIGKILL);
		agent_client_serve(crowd[i]);
	}
	assert_int_equal(
		agent_client_serve(CLIENT(NOBODY, CHECK(annex_hint_cold((void *)4096, 1) == 0))),
		0);
	for (unsigned i = 0; i < 12; i++)
		close(fd[i]);
}

static void silent(void **state)
{
	int fd = agent_client_connect();

	assert_false(shut(fd));
	world.skew += SOCKET_IDLE_NS - SECOND;
	assert_false(shut(fd));
	world.skew += 2 * SECOND;
	assert_true(shut(fd));
	close(fd);
}

/* Sends as fast as it can and never reads: it is put off by the rate and closed when its answers are full. */
static void never_reads(void **state)
{
	pid_t rude = CLIENT(OTHER, {
		int fd = agent_client_connect();
		struct annex_hint_request r = agent_client_request(ANNEX_HINT_COLD, 4096, 4096);

		while (send(fd, &r, sizeof(r), MSG_NOSIGNAL) == sizeof(r))
			;
	});

	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(agent_client_serve(CLIENT(
					 NOBODY, CHECK(annex_hint_prefetch((void *)4096, 1) == 0))),
			0);
	assert_int_equal(agent_client_serve(rude), 0);
	assert_true(world.longest < SECOND / 2);
}

static void over_the_rate(void **state)
{
	bool waited = false;

	pid_t eager = CLIENT(OTHER, {
		int fd = agent_client_connect();
		struct annex_hint_request r = agent_client_request(ANNEX_HINT_COLD, 4096, 4096);

		while (agent_client_exchange(fd, &r, sizeof(r)) == ANNEX_HINT_OK)
			;
	});
	uint64_t until = agent_client_clock() + SECOND;

	while (agent_client_clock() < until) {
		agent_client_turn(10);
		waited |= socket_waiting(world.server);
	}
	assert_in_range(world.hints, SOCKET_REQUESTS, 2 * SOCKET_REQUESTS + 100);
	assert_true(agent_client_counters().waits > 0);
	assert_true(waited);
	assert_int_equal(agent_client_serve(
				 CLIENT(NOBODY, CHECK(annex_hint_prefetch((void *)4096, 1) == 0))),
		0);
	kill(eager, SIGKILL);
	agent_client_serve(eager);
	for (unsigned i = 0; i < 10; i++)
		agent_client_turn(1);
	assert_false(socket_waiting(world.server));

	/* Large ranges: 4 GiB at once, then 4 GiB a second. */
	world.hints = 0;
	eager = CLIENT(NOBODY, {
		int fd = agent_client_connect();
		struct annex_hint_request r =
			agent_client_request(ANNEX_HINT_COLD, 4096, ANNEX_HINT_MAX);

		while (agent_client_exchange(fd, &r, sizeof(r)) == ANNEX_HINT_OK)
			;
	});
	until = agent_client_clock() + SECOND;
	while (agent_client_clock() < until)
		agent_client_turn(10);
	assert_in_range(world.hints, 4, 10);
	kill(eager, SIGKILL);
	agent_client_serve(eager);
}

static int send_descriptor(int fd, int sent)
{
	struct annex_hint_request r = agent_client_request(ANNEX_HINT_COLD, 4096, 4096);
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.head = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec part = {&r, sizeof(r)};
	struct msghdr m = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};

	memcpy(CMSG_DATA(&control.head), &sent, sizeof(sent));
	return sendmsg(fd, &m, MSG_NOSIGNAL) == sizeof(r) ? 0 : -1;
}

static int descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 200; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* A TCP connection that takes a minute to end: full, not read at its other end, with SO_LINGER. */
static int lingering(int *peer)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof(a);
	struct linger linger = {1, 60};
	static char bytes[65536];
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(bind(listener, (struct sockaddr *)&a, size) == 0 && listen(listener, 1) == 0);
	CHECK(getsockname(listener, (struct sockaddr *)&a, &size) == 0);
	CHECK(connect(fd, (struct sockaddr *)&a, size) == 0);
	*peer = accept(listener, NULL, NULL);
	CHECK(*peer >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	while (send(fd, bytes, sizeof(bytes), 0) > 0)
		;
	CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
	return fd;
}

/* The server turns only when what is on its way is nobody else's any more. */
static void attack(bool then_end)
{
	int sent[2];
	char c;

	assert_int_equal(pipe(sent), 0);
	pid_t child = CLIENT(OTHER, {
		int peer = -1, bad = lingering(&peer), fd = agent_client_connect();

		CHECK(send_descriptor(fd, bad) == 0);
		close(bad);
		CHECK(write(sent[1], "s", 1) == 1);
		if (then_end)
			pause();
		CHECK(recv(fd, &c, 1, 0) <= 0); /* shut out */
		CHECK(annex_hint_cold((void *)4096, 1) == -1);
	});

	assert_int_equal(read(sent[0], &c, 1), 1);
	if (then_end)
		kill(child, SIGKILL);
	assert_int_equal(agent_client_serve(child), then_end ? 128 + SIGKILL : 0);
	for (unsigned i = 0; i < 20; i++)
		agent_client_turn(1);
	close(sent[0]);
	close(sent[1]);
}

static void sends_descriptors(void **state)
{
	int before = descriptors();

	/* This kernel may refuse to carry them. */
	assert_int_equal(agent_client_serve(CLIENT(NOBODY,
				 {
					 int fd = agent_client_connect();
					 char c;

					 CHECK(send_descriptor(fd, 0) == 0 ? recv(fd, &c, 1, 0) <= 0
									   : errno == EPERM);
				 })),
		0);
	for (unsigned i = 0; i < 10; i++)
		agent_client_turn(1);
	assert_int_equal(descriptors(), before);
	assert_int_equal(world.hints, 0);
}

static void sends_what_lingers(void **state)
{
	int before = descriptors();

	attack(false);
	assert_int_equal(descriptors(), before);
	assert_true(agent_client_counters().held > 0);
	assert_true(world.longest < SECOND);
	assert_int_equal(world.hints, 0);
	/* Another user is let in soon. */
	world.skew += SOCKET_PAUSE_NS;
	assert_int_equal(
		agent_client_serve(CLIENT(NOBODY, CHECK(annex_hint_cold((void *)4096, 1) == 0))),
		0);
	world.skew += SOCKET_BARRED_NS;
	assert_int_equal(
		agent_client_serve(CLIENT(OTHER, CHECK(annex_hint_cold((void *)4096, 1) == 0))), 0);
	attack(true);
	assert_true(world.longest < SECOND);
}

static int begin_old_kernel(void **state)
{
	world.old_kernel = true;
	return agent_client_begin(state);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, agent_client_begin, agent_client_end)
	const struct CMUnitTest tests[] = {
		TEST(malformed),
		TEST(too_many_connections),
		TEST(silent),
		TEST(never_reads),
		TEST(over_the_rate),
		TEST(sends_descriptors),
		cmocka_unit_test_setup_teardown(
			sends_descriptors, begin_old_kernel, agent_client_end),
		cmocka_unit_test_setup_teardown(
			sends_what_lingers, begin_old_kernel, agent_client_end),
	};

	if (geteuid() != 0) {
		puts("skipped: needs root");
		return 0;
	}
	return cmocka_run_group_tests(tests, agent_client_private_run, NULL);
}
