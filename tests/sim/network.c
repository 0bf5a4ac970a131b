/* SPDX-License-Identifier: MIT */
#include "sim/network.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MILLION    1000000u
#define REORDER_BY 10u
#define VMM_PORT   NETWORK_HOSTS
#define QUEUE_MAX  65536u

struct flight {
	uint64_t due;
	uint64_t order; /* ties fall as they were sent */
	unsigned from, to;
	size_t length;
	uint8_t *data;
};

struct host {
	uint8_t mac[6];
	bool in;
	network_receive *receive;
	void *context;
};

struct waiting {
	uint8_t *data;
	uint32_t length;
};

struct network {
	uint64_t random;
	uint64_t now;
	uint64_t order;
	struct network_faults faults;
	struct network_counters counters;
	struct nic nic;
	struct host host[NETWORK_HOSTS];
	unsigned hosts;
	struct flight *heap; /* by due, order */
	unsigned flights;
	uint64_t last[NETWORK_HOSTS + 1][NETWORK_HOSTS + 1]; /* due of the newest, from and to */
	struct waiting *ring; /* the VMM's receive ring */
	uint32_t slots, head, tail;
};

uint64_t network_random(struct network *n)
{
	uint64_t z = n->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static bool chance(struct network *n, uint32_t per_million)
{
	return per_million != 0 && network_random(n) % MILLION < per_million;
}

static uint64_t between(struct network *n, uint64_t low, uint64_t high)
{
	return high > low ? low + network_random(n) % (high - low + 1) : low;
}

static bool before(const struct flight *a, const struct flight *b)
{
	return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void heap_push(struct network *n, struct flight f)
{
	unsigned i = n->flights++;

	assert(n->flights <= QUEUE_MAX);
	for (; i > 0 && before(&f, &n->heap[(i - 1) / 2]); i = (i - 1) / 2)
		n->heap[i] = n->heap[(i - 1) / 2];
	n->heap[i] = f;
}

static struct flight heap_pop(struct network *n)
{
	struct flight first = n->heap[0], last = n->heap[--n->flights];
	unsigned i = 0, child;

	while ((child = 2 * i + 1) < n->flights) {
		if (child + 1 < n->flights && before(&n->heap[child + 1], &n->heap[child]))
			child++;
		if (!before(&n->heap[child], &last))
			break;
		n->heap[i] = n->heap[child];
		i = child;
	}
	n->heap[i] = last;
	return first;
}

static void fly(struct network *n, unsigned from, unsigned to, const uint8_t *data, size_t length,
	uint64_t extra)
{
	struct flight f = {.from = from, .to = to, .length = length, .order = n->order++};
	const struct network_faults *x = &n->faults;

	f.due = n->now + between(n, x->delay_min, x->delay_max);
	/* One path is first in, first out: only what is delayed on purpose is overtaken. */
	if (extra == 0) {
		if (f.due < n->last[from][to])
			f.due = n->last[from][to];
		n->last[from][to] = f.due;
	}
	f.due += extra;
	f.data = malloc(length);
	memcpy(f.data, data, length);
	if (chance(n, x->corrupt)) {
		for (uint64_t i = between(n, 1, 4); i > 0; i--) {
			uint64_t bit = network_random(n) % (length * 8);

			f.data[bit / 8] ^= 1u << bit % 8;
		}
		n->counters.corrupted++;
	}
	heap_push(n, f);
}

static uint64_t extra_delay(struct network *n)
{
	const struct network_faults *x = &n->faults;

	if (chance(n, x->late)) {
		n->counters.late++;
		return between(n, x->delay_max, x->late_max);
	}
	return chance(n, x->reorder) ? between(n, 0, REORDER_BY * x->delay_max) : 0;
}

/* One frame from one port to another, through all the faults. */
static void transmit(
	struct network *n, unsigned from, unsigned to, const uint8_t *data, size_t length)
{
	const struct network_faults *x = &n->faults;
	bool out = from == VMM_PORT;

	n->counters.sent++;
	if ((out ? x->cut_out : x->cut_in) || (x->large != 0 && length > x->large) ||
		chance(n, out ? x->loss_out : x->loss_in)) {
		n->counters.lost++;
		return;
	}
	fly(n, from, to, data, length, extra_delay(n));
	if (chance(n, x->duplicate)) {
		n->counters.duplicated++;
		fly(n, from, to, data, length, extra_delay(n));
	}
}

static void from_vmm(struct network *n, const uint8_t *data, size_t length)
{
	for (unsigned i = 0; i < n->hosts; i++)
		if ((data[0] & 1) || memcmp(data, n->host[i].mac, 6) == 0)
			transmit(n, VMM_PORT, i, data, length);
}

static int nic_start(struct nic *nic, const char **reason)
{
	(void)nic;
	*reason = NULL;
	return 0;
}

static bool nic_send(
	struct nic *nic, const void *head, size_t head_length, const void *body, size_t body_length)
{
	struct network *n = nic->driver;
	uint8_t frame[NIC_FRAME_MAX];

	assert(head_length + body_length <= sizeof(frame));
	memcpy(frame, head, head_length);
	if (body_length != 0)
		memcpy(frame + head_length, body, body_length);
	nic->counters.sent_frames++;
	from_vmm(n, frame, head_length + body_length);
	return true;
}

static bool nic_receive(struct nic *nic, struct nic_frame *frame)
{
	struct network *n = nic->driver;
	struct waiting *w = &n->ring[n->head % n->slots];

	if (n->head == n->tail)
		return false;
	*frame = (struct nic_frame){.data = w->data, .length = w->length, .token = n->head};
	return true;
}

static void nic_release(struct nic *nic, const struct nic_frame *frame)
{
	struct network *n = nic->driver;

	assert(frame->token == n->head && n->head != n->tail);
	free(n->ring[n->head % n->slots].data);
	n->head++;
	nic->counters.received_frames++;
}

static bool nic_notify(struct nic *nic, bool on)
{
	struct network *n = nic->driver;

	return on && n->head != n->tail;
}

static const struct nic_ops nic_ops = {
	.name = "simulated",
	.start = nic_start,
	.send = nic_send,
	.receive = nic_receive,
	.release = nic_release,
	.notify = nic_notify,
};

struct network *network_new(uint64_t seed, uint16_t mtu, uint32_t slots)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0, 0, 1};
	struct network *n = calloc(1, sizeof(*n));

	n->random = seed;
	n->heap = calloc(QUEUE_MAX, sizeof(*n->heap));
	n->ring = calloc(slots, sizeof(*n->ring));
	n->slots = slots;
	n->nic.ops = &nic_ops;
	n->nic.driver = n;
	n->nic.mtu = mtu;
	n->nic.receive_slots = slots;
	memcpy(n->nic.mac, mac, 6);
	return n;
}

void network_flush(struct network *n)
{
	while (n->flights > 0)
		free(heap_pop(n).data);
	for (; n->head != n->tail; n->head++)
		free(n->ring[n->head % n->slots].data);
}

void network_free(struct network *n)
{
	network_flush(n);
	free(n->heap);
	free(n->ring);
	free(n);
}

struct nic *network_nic(struct network *n)
{
	return &n->nic;
}

unsigned network_plug(
	struct network *n, const uint8_t mac[6], network_receive *receive, void *context)
{
	struct host *h = &n->host[n->hosts];

	assert(n->hosts < NETWORK_HOSTS);
	memcpy(h->mac, mac, 6);
	h->in = true;
	h->receive = receive;
	h->context = context;
	return n->hosts++;
}

void network_cable(struct network *n, unsigned port, bool in)
{
	n->host[port].in = in;
}

void network_send(struct network *n, unsigned port, const void *frame, size_t length)
{
	const uint8_t *to = frame;

	if (!n->host[port].in)
		return;
	if ((to[0] & 1) || memcmp(to, n->nic.mac, 6) == 0)
		transmit(n, port, VMM_PORT, frame, length);
}

void network_set_faults(struct network *n, const struct network_faults *faults)
{
	n->faults = *faults;
}

static void deliver_vmm(struct network *n, struct flight *f)
{
	if (n->tail - n->head == n->slots) {
		n->counters.overrun++;
		return;
	}
	n->ring[n->tail++ % n->slots] = (struct waiting){.data = f->data, .length = f->length};
	f->data = NULL;
	n->counters.delivered++;
}

void network_advance(struct network *n, uint64_t now)
{
	while (n->flights > 0 && n->heap[0].due <= now) {
		struct flight f = heap_pop(n);
		unsigned host = f.to == VMM_PORT ? f.from : f.to;

		if (f.due > n->now)
			n->now = f.due;
		if (!n->host[host].in) {
			n->counters.lost++;
		} else if (f.to == VMM_PORT) {
			deliver_vmm(n, &f);
		} else {
			n->counters.delivered++;
			n->host[host].receive(n->host[host].context, f.data, f.length, n->now);
		}
		/* heap_pop() has taken it out of the heap. */
		free(f.data); /* NOLINT(clang-analyzer-unix.Malloc) */
	}
	if (now > n->now)
		n->now = now;
}

uint64_t network_next(const struct network *n)
{
	if (n->head != n->tail)
		return n->now;
	return n->flights > 0 ? n->heap[0].due : UINT64_MAX;
}

const struct network_counters *network_counters(const struct network *n)
{
	return &n->counters;
}
