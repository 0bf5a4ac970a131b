/* SPDX-License-Identifier: MIT */
#include "guest-agent/socket_request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "guest-agent/socket_guard.h"
#include "guest-agent/socket_peer.h"

#define PAGE_BYTES    4096ull
#define ADDRESSES_END (1ull << 56) /* of user space, with five-level page tables */

/* A request with the sender that the kernel names. False: nothing to go on with, *end says why. */
static bool receive(int fd, struct annex_hint_request *request, struct ucred *sender,
	struct socket_counters *counters, enum socket_request_end *end)
{
	/* Room for the credentials and nothing else: file descriptors never become ours. */
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec part = {request, sizeof(*request)};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};

	socket_guard_begin();
	ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int error = errno;

	counters->held += socket_guard_end();

	if (n < 0 && (error == EAGAIN || error == EINTR)) {
		*end = SOCKET_REQUEST_NONE;
		return false;
	}
	*end = message.msg_flags & MSG_CTRUNC ? SOCKET_REQUEST_HOSTILE : SOCKET_REQUEST_CLOSE;
	/* An empty packet looks like the end, and is one. */
	if (n <= 0 || *end == SOCKET_REQUEST_HOSTILE)
		return false;
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS ||
		c->cmsg_len != CMSG_LEN(sizeof(*sender)))
		return false;
	memcpy(sender, CMSG_DATA(c), sizeof(*sender));
	if (n != sizeof(*request) || (message.msg_flags & MSG_TRUNC))
		request->magic = 0;
	return true;
}

static bool send_answer(int fd, struct annex_hint_answer *answer, const char *text)
{
	struct iovec parts[] = {{answer, sizeof(*answer)}, {(void *)(uintptr_t)text, strlen(text)}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

	answer->magic = ANNEX_HINT_MAGIC;
	answer->version = ANNEX_HINT_VERSION;
	answer->text_length = (uint32_t)parts[1].iov_len;
	/* Who does not read its answers is not waited for. */
	return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) ==
	       (ssize_t)(sizeof(*answer) + parts[1].iov_len);
}

/* False, with the reason: nothing that could be asked. */
static bool good(const struct annex_hint_request *r, char *reason)
{
	const char *wrong = NULL;

	if (r->kind == 0 || r->kind >= ANNEX_HINT_KINDS)
		wrong = "no such kind of hint";
	else if (r->zero || r->pid > INT32_MAX)
		wrong = "a field that must be 0 is not, or no process has such a number";
	else if (r->kind == ANNEX_HINT_STATUS)
		wrong = r->pid || r->address || r->length ? "status takes no range" : NULL;
	else if (r->length == 0 || r->length > ANNEX_HINT_MAX)
		wrong = "a hint is for 1 byte to 1 GiB";
	else if (r->address >= ADDRESSES_END || r->length > ADDRESSES_END - r->address)
		wrong = "beyond the end of the address space";
	if (wrong)
		snprintf(reason, SOCKET_REASON_MAX, "%s", wrong);
	return !wrong;
}

static void serve_hint(const struct annex_hint_request *r, const struct ucred *sender,
	const struct socket_config *config, struct socket_answer *answer)
{
	uint64_t from = r->address & ~(PAGE_BYTES - 1);
	uint64_t to = (r->address + r->length + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	struct socket_hint hint = {
		.kind = (enum annex_hint_kind)r->kind, .address = from, .length = to - from};

	answer->result = socket_peer_check(sender, (pid_t)r->pid, &hint, answer->reason);
	if (answer->result != ANNEX_HINT_OK)
		return;
	if (r->kind == ANNEX_HINT_PIN && config->pin_max == 0) {
		answer->result = ANNEX_HINT_REFUSED;
		snprintf(answer->reason, sizeof(answer->reason),
			"nothing is pinned for applications here: applications-pin is 0 in "
			"agent.conf");
		return;
	}
	config->hint(config->context, &hint, answer);
}

static void serve_status(const struct ucred *sender, const struct socket_config *config,
	struct socket_answer *answer, char text[ANNEX_HINT_TEXT_MAX])
{
	if (sender->uid != 0) {
		answer->result = ANNEX_HINT_REFUSED;
		snprintf(answer->reason, sizeof(answer->reason),
			"only root is told the agent's state");
		return;
	}
	config->status(config->context, text, ANNEX_HINT_TEXT_MAX);
	text[ANNEX_HINT_TEXT_MAX - 1] = 0;
}

enum socket_request_end socket_request_serve(int fd, const struct socket_config *config,
	struct socket_counters *counters, uint64_t *pages)
{
	struct annex_hint_request request = {0};
	struct annex_hint_answer out = {0};
	struct socket_answer answer = {0};
	char text[ANNEX_HINT_TEXT_MAX] = "";
	enum socket_request_end end;
	struct ucred sender;

	*pages = 0;
	if (!receive(fd, &request, &sender, counters, &end))
		return end;
	counters->requests++;
	if (request.magic != ANNEX_HINT_MAGIC || request.version != ANNEX_HINT_VERSION) {
		counters->bad++;
		out.result = ANNEX_HINT_BAD_VERSION;
		send_answer(fd, &out, "not a request of this version");
		return SOCKET_REQUEST_CLOSE;
	}
	if (!good(&request, answer.reason)) {
		counters->bad++;
		answer.result = ANNEX_HINT_BAD_REQUEST;
	} else if (request.kind == ANNEX_HINT_STATUS) {
		serve_status(&sender, config, &answer, text);
	} else {
		*pages = request.length / PAGE_BYTES;
		serve_hint(&request, &sender, config, &answer);
	}
	counters->not_yours += answer.result == ANNEX_HINT_NOT_YOURS;
	out.result = (uint16_t)answer.result;
	out.pages = answer.pages;
	out.used = answer.used;
	out.limit = answer.limit;
	answer.reason[SOCKET_REASON_MAX - 1] = 0;
	if (answer.result != ANNEX_HINT_OK)
		snprintf(text, sizeof(text), "%s", answer.reason);
	return send_answer(fd, &out, text) ? SOCKET_REQUEST_DONE : SOCKET_REQUEST_CLOSE;
}
