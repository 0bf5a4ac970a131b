/* SPDX-License-Identifier: MIT */
/*
 * vmm SOCKET MODE: a VMM's management channel and doorbell (vmm/service) without a machine, and a scripted
 * agent before them. It listens at SOCKET for one QEMU, whose guest only carries bytes (agent.sh), and
 * reads from the file MODE, again and again, what the agent is like:
 *
 *   none, alive, silent, ended, old, new   as annex/manage.h and toolstack/agent.h name them
 *   lying FIELD                            a report that cannot be; see vmm_report.c
 *   deaf                                   alive, but replies to nothing
 *   hostile                                its texts are control characters
 *   failing                                one line of its check fails
 *   wordy                                  its replies are as long as they can be
 *   stopped                                the VMM itself has stopped
 *   dumb                                   the VMM answers nothing
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "boot/config.h"
#include "fabric/session.h"
#include "machine/clock.h"
#include "service/doorbell.h"
#include "service/manage.h"
#include "service/view.h"
#include "tests/cli/vmm_report.h"
#include "virt/virt.h"

#define MIB   1048576ull
#define PAGES 131072u
#define BEAT  100 /* ms */

static struct far *const some_far = (struct far *)16;
static struct session *const some_sessions[1] = {(struct session *)16};
static struct far_counters far_totals = {.remote_fills = 4711};
static struct fabric_counters fabric_totals;
static struct far_histograms times;
static struct nic nic;
static struct config config = {.server = {{"memory1", 0x0a4d0001, 7471}}, .servers = 1};
static struct doorbell bell;
static struct ring ring;
static struct manage manage;
static struct view_end end = {.state = "stopped", .reason = "a broken rule"};
static char mode[64];
static int peer = -1;

/* What the service's files ask of the rest of the VMM. */

uint64_t clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void far_states(const struct far *far, struct far_states *states)
{
	*states = (struct far_states){.zero = 100000, .remote = 31000, .resident = 72};
}

void far_frames(
	const struct far *far, uint32_t *total, uint32_t *free, uint32_t *low, uint32_t *high)
{
	*total = 8192, *free = 100, *low = 10, *high = 20;
}

void far_extents(const struct far *far, uint32_t *total, uint32_t *leased, uint32_t *lost)
{
	*total = 32, *leased = 8, *lost = 0;
}

const struct far_counters *far_counters(const struct far *far)
{
	return &far_totals;
}

void far_pins(const struct far *far, struct far_pins *pins)
{
	*pins = (struct far_pins){.pinned = 100, .budget = 2048, .queued = 10};
}

enum far_hint_result far_hint(
	struct far *far, enum far_hint hint, const struct far_hint_range *range, unsigned count)
{
	return FAR_HINT_OK;
}

void far_hint_forget(struct far *far)
{
}

unsigned far_samples(struct far *far, uint64_t *gpa, unsigned max)
{
	return 0;
}

const struct far_histograms *far_histograms(const struct far *far)
{
	return &times;
}

const struct fabric_counters *fabric_counters(const struct fabric *fabric)
{
	return &fabric_totals;
}

void session_info(const struct session *s, struct session_info *info)
{
	*info = (struct session_info){.state = SESSION_READY, .mtu = 4096, .rtt = 500000};
}

const char *session_state_name(enum session_state state)
{
	return "ready";
}

bool virt_counter(unsigned index, const char **name, uint64_t *value)
{
	*name = "exits";
	*value = 12;
	return index == 0;
}

static struct view service = {.state = VIEW_RUNNING,
	.config = &config,
	.nic = &nic,
	.session = some_sessions,
	.sessions = 1,
	.far = some_far,
	.doorbell = &bell,
	.far_base = 1ull << 38,
	.cpus = 1,
	.pinned_bytes = 288 * MIB,
	.vmm_bytes = 20 * MIB};

/* The agent. */

static enum doorbell_result ask(uint64_t request, uint64_t w0, uint64_t w1, uint64_t w2)
{
	ring.request = request;
	memset(ring.word, 0, sizeof(ring.word));
	ring.word[0] = w0, ring.word[1] = w1, ring.word[2] = w2;
	doorbell_request(&bell, &ring, clock_now());
	return ring.result;
}

static void put(enum doorbell_buffer buffer, const void *data, size_t length, uint64_t message)
{
	char chunk[DOORBELL_CHUNK];

	for (size_t at = 0; at < length; at += sizeof(chunk)) {
		size_t n = length - at < sizeof(chunk) ? length - at : sizeof(chunk);

		memset(chunk, 0, sizeof(chunk));
		memcpy(chunk, (const char *)data + at, n);
		ring.request = DOORBELL_PUT;
		ring.word[0] = (uint64_t)buffer << 32 | at;
		memcpy(ring.word + 1, chunk, sizeof(chunk));
		doorbell_request(&bell, &ring, clock_now());
	}
	ask(DOORBELL_COMMIT, buffer, length, message);
}

static bool is(const char *word)
{
	return !strncmp(mode, word, strlen(word));
}

static void tell(void)
{
	uint8_t report[DOORBELL_REPORT_MAX];

	put(DOORBELL_REPORT, report, vmm_report(mode, report), 0);
}

static const char *reply_to(const char *text)
{
	static char reply[DOORBELL_REPLY_MAX + 1];

	if (is("hostile"))
		return "ok \x1b]0;owned\a\x1b[2J\xff\n";
	if (is("wordy")) {
		memset(reply, 'x', DOORBELL_REPLY_MAX);
		memcpy(reply, "ok ", 3);
		return reply;
	}
	if (!strcmp(text, "check"))
		return is("failing") ? "ok\nok swiotlb: 1 of 64 MiB\nwarn thp: always; madvise is "
				       "better\n"
				       "fail numa: CPU 0 is not at home in the far node\n"
				     : "ok\nok swiotlb: 1 of 64 MiB\nskip dma: no device\n";
	if (!strcmp(text, "policies"))
		return "ok\n1 pin unit=redis.service max=256M\n";
	if (strstr(text, "nosuch"))
		return "error: no unit nosuch.service here\n";
	snprintf(reply, sizeof(reply), "ok did '%s'\n", text);
	return reply;
}

static void take_message(void)
{
	char text[DOORBELL_MESSAGE_MAX + 1] = "";
	uint64_t message;

	if (ask(DOORBELL_BEAT, 0, 0, 0) != DOORBELL_OK || !ring.word[3] || is("deaf"))
		return;
	message = ring.word[3];
	for (uint64_t at = 0; at < DOORBELL_MESSAGE_MAX; at += DOORBELL_CHUNK) {
		ask(DOORBELL_GET, message, at, 0);
		memcpy(text + at, ring.word + 1, DOORBELL_CHUNK);
	}
	put(DOORBELL_REPLY, reply_to(text), strlen(reply_to(text)), message);
}

static void read_mode(const char *path)
{
	char now[sizeof(mode)] = "";
	FILE *file = fopen(path, "r");

	if (!file || !fgets(now, sizeof(now), file))
		now[0] = '\0';
	if (file)
		fclose(file);
	now[strcspn(now, "\n")] = '\0';
	if (!strcmp(now, mode))
		return;
	memcpy(mode, now, sizeof(mode));
	/* Each mode begins anew. */
	doorbell_start(&bell, some_far, service.far_base, PAGES, clock_now());
	if (is("none"))
		return;
	ask(DOORBELL_HELLO, DOORBELL_VERSION, 0, 0);
	ring.session = ring.word[0];
	tell();
	if (is("ended"))
		ask(DOORBELL_BYE, 0, 0, 0);
}

static void turn(const char *path)
{
	read_mode(path);
	service.now = end.now = clock_now();
	if (is("silent"))
		bell.heard = service.now - 4000000000u;
	else if (!is("none") && !is("ended")) {
		take_message();
		tell();
	}
}

/* The management channel. */

static const char *answer(void *context, struct emit *result, const struct manage_request *request)
{
	return is("stopped") ? view_end_answer(&end, result, request)
			     : view_answer(&service, result, request);
}

static size_t port_write(const char *text, size_t length)
{
	ssize_t n = write(peer, text, length);

	return n > 0 ? (size_t)n : 0;
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1))
		return -1;
	return fd;
}

static void receive(void)
{
	char data[256];
	ssize_t n = read(peer, data, sizeof(data));

	if (n <= 0)
		exit(0); /* the machine has ended */
	for (ssize_t i = 0; i < n && !is("dumb"); i++)
		manage_byte(&manage, data[i]);
	while (manage_turn(&manage))
		;
}

int main(int argc, char **argv)
{
	int listener = argc == 3 ? listen_at(argv[1]) : -1;

	if (listener < 0)
		return 2;
	peer = accept(listener, NULL, NULL);
	manage_init(&manage, answer, NULL, port_write);
	for (;;) {
		struct pollfd fd = {peer, POLLIN, 0};

		turn(argv[2]);
		if (poll(&fd, 1, BEAT) > 0)
			receive();
	}
}
