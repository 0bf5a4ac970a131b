/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include "annex/version.h"
#include "guest-agent/agent.h"
#include "guest-agent/annex_hint.h"
#include "guest-agent/status.h"
#include "toolstack/size.h"

#define SECOND UINT64_C(1000000000)

static const char usage[] = "Usage: annex-agent status [--json]\n"
			    "Asks the agent that runs here what it does (root only).\n"
			    "Exit status: 0 it has answered, 1 it has not, 2 wrong command line.\n";

static const char *pages_text(uint64_t pages, char out[SIZE_TEXT_MAX])
{
	return size_text(pages * RANGES_PAGE, out);
}

void status_text(const struct agent *a, char *out, size_t size)
{
	const struct session *s = &a->session;
	char pinned[SIZE_TEXT_MAX], budget[SIZE_TEXT_MAX], refused[SIZE_TEXT_MAX];
	char prefetched[SIZE_TEXT_MAX], cold[SIZE_TEXT_MAX];
	struct hints_totals t;
	int length;

	hints_totals(a->hints, &t);
	length = snprintf(out, size,
		"annex-agent %s, pid %d, up %" PRIu64 " s\n"
		"session %" PRIu64 ", %" PRIu64 " lost, busy %" PRIu64 " times\n"
		"pinned %s of %s, %s over budget\n"
		"sent %s to prefetch, %s as cold; %" PRIu64 " stale ranges dropped\n"
		"%u policies for %u targets, %u hints\n",
		ANNEX_VERSION, (int)getpid(), (a->now_ns - a->started_ns) / SECOND, s->id, s->lost,
		s->busy, pages_text(t.pinned, pinned), pages_text(s->budget, budget),
		pages_text(t.refused, refused), pages_text(t.prefetched, prefetched),
		pages_text(t.cold, cold), t.stale, policies_count(a->policies),
		policies_targets(a->policies), t.hints);
	if (length > 0 && (size_t)length < size)
		hints_text(a->hints, out + length, size - (size_t)length);
}

size_t status_json(const struct agent *a, char *out, size_t size)
{
	const struct session *s = &a->session;
	struct hints_totals t;
	int length;

	hints_totals(a->hints, &t);
	length = snprintf(out, size,
		"{\"version\":\"%s\",\"pid\":%d,\"uptime_seconds\":%" PRIu64 ",\"session\":%" PRIu64
		",\"sessions_lost\":%" PRIu64 ",\"busy\":%" PRIu64 ",\"far_base\":%" PRIu64
		",\"far_bytes\":%" PRIu64 ",\"pinned_bytes\":%" PRIu64 ",\"budget_bytes\":%" PRIu64
		",\"over_budget_bytes\":%" PRIu64 ",\"prefetched_bytes\":%" PRIu64
		",\"cold_bytes\":%" PRIu64 ",\"stale_ranges\":%" PRIu64
		",\"policies\":%u,\"targets\":%u,\"hints\":%u"
		",\"processes\":%u}",
		ANNEX_VERSION, (int)getpid(), (a->now_ns - a->started_ns) / SECOND, s->id, s->lost,
		s->busy, s->window.first * RANGES_PAGE, s->window.pages * RANGES_PAGE,
		t.pinned * RANGES_PAGE, s->budget * RANGES_PAGE, t.refused * RANGES_PAGE,
		t.prefetched * RANGES_PAGE, t.cold * RANGES_PAGE, t.stale,
		policies_count(a->policies), policies_targets(a->policies), t.hints,
		processes_count(a->processes));
	return length > 0 && (size_t)length < size ? (size_t)length : 0;
}

/* A line per member of the flat object: no string in it holds a character that JSON escapes. */
static void print_flat(const char *json)
{
	for (; *json; json++) {
		if (*json == ',' || *json == '}')
			putchar('\n');
		else if (*json == ':')
			fputs(": ", stdout);
		else if (*json == '_')
			putchar(' ');
		else if (*json != '{' && *json != '"')
			putchar(*json);
	}
}

static int cannot(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int cannot(const char *format, ...)
{
	va_list arguments;

	fputs("annex-agent: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return 1;
}

/* Sends the request and receives the answer with its text. False: errno. */
static bool exchange(int fd, struct annex_hint_answer *answer, char *text, size_t size)
{
	struct annex_hint_request request = {
		.magic = ANNEX_HINT_MAGIC,
		.version = ANNEX_HINT_VERSION,
		.kind = ANNEX_HINT_STATUS,
	};
	struct timeval wait = {.tv_sec = ANNEX_HINT_WAIT_MS / 1000};
	struct iovec parts[] = {
		{.iov_base = answer, .iov_len = sizeof(*answer)},
		{.iov_base = text, .iov_len = size - 1},
	};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t got;

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (send(fd, &request, sizeof(request), MSG_NOSIGNAL) != (ssize_t)sizeof(request))
		return false;
	got = recvmsg(fd, &message, 0);
	if (got < 0)
		return false;
	errno = EPROTO;
	if ((size_t)got < sizeof(*answer) || answer->magic != ANNEX_HINT_MAGIC ||
		answer->version != ANNEX_HINT_VERSION ||
		answer->text_length != (size_t)got - sizeof(*answer))
		return false;
	text[answer->text_length] = '\0';
	return true;
}

static int ask(bool json)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = ANNEX_HINT_SOCKET};
	char text[ANNEX_HINT_TEXT_MAX];
	struct annex_hint_answer answer;
	bool good;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return cannot("socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		close(fd);
		return cannot("no agent runs here (%s: %s)", ANNEX_HINT_SOCKET, strerror(errno));
	}
	good = exchange(fd, &answer, text, sizeof(text));
	close(fd);
	if (!good)
		return cannot("the agent does not answer: %s", strerror(errno));
	if (answer.result != ANNEX_HINT_OK)
		return cannot("%s", text[0] ? text : "the agent refuses: root only");
	if (json)
		puts(text);
	else
		print_flat(text);
	return 0;
}

int status_command(int argc, char **argv)
{
	static const struct option known[] = {
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	bool json = false;
	int option;

	optind = 0;
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'j':
			json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs("Try annex-agent status --help.\n", stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "annex-agent: status takes no '%s'\n", argv[optind]);
		return 2;
	}
	return ask(json);
}
