/* SPDX-License-Identifier: MIT */
#include "guest-agent/socket_guard.h"

#include <signal.h>
#include <stddef.h>
#include <sys/time.h>

#include "guest-agent/socket.h"

static volatile sig_atomic_t ran_out;

static void on_alarm(int signal)
{
	(void)signal;
	ran_out = 1;
}

void socket_guard_init(void)
{
	/* No SA_RESTART: the signal is there to end what waits. */
	const struct sigaction action = {.sa_handler = on_alarm};

	sigaction(SIGALRM, &action, NULL);
}

static void set(unsigned us)
{
	const struct timeval time = {0, us};
	const struct itimerval timer = {time, time};

	setitimer(ITIMER_REAL, &timer, NULL);
}

void socket_guard_begin(void)
{
	ran_out = 0;
	set(SOCKET_GUARD_US);
}

bool socket_guard_end(void)
{
	set(0);
	return ran_out;
}
