/* SPDX-License-Identifier: MIT */
/* libannex-hint: hints to annex-agent, see annex_hint.h. */
#include "annex_hint.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static _Thread_local char reason[256];

const char *annex_hint_reason(void)
{
	return reason;
}

static int failed(int error, const char *text)
{
	snprintf(reason, sizeof(reason), "%.*s", (int)sizeof(reason) - 1, text);
	errno = error;
	return -1;
}

/* With errno and the reason. */
static int failed_at(const char *what)
{
	int error = errno == EWOULDBLOCK ? ETIMEDOUT : errno;

	snprintf(reason, sizeof(reason), "%s: %s", what, strerror(error));
	errno = error;
	return -1;
}

/* What the agent's answer means to the caller. */
static int error_of(unsigned result)
{
	switch (result) {
	case ANNEX_HINT_BAD_VERSION:
		return EPROTO;
	case ANNEX_HINT_BAD_REQUEST:
		return EINVAL;
	case ANNEX_HINT_OVER_LIMIT:
		return ENOSPC;
	case ANNEX_HINT_BUSY:
		return EAGAIN;
	case ANNEX_HINT_GONE:
		return ESRCH;
	default:
		return EPERM;
	}
}

/* Both ends' waits are limited; a full backlog makes connect wait too. */
static int open_socket(void)
{
	const struct timeval wait = {ANNEX_HINT_WAIT_MS / 1000, ANNEX_HINT_WAIT_MS % 1000 * 1000};
	const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = ANNEX_HINT_SOCKET};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return failed_at("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	failed_at("no annex-agent at " ANNEX_HINT_SOCKET);
	int error = errno;

	close(fd);
	errno = error;
	return -1;
}

/* One request and its answer. */
static int ask(int fd, const struct annex_hint_request *request)
{
	struct annex_hint_answer answer;
	char text[ANNEX_HINT_TEXT_MAX];
	struct iovec parts[] = {{&answer, sizeof(answer)}, {text, sizeof(text) - 1}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t n;

	do
		n = send(fd, request, sizeof(*request), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return failed_at("annex-agent takes no hint");
	do
		n = recvmsg(fd, &message, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return failed_at("annex-agent does not answer");
	if (n == 0)
		return failed(ECONNRESET, "annex-agent has ended the connection");
	if ((size_t)n < sizeof(answer) || answer.magic != ANNEX_HINT_MAGIC ||
		answer.text_length != (size_t)n - sizeof(answer))
		return failed(EPROTO, "what answers is not annex-agent");
	text[answer.text_length] = 0;
	if (answer.result == ANNEX_HINT_OK)
		return 0;
	if (answer.result == ANNEX_HINT_BAD_VERSION)
		snprintf(text, sizeof(text), "annex-agent speaks version %u, this library %u",
			answer.version, ANNEX_HINT_VERSION);
	return failed(error_of(answer.result), text);
}

int annex_hint_process(int kind, pid_t pid, uint64_t address, uint64_t length)
{
	struct annex_hint_request request = {
		.magic = ANNEX_HINT_MAGIC,
		.version = ANNEX_HINT_VERSION,
		.kind = (uint16_t)kind,
		.pid = (uint32_t)pid,
		.address = address,
	};
	int fd, result = 0;

	reason[0] = 0;
	if (kind < ANNEX_HINT_PIN || kind > ANNEX_HINT_COLD || pid < 0 || length == 0 ||
		address + length < address)
		return failed(EINVAL, "no such hint, process or range");
	fd = open_socket();
	if (fd < 0)
		return -1;
	while (length && result == 0) {
		request.length = length < ANNEX_HINT_MAX ? length : ANNEX_HINT_MAX;
		result = ask(fd, &request);
		request.address += request.length;
		length -= request.length;
	}
	int error = errno;

	close(fd);
	errno = error;
	return result;
}

static int own(int kind, const void *address, size_t length)
{
	return annex_hint_process(kind, 0, (uintptr_t)address, length);
}

int annex_hint_pin(const void *address, size_t length)
{
	return own(ANNEX_HINT_PIN, address, length);
}

int annex_hint_unpin(const void *address, size_t length)
{
	return own(ANNEX_HINT_UNPIN, address, length);
}

int annex_hint_prefetch(const void *address, size_t length)
{
	return own(ANNEX_HINT_PREFETCH, address, length);
}

int annex_hint_cold(const void *address, size_t length)
{
	return own(ANNEX_HINT_COLD, address, length);
}
