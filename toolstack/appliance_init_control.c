/* SPDX-License-Identifier: MIT */
/*
 * The control port of the appliance: lines on the second serial port, handed to annex-memserver's
 * control socket. Only what changes state goes this way: `forget TENANT`, and `restart`, which is for
 * init itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>
#include "annex/manage.h"
#include "toolstack/appliance_init.h"

#define PORT     "/dev/ttyS1"
#define SOCKET   "/run/annex/memserver.sock"
#define PATIENCE 8 /* s, that the server may take */

static int port = -1;
static char line[MANAGE_REQUEST_MAX + 1];
static size_t length;
static bool overlong;
static bool restart;

void init_control_open(void)
{
	struct termios raw;

	port = open(PORT, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (port < 0 || tcgetattr(port, &raw)) {
		init_say("no control port: %s: %s", PORT, strerror(errno));
		if (port >= 0)
			close(port);
		port = -1;
		return;
	}
	cfmakeraw(&raw);
	cfsetspeed(&raw, B115200);
	raw.c_cflag |= CLOCAL;
	tcsetattr(port, TCSANOW, &raw);
}

/* One command to the server; its answer's line without newline. False: errno says why. */
static bool ask(const char *command, char *answer, size_t size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET};
	struct timeval patience = {.tv_sec = PATIENCE};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ssize_t got = -1;

	if (fd < 0)
		return false;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
		dprintf(fd, "%s\n", command) > 0)
		got = recv(fd, answer, size - 1, 0);
	if (got == 0)
		errno = ECONNRESET;
	close(fd);
	if (got <= 0)
		return false;
	answer[got] = '\0';
	answer[strcspn(answer, "\n")] = '\0';
	return true;
}

/* result: the members of the result's object. */
static void reply(const char *id, const char *error, const char *result)
{
	char text[256];
	const char *at = text;
	int left, written;

	if (error)
		left = snprintf(text, sizeof(text),
			"{\"annex\":%d,\"id\":\"%s\",\"ok\":false,\"error\":\"%.150s\"}\n",
			MANAGE_VERSION, id, error);
	else
		left = snprintf(text, sizeof(text),
			"{\"annex\":%d,\"id\":\"%s\",\"ok\":true,\"result\":{%s}}\n",
			MANAGE_VERSION, id, result);
	while (left > 0) {
		struct pollfd room = {.fd = port, .events = POLLOUT};

		/* Nobody reads: the answer is lost, and the request is idempotent. */
		if (poll(&room, 1, 1000) <= 0)
			return;
		written = (int)write(port, at, (size_t)left);
		if (written < 0 && errno != EAGAIN && errno != EINTR)
			return;
		at += written > 0 ? written : 0;
		left -= written > 0 ? written : 0;
	}
}

static void forget(const char *id, const char *tenant)
{
	char command[64], answer[160];

	snprintf(command, sizeof(command), "forget %s", tenant);
	if (!ask(command, answer, sizeof(answer)))
		reply(id, strerror(errno), "");
	else if (!strcmp(answer, "ok"))
		reply(id, NULL, "\"known\":true");
	else if (!strcmp(answer, "error no such tenant"))
		reply(id, NULL, "\"known\":false");
	else
		reply(id, strncmp(answer, "error ", 6) ? answer : answer + 6, "");
}

/* Lines that are no request (our own echo, noise) get no answer. */
static void take_line(void)
{
	char id[MANAGE_ID_MAX + 1], command[16] = "", argument[20] = "", rest[2] = "";
	unsigned version;

	if (sscanf(line, "annex/%u %16[0-9a-zA-Z] %15s %19s %1s", &version, id, command, argument,
		    rest) < 2)
		return;
	if (version != MANAGE_VERSION)
		reply(id, "this appliance speaks annex/1", "");
	else if (!strcmp(command, "restart") && !*argument) {
		reply(id, NULL, "");
		restart = true;
	} else if (strcmp(command, "forget") || !*argument || *rest ||
		   argument[strspn(argument, "0123456789abcdefABCDEF")])
		reply(id, "no such command; there are: forget TENANT, restart", "");
	else
		forget(id, argument);
}

static void take_byte(char byte)
{
	if (byte != '\n' && byte != '\r') {
		if (length < sizeof(line) - 1)
			line[length++] = byte;
		else
			overlong = true;
		return;
	}
	line[length] = '\0';
	if (length && !overlong)
		take_line();
	length = 0;
	overlong = false;
}

bool init_control_turn(int milliseconds)
{
	struct pollfd input = {.fd = port, .events = POLLIN};
	char bytes[64];
	ssize_t got;

	restart = false;
	if (poll(&input, 1, milliseconds) <= 0)
		return false;
	got = read(port, bytes, sizeof(bytes));
	for (ssize_t i = 0; i < got; i++)
		take_byte(bytes[i]);
	/* A port that hangs up must not make this a busy loop. */
	if (got <= 0)
		usleep((useconds_t)milliseconds * 1000);
	return restart;
}
