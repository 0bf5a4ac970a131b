/* SPDX-License-Identifier: MIT */
/*
 * The VMM's own fabric as an ordinary program, against a real memory server: connects, attaches,
 * leases, writes and reads pages and verifies them, through disconnects too. Its card is a UDP
 * socket that carries Ethernet frames, as QEMU's `-netdev socket,udp=` does:
 *
 *     fabric_live --local PORT --remote PORT --address A.B.C.D --server A.B.C.D[:PORT]
 *                 [--mtu N] [--extents N] [--pages N] [--seconds N] [--lossy PERCENT]
 *
 * Ends with 0 when every page that was written read back right; prints the counters.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include "fabric/fabric.h"
#include "fabric/session.h"
#include "lab/live_wire.h"
#include "lib/crc.h"
#include "lib/text.h"

#define S            1000000000ull
#define IN_FLIGHT    16u
#define EXTENTS_MAX  64u
#define EXTENT_PAGES (RPC_EXTENT_SIZE / SESSION_PAGE)

enum phase {
	PHASE_WRITE,
	PHASE_READ,
};

struct live {
	int socket;
	unsigned lossy; /* percent of frames dropped, either way */
	struct nic nic;
	uint8_t frame[NIC_FRAME_MAX];
	struct fabric *fabric;
	struct session *session;
	uint64_t now;
	bool ready, ended;
	uint32_t extents, held, pages;
	size_t page_count; /* what pages was at first */
	uint64_t address[EXTENTS_MAX];
	uint32_t rkey[EXTENTS_MAX];
	/* the round: every page once, those that were lost again */
	enum phase phase;
	uint32_t version;
	uint32_t next, finished;
	bool *pending, *done;
	uint8_t (*page)[SESSION_PAGE];
	uint64_t bad, rounds, again, broken;
};

static struct live live;

static bool dropped(struct live *l)
{
	return l->lossy != 0 && (unsigned)(rand() % 100) < l->lossy;
}

static bool nic_send(
	struct nic *nic, const void *head, size_t head_length, const void *body, size_t body_length)
{
	struct live *l = nic->driver;
	struct iovec v[2] = {{(void *)head, head_length}, {(void *)body, body_length}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = body_length == 0 ? 1 : 2};

	if (dropped(l))
		return true;
	if (sendmsg(l->socket, &m, MSG_DONTWAIT) < 0)
		return errno == ECONNREFUSED; /* nobody at the other end: lost */
	nic->counters.sent_frames++;
	return true;
}

static bool nic_receive(struct nic *nic, struct nic_frame *frame)
{
	struct live *l = nic->driver;
	ssize_t n;

	do
		n = recv(l->socket, l->frame, sizeof(l->frame), MSG_DONTWAIT);
	while ((n > 0 && dropped(l)) || (n < 0 && errno == ECONNREFUSED));
	if (n <= 0)
		return false;
	*frame = (struct nic_frame){.data = l->frame, .length = n};
	nic->counters.received_frames++;
	return true;
}

static void nic_release(struct nic *nic, const struct nic_frame *frame)
{
	(void)nic;
	(void)frame;
}

static const struct nic_ops nic_ops = {
	.name = "udp", .send = nic_send, .receive = nic_receive, .release = nic_release};

static void fill(uint8_t *page, uint32_t number, uint32_t version)
{
	for (unsigned i = 0; i < SESSION_PAGE; i += 8) {
		uint64_t v = ((uint64_t)number << 32 | version) * 0x9e3779b97f4a7c15ull + i;

		memcpy(page + i, &v, 8);
	}
}

static void on_extent(void *context, unsigned server, uint32_t index, uint32_t state,
	uint64_t address, uint32_t rkey)
{
	struct live *l = context;

	printf("extent %u %s at %" PRIx64 " rkey %x\n", index,
		state == RPC_EXTENT_HELD ? "held" : "lost", address, rkey);
	if (state != RPC_EXTENT_HELD || index >= l->extents) {
		l->bad++;
		return;
	}
	l->held += l->address[index] == 0;
	l->address[index] = address;
	l->rkey[index] = rkey;
}

static void on_refused(void *context, unsigned server, uint32_t index, enum rpc_error code)
{
	struct live *l = context;

	printf("extent %u refused: error %d\n", index, code);
	l->ended = true;
}

static void on_released(void *context, unsigned server, uint32_t index)
{
	struct live *l = context;

	printf("extent %u released\n", index);
	l->held--;
}

static void on_ready(void *context, unsigned server, uint64_t now)
{
	struct live *l = context;
	struct session_info info;

	session_info(l->session, &info);
	printf("ready: path MTU %u, %u READs, %u WRITEs\n", info.mtu,
		session_reads_free(l->session), session_writes_free(l->session));
	for (uint32_t i = 0; i < l->extents; i++)
		if (l->address[i] == 0)
			session_lease(l->session, i);
	l->ready = true;
}

static void on_lost(void *context, unsigned server, uint64_t now)
{
	struct live *l = context;
	struct session_info info;

	session_info(l->session, &info);
	printf("lost: %s\n", info.text);
	l->ready = false;
}

static void on_ended(void *context, unsigned server, enum rpc_error code, const char *text)
{
	struct live *l = context;

	printf("ended: %d %s\n", code, text);
	l->ended = true;
}

static void finished(struct live *l, uint32_t tag, enum session_status status)
{
	l->pending[tag] = false;
	if (status == SESSION_OK) {
		l->done[tag] = true;
		l->finished++;
		return;
	}
	l->again++;
	l->broken += status == SESSION_BROKEN;
	if (tag < l->next)
		l->next = tag;
}

static void on_read(
	void *context, unsigned server, uint32_t tag, enum session_status status, uint64_t now)
{
	struct live *l = context;
	uint8_t expected[SESSION_PAGE];

	finished(l, tag, status);
	if (status != SESSION_OK)
		return;
	fill(expected, tag, l->version);
	if (memcmp(expected, l->page[tag], SESSION_PAGE) != 0) {
		printf("page %u is wrong\n", tag);
		l->bad++;
	}
}

static void on_write(
	void *context, unsigned server, uint32_t tag, enum session_status status, uint64_t now)
{
	finished(context, tag, status);
}

static const struct session_events events = {
	.extent = on_extent,
	.lease_refused = on_refused,
	.released = on_released,
	.ready = on_ready,
	.lost = on_lost,
	.ended = on_ended,
	.read_done = on_read,
	.write_done = on_write,
};

/* Page n stands in extent n % extents, so that all of them are used. */
static bool start_page(struct live *l, uint32_t n)
{
	uint32_t extent = n % l->extents;
	uint64_t address = l->address[extent] + (uint64_t)(n / l->extents) * SESSION_PAGE;
	uint8_t page[SESSION_PAGE];

	if (l->phase == PHASE_READ)
		return session_read(l->session, address, l->rkey[extent], l->page[n], n, l->now);
	fill(page, n, l->version);
	return session_write(l->session, address, l->rkey[extent], page, n, l->now);
}

static void work(struct live *l)
{
	if (!l->ready || l->held < l->extents || l->pages == 0)
		return;
	while (l->next < l->pages) {
		if (l->done[l->next] || l->pending[l->next]) {
			l->next++;
			continue;
		}
		if (!start_page(l, l->next))
			return;
		l->pending[l->next++] = true;
	}
	if (l->finished < l->pages)
		return;
	l->finished = l->next = 0;
	memset(l->done, 0, l->pages * sizeof(*l->done));
	if (l->phase == PHASE_READ) {
		l->rounds++;
		l->version++;
	}
	l->phase = l->phase == PHASE_READ ? PHASE_WRITE : PHASE_READ;
}

static void turn(struct live *l)
{
	uint64_t deadline;

	l->now = live_clock_ns();
	if (fabric_receive(l->fabric, l->now, 64) == 0) {
		struct pollfd p = {.fd = l->socket, .events = POLLIN};

		deadline = fabric_deadline(l->fabric);
		if (deadline > l->now)
			poll(&p, 1, (deadline - l->now + 999999) / 1000000);
		l->now = live_clock_ns();
	}
	fabric_turn(l->fabric, l->now);
	work(l);
}

struct options {
	uint16_t local, remote, mtu;
	uint32_t address;
	unsigned seconds;
	struct session_config session;
};

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {{"local", 1, NULL, 'l'}, {"remote", 1, NULL, 'r'},
		{"address", 1, NULL, 'a'}, {"server", 1, NULL, 's'}, {"mtu", 1, NULL, 'm'},
		{"extents", 1, NULL, 'e'}, {"pages", 1, NULL, 'p'}, {"seconds", 1, NULL, 't'},
		{"lossy", 1, NULL, 'x'}, {0}};
	char *colon;
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		unsigned long n = optarg != NULL ? strtoul(optarg, NULL, 10) : 0;

		if (c == 'l')
			o->local = n;
		else if (c == 'r')
			o->remote = n;
		else if (c == 'm')
			o->mtu = n;
		else if (c == 'e')
			live.extents = n;
		else if (c == 'p')
			live.pages = n;
		else if (c == 't')
			o->seconds = n;
		else if (c == 'x')
			live.lossy = n;
		else if (c == 'a' && text_ipv4(optarg, &o->address))
			continue;
		else if (c == 's' && optarg != NULL) {
			colon = strchr(optarg, ':');
			o->session.port = colon != NULL ? strtoul(colon + 1, NULL, 10) : RPC_PORT;
			if (colon != NULL)
				*colon = '\0';
			if (text_ipv4(optarg, &o->session.address))
				continue;
			exit(2);
		} else {
			exit(2);
		}
	}
}

/* Nothing may be outstanding on what is given back: first what is under way comes to its end. */
static void give_back(struct live *l)
{
	uint64_t end = live_clock_ns() + 10 * S;
	bool outstanding = true;

	l->pages = 0; /* nothing new */
	while (outstanding && l->now < end) {
		turn(l);
		outstanding = memchr(l->pending, true, l->page_count) != NULL;
	}
	for (uint32_t i = 0; i < l->extents; i++)
		session_release(l->session, i);
	while (l->held > 0 && l->now < end)
		turn(l);
}

static void report(const struct live *l, double seconds)
{
	const struct fabric_counters *c = fabric_counters(l->fabric);
	struct session_info info;

	session_info(l->session, &info);
	printf("%s, %" PRIu64 " rounds of %u pages in %.1f s, %" PRIu64 " again, %" PRIu64
	       " broken, %" PRIu64 " bad; rtt %" PRIu64 " us, MTU %u, %u reconnects\n",
		session_state_name(info.state), l->rounds, l->pages, seconds, l->again, l->broken,
		l->bad, info.rtt / 1000, info.mtu, info.reconnects);
#define X(name, text)                                                                              \
	if (c->name != 0)                                                                          \
		printf("  %-18s %10" PRIu64 "  %s\n", #name, c->name, text);
	FABRIC_COUNTERS(X)
#undef X
}

int main(int argc, char **argv)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0, 0x0a, 0, 1};
	struct options o = {.mtu = 9000,
		.seconds = 30,
		.session = {.name = "live", .tenant = 0x11fe, .domain = "a live check"}};
	struct fabric_config config = {.nic = &live.nic, .prefix = 24, .sessions = 1};
	const char *reason;
	uint64_t start;

	setvbuf(stdout, NULL, _IOLBF, 0);
	crc_init(true);
	live.extents = 2;
	live.pages = 1000;
	parse(argc, argv, &o);
	if (live.pages == 0 || live.extents == 0 || live.extents > EXTENTS_MAX ||
		live.pages > live.extents * EXTENT_PAGES)
		return 2;
	live.page_count = live.pages;
	live.socket = live_wire(o.local, o.remote);
	if (live.socket < 0) {
		perror("fabric_live: socket");
		return 1;
	}
	live.nic =
		(struct nic){.ops = &nic_ops, .mtu = o.mtu, .receive_slots = 256, .driver = &live};
	memcpy(live.nic.mac, mac, 6);
	live.pending = calloc(live.pages, sizeof(*live.pending));
	live.done = calloc(live.pages, sizeof(*live.done));
	live.page = calloc(live.pages, SESSION_PAGE);
	if (getrandom(config.random, sizeof(config.random), 0) != sizeof(config.random) ||
		getrandom(&o.session.number, 8, 0) != 8)
		return 1;
	live.now = start = live_clock_ns();
	config.address = o.address;
	config.mtu = o.mtu;
	config.now = live.now;
	config.memory = aligned_alloc(4096, fabric_memory_size(1));
	live.fabric = fabric_start(&config, &reason);
	if (live.fabric == NULL) {
		fprintf(stderr, "fabric_live: %s\n", reason);
		return 2;
	}
	o.session.extents = live.extents;
	live.session = session_open(live.fabric, &o.session);
	session_listen(live.session, &events, &live);
	while (!live.ended && live.now - start < o.seconds * S)
		turn(&live);
	report(&live, (live_clock_ns() - start) / 1e9);
	give_back(&live);
	return live.bad == 0 && live.held == 0 && (live.rounds > 0 || live.page_count == 0) &&
			       !live.ended
		       ? 0
		       : 1;
}
