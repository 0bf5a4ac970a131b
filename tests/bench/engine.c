/* SPDX-License-Identifier: MIT */
/*
 * engine KIND COUNT: the VMM's own engine, fabric and virtio rings, hosted: COUNT faults of one kind
 * on one simulated CPU, against a simulated server. KIND:
 *   zero, victim, remote   the way of one fault: from the look at the mailbox to its answer
 *   loop                   remote fills at 50 % local with all that the service loop does meanwhile
 *   scan, random           COUNT pages read in sequence or at random at 50 % local; a third argument is
 *                          the most pages to be prefetched. Prints pages, faults, and ns of simulated
 *                          time: the guest works WORK turns on each page
 * Under callgrind only the VMM's part is collected: not the card, the network or the server. Without
 * it the time is printed: "fills N seconds S engine S" (engine: the VMM's part alone).
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <valgrind/callgrind.h>
#include "fabric/fabric.h"
#include "fabric/session.h"
#include "far/far.h"
#include "far/page.h"
#include "lib/crc.h"
#include "nic/virtio_ring.h"
#include "sim/network.h"
#include "sim/responder.h"
#include "virt/fake/fake.h"

#define FRAMES   4096u
#define PAGES    (4u * FRAMES)
#define WORKING  (2u * FRAMES) /* 50 % local */
#define HPA      0x40000000ull
#define BASE     0x4000000000ull
#define RING     256u
#define SLOT     9280u
#define HEADER   12u
#define WIRE_NS  1000u
#define TURN_NS  1000u
#define WORK     4u /* turns that the guest works on a page */
#define RECEIVE  32u
#define SERVER   0x0a000002u
#define READY_NS 10000000000ull
#define SETTLED  10000u /* turns: all that is dirty and cold has been written */
#define SPREAD   2654435761u

struct bench {
	struct network *network;
	struct responder *server;
	struct nic nic;
	struct virtio_ring rx, tx;
	uint16_t tx_free[RING];
	unsigned tx_count;
	struct fabric *fabric;
	struct session *session;
	struct far *far;
	struct slat_window window;
	struct shootdown shootdown;
	struct mailbox mailbox[1];
	uint8_t *memory;
	uint64_t now;
	uint64_t seed;
	uint32_t prefetch;
	bool collect; /* the VMM's part that runs now counts */
	bool whole; /* all of the loop counts, not only a fault's way */
	double engine; /* seconds */
	struct timespec began;
};

static struct bench bench;

static void *pages_of(size_t bytes)
{
	void *p = aligned_alloc(PAGE_SIZE, (bytes + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE);

	assert(p);
	memset(p, 0, bytes);
	return p;
}

/* Around what is the VMM's. */
static void enter(struct bench *b)
{
	if (!b->collect)
		return;
	clock_gettime(CLOCK_MONOTONIC, &b->began);
	CALLGRIND_TOGGLE_COLLECT;
}

static void leave(struct bench *b)
{
	struct timespec t;

	if (!b->collect)
		return;
	CALLGRIND_TOGGLE_COLLECT;
	clock_gettime(CLOCK_MONOTONIC, &t);
	b->engine +=
		(double)(t.tv_sec - b->began.tv_sec) + (double)(t.tv_nsec - b->began.tv_nsec) / 1e9;
}

/* The card: takes what was sent, fills buffers that were given. None of this is the VMM's. */
static void card_turn(struct bench *b)
{
	struct nic *wire = network_nic(b->network);
	struct virtio_ring *tx = &b->tx, *rx = &b->rx;
	struct nic_frame frame;

	while (tx->used->index != tx->avail->index) {
		uint16_t id = tx->avail->ring[tx->used->index % RING];

		wire->ops->send(wire, virtio_ring_buffer(tx, id) + HEADER,
			tx->descriptors[id].length - HEADER, NULL, 0);
		tx->used->ring[tx->used->index % RING].id = id;
		tx->used->index++;
	}
	network_advance(b->network, b->now);
	while (rx->used->index != rx->avail->index && wire->ops->receive(wire, &frame)) {
		uint16_t id = rx->avail->ring[rx->used->index % RING];

		memcpy(virtio_ring_buffer(rx, id) + HEADER, frame.data, frame.length);
		rx->used->ring[rx->used->index % RING].id = id;
		rx->used->ring[rx->used->index % RING].length = frame.length + HEADER;
		rx->used->index++;
		wire->ops->release(wire, &frame);
	}
	responder_advance(b->server, b->now);
}

/* The five functions, as the virtio driver has them, on the same rings. */
static int nic_start(struct nic *nic, const char **reason)
{
	(void)nic;
	(void)reason;
	return 0;
}

static bool nic_send(
	struct nic *nic, const void *head, size_t head_length, const void *body, size_t body_length)
{
	struct bench *b = nic->driver;
	uint32_t length;
	uint8_t *slot;
	uint16_t id;

	while (!b->tx_count && virtio_ring_take(&b->tx, &id, &length) != VIRTIO_RING_EMPTY)
		b->tx_free[b->tx_count++] = id;
	if (!b->tx_count)
		return false;
	id = b->tx_free[--b->tx_count];
	slot = virtio_ring_buffer(&b->tx, id);
	memset(slot, 0, HEADER);
	memcpy(slot + HEADER, head, head_length);
	if (body_length)
		memcpy(slot + HEADER + head_length, body, body_length);
	virtio_ring_give(&b->tx, id, (uint32_t)(HEADER + head_length + body_length));
	nic->counters.sent_frames++;
	return true;
}

static bool nic_receive(struct nic *nic, struct nic_frame *frame)
{
	struct bench *b = nic->driver;
	uint32_t length;
	uint16_t id;

	virtio_ring_kick(&b->tx);
	virtio_ring_kick(&b->rx);
	if (virtio_ring_take(&b->rx, &id, &length) != VIRTIO_RING_TAKEN)
		return false;
	frame->data = virtio_ring_buffer(&b->rx, id) + HEADER;
	frame->length = length - HEADER;
	frame->token = id;
	nic->counters.received_frames++;
	return true;
}

static void nic_release(struct nic *nic, const struct nic_frame *frame)
{
	virtio_ring_give(&((struct bench *)nic->driver)->rx, (uint16_t)frame->token, SLOT);
}

static bool nic_notify(struct nic *nic, bool on)
{
	(void)nic;
	return on;
}

static const struct nic_ops nic_ops = {
	"rings", nic_start, nic_send, nic_receive, nic_release, nic_notify};

static void start_network(struct bench *b)
{
	struct network_faults perfect = {.delay_min = WIRE_NS, .delay_max = WIRE_NS};
	struct responder_config server = {.address = SERVER,
		.port = RPC_PORT,
		.slots = PAGES * PAGE_SIZE / RPC_EXTENT_SIZE,
		.reads = 16,
		.slot_size = RPC_EXTENT_SIZE};

	b->network = network_new(1, 9000, RING);
	network_advance(b->network, b->now);
	network_set_faults(b->network, &perfect);
	server.network = b->network;
	b->server = responder_new(&server);
	b->nic = *network_nic(b->network);
	b->nic.ops = &nic_ops;
	b->nic.driver = b;
	virtio_ring_init(&b->rx, RING, pages_of(virtio_ring_memory(RING)),
		pages_of((size_t)RING * SLOT), SLOT, true);
	virtio_ring_init(&b->tx, RING, pages_of(virtio_ring_memory(RING)),
		pages_of((size_t)RING * SLOT), SLOT, false);
	for (uint16_t i = 0; i < RING; i++) {
		virtio_ring_give(&b->rx, i, SLOT);
		b->tx_free[b->tx_count++] = i;
	}
}

static void start_fabric(struct bench *b)
{
	struct session_config session = {.name = "memory1",
		.address = SERVER,
		.port = RPC_PORT,
		.tenant = 1,
		.number = 1,
		.domain = "domain of bench",
		.extents = PAGES * PAGE_SIZE / RPC_EXTENT_SIZE};
	struct fabric_config fabric = {.nic = &b->nic,
		.address = 0x0a000001,
		.prefix = 24,
		.mtu = 9000,
		.random = {1, 2, 3, 4},
		.now = b->now,
		.memory = pages_of(fabric_memory_size(1)),
		.sessions = 1};
	const char *reason;

	b->fabric = fabric_start(&fabric, &reason);
	assert(b->fabric);
	b->session = session_open(b->fabric, &session);
}

static void kick(void *context, unsigned cpu)
{
	(void)context;
	(void)cpu;
}

static void start_engine(struct bench *b)
{
	struct far_config far = {.shootdown = &b->shootdown,
		.mailbox = b->mailbox,
		.cpus = 1,
		.ranges = 1,
		.server = {b->session},
		.prefetch = b->prefetch,
		.servers = 1};
	const char *reason;

	b->window = (struct slat_window){.format = &fake_format_ad,
		.leaf = pages_of(PAGES * sizeof(uint64_t)),
		.upper = pages_of(PAGES / 512 * sizeof(uint64_t)),
		.base = BASE,
		.pages = PAGES};
	for (uint32_t i = 0; i < PAGES / 512; i++)
		slat_write(&b->window.upper[i], fake_format_ad.present | fake_format_ad.writable);
	b->memory = pages_of((size_t)FRAMES * PAGE_SIZE);
	shootdown_init(&b->shootdown, 1, kick, NULL);
	far.window = b->window;
	far.range[0] = (struct far_range){b->memory, HPA, FRAMES};
	far.tables = pages_of(far_tables_size(FRAMES, PAGES));
	b->far = far_start(&far, &reason);
	assert(b->far);
	session_listen(b->session, &far_session_events, b->far);
}

static bool answered(const struct bench *b)
{
	return b->mailbox[0].state == MAILBOX_DONE;
}

/*
 * The service loop's turn. Of a fault's way: the first look at its mailbox, the receive behind it
 * (which rings the doorbell), and the receive that finds its page. What is turned in between while
 * nothing has come is waiting.
 */
static void turn(struct bench *b, bool first, bool counts)
{
	bool receives;

	card_turn(b);
	receives = first || virtio_ring_ready(&b->rx);
	b->collect = counts && (b->whole || first);
	enter(b);
	far_serve(b->far, b->now);
	leave(b);
	b->collect = counts && (b->whole || (receives && !answered(b)));
	enter(b);
	fabric_receive(b->fabric, b->now, RECEIVE);
	leave(b);
	b->collect = counts && b->whole;
	enter(b);
	fabric_turn(b->fabric, b->now);
	far_reclaim(b->far, b->now);
	leave(b);
	b->collect = false;
	b->now += TURN_NS;
}

static void rest(struct bench *b, unsigned turns)
{
	while (turns-- > 0)
		turn(b, false, false);
}

/* The guest touches the page, and dirties or reads it as its entry then allows. */
static void fault(struct bench *b, uint32_t page, bool write, bool counts)
{
	struct mailbox *m = &b->mailbox[0];
	uint64_t end = b->now + READY_NS, entry;
	uint64_t *word;

	m->gpa = BASE + (uint64_t)page * PAGE_SIZE;
	m->access = write ? MAILBOX_WRITE : MAILBOX_READ;
	m->posted = b->now;
	m->state = MAILBOX_POSTED;
	for (bool first = true; !answered(b); first = false) {
		turn(b, first, counts);
		assert(b->now < end);
	}
	m->state = MAILBOX_EMPTY;
	entry = slat_read(&b->window.leaf[page]);
	assert(slat_present(&fake_format_ad, entry));
	word = (uint64_t *)(b->memory + slat_address(&fake_format_ad, entry) - HPA);
	if (write) {
		word[0] = page * SPREAD + 1;
		while (!slat_compare_exchange(
			&b->window.leaf[page], &entry, entry | fake_format_ad.dirty))
			;
	} else {
		assert(word[0] == page * SPREAD + 1);
	}
}

static bool present(const struct bench *b, uint32_t page)
{
	return slat_present(&fake_format_ad, slat_read(&b->window.leaf[page]));
}

/* A page of the working set that is in this state, chosen at random; waits until there is one. */
static uint32_t find(struct bench *b, enum page_state from, enum page_state to)
{
	for (unsigned tries = 0; tries < 100 * WORKING; tries++) {
		uint32_t page =
			(b->seed = b->seed * 6364136223846793005u + 1) >> 33 & (WORKING - 1);
		uint64_t entry = slat_read(&b->window.leaf[page]);

		if (!slat_present(&fake_format_ad, entry) && page_entry_state(entry) >= from &&
			page_entry_state(entry) <= to)
			return page;
		if (tries % WORKING == WORKING - 1)
			rest(b, 1);
	}
	fprintf(stderr, "engine: no page in the wanted state\n");
	exit(1);
}

static void run_zero(struct bench *b, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		fault(b, i * 7 % WORKING, true, true);
		rest(b, 50);
	}
}

/* The guest reads the page; the network is asked only if it must be. */
static bool touch(struct bench *b, uint32_t page)
{
	uint64_t entry = slat_read(&b->window.leaf[page]);

	if (!present(b, page)) {
		fault(b, page, false, false);
		rest(b, WORK);
		return true;
	}
	while (!slat_compare_exchange(
		&b->window.leaf[page], &entry, entry | fake_format_ad.accessed))
		;
	assert(*(uint64_t *)(b->memory + slat_address(&fake_format_ad, entry) - HPA) ==
		page * SPREAD + 1);
	rest(b, WORK);
	return false;
}

static void run_scan(struct bench *b, bool random, unsigned count)
{
	unsigned faults = 0;
	uint64_t began;

	for (uint32_t page = 0; page < WORKING; page++)
		fault(b, page, true, false);
	rest(b, SETTLED);
	began = b->now;
	for (unsigned i = 0; i < count; i++) {
		uint32_t drawn = (b->seed = b->seed * 6364136223846793005u + 1) >> 33;

		faults += touch(b, (random ? drawn : i) % WORKING);
	}
	printf("%u %u %llu\n", count, faults, (unsigned long long)(b->now - began));
}

static void run_kind(struct bench *b, enum page_state from, enum page_state to, unsigned count)
{
	for (uint32_t page = 0; page < WORKING; page++)
		fault(b, page, true, false);
	/* Until what is local is clean: written back on its way out. */
	for (unsigned i = 0; i < 2 * WORKING; i++)
		fault(b, find(b, PAGE_REMOTE, PAGE_REMOTE), false, false);
	for (unsigned i = 0; i < count; i++) {
		fault(b, find(b, from, to), false, true);
		if (!b->whole)
			rest(b, 20);
		/* The reserve's victims are clean: pages are dirtied, so that both kinds are met. */
		for (uint32_t page = i * 4, n = 0; from != PAGE_REMOTE && n < 4; n++, page++)
			if (present(b, page % WORKING))
				fault(b, page % WORKING, true, false);
	}
}

int main(int argc, char **argv)
{
	struct bench *b = &bench;
	const char *kind = argc > 1 ? argv[1] : "loop";
	unsigned count = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 100000;
	uint64_t end;
	double began;
	struct timespec t;

	b->now = 1000000000;
	b->seed = 12345;
	b->prefetch = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : FAR_PREFETCH_MAX;
	crc_use(CRC_SSE);
	start_network(b);
	start_fabric(b);
	start_engine(b);
	for (end = b->now + READY_NS; session_reads_free(b->session) == 0; rest(b, 1))
		assert(b->now < end);
	b->whole = strcmp(kind, "loop") == 0;
	clock_gettime(CLOCK_MONOTONIC, &t);
	began = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
	if (strcmp(kind, "scan") == 0 || strcmp(kind, "random") == 0) {
		run_scan(b, kind[0] == 'r', count);
		return 0;
	}
	if (strcmp(kind, "zero") == 0)
		run_zero(b, count < FRAMES / 2 ? count : FRAMES / 2);
	else if (strcmp(kind, "victim") == 0)
		run_kind(b, PAGE_UNSETTLED, PAGE_VICTIM_DIRTY, count);
	else
		run_kind(b, PAGE_REMOTE, PAGE_REMOTE, count);
	clock_gettime(CLOCK_MONOTONIC, &t);
	printf("%s %u seconds %.3f engine %.3f\n", kind, count,
		(double)t.tv_sec + (double)t.tv_nsec / 1e9 - began, b->engine);
	return 0;
}
