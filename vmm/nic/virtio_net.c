/* SPDX-License-Identifier: MIT */
/*
 * The modern virtio network card (virtio 1.1; sections in brackets). No offloads and no mergeable
 * buffers, so that each frame lies whole in one buffer. Polled; MSI-X only while the service core
 * sleeps. Doorbells are exits on an emulated machine: one per batch, from receive() and notify().
 */
#include <assert.h>
#include <string.h>
#include "lib/log.h"
#include "lib/panic.h"
#include "machine/apic.h"
#include "machine/memory.h"
#include "machine/paging.h"
#include "nic/virtio.h"
#include "nic/virtio_net.h"
#include "nic/virtio_ring.h"

#define RX_SLOTS   256u
#define TX_SLOTS   128u
#define SLOT_BYTES 9280u /* header, NIC_FRAME_MAX, whole cache lines */
#define KICK_AFTER 16u /* frames held back at most */

#define PCI_COMMAND        0x04u
#define PCI_COMMAND_MEMORY 0x2u
#define PCI_COMMAND_MASTER 0x4u
#define PCI_CAP_MSIX       0x11u
#define MSIX_CONTROL       2u
#define MSIX_TABLE         4u
#define MSIX_ENABLE        0x8000u
#define MSIX_MASK_ALL      0x4000u

#define MIN_FRAME 14u

struct virtio_net {
	pci_address address;
	volatile struct virtio_common *common;
	volatile struct virtio_net_config *config;
	volatile uint8_t *notify;
	uint32_t notify_factor;
	uint32_t notify_length;
	volatile uint16_t *doorbell[2];
	struct virtio_ring rx;
	struct virtio_ring tx;
	uint16_t tx_free[TX_SLOTS];
	uint16_t tx_free_count;
	uint16_t held; /* frames sent since the last doorbell */
	bool receiving; /* between the first frame of a batch and its end */
	bool was_broken; /* said once */
};

static struct virtio_net driver;

static_assert(SLOT_BYTES >= sizeof(struct virtio_net_header) + NIC_FRAME_MAX, "a frame fits");
static_assert(sizeof(struct virtio_net_header) == 12, "with its buffer count [5.1.6]");

static int fail(const char **reason, const char *text)
{
	*reason = text;
	return -1;
}

/* A structure inside a memory BAR, mapped; NULL when it is not inside. */
static volatile uint8_t *bar_at(pci_address a, unsigned index, uint32_t offset, uint32_t length)
{
	struct pci_bar bar;

	if (index > 5 || !pci_bar(a, index, &bar) || bar.io || !bar.base)
		return NULL;
	if (offset > bar.bytes || length > bar.bytes - offset)
		return NULL;
	if (bar.base >= 1ull << 32)
		paging_map(bar.base, bar.bytes, true);
	return (volatile uint8_t *)(uintptr_t)(bar.base + offset);
}

static void take_capability(struct virtio_net *v, unsigned cap)
{
	unsigned type = pci_read8(v->address, cap + VIRTIO_CAP_TYPE);
	unsigned bar = pci_read8(v->address, cap + VIRTIO_CAP_BAR);
	uint32_t offset = pci_read32(v->address, cap + VIRTIO_CAP_OFFSET);
	uint32_t length = pci_read32(v->address, cap + VIRTIO_CAP_LENGTH);
	volatile uint8_t *at;

	/* Other types, and all but the first of a type, are to be ignored [4.1.4]. */
	if (type != VIRTIO_CAP_COMMON && type != VIRTIO_CAP_NOTIFY && type != VIRTIO_CAP_DEVICE)
		return;
	at = bar_at(v->address, bar, offset, length);
	if (!at)
		return;
	if (type == VIRTIO_CAP_COMMON && !v->common && length >= sizeof(*v->common))
		v->common = (volatile struct virtio_common *)at;
	if (type == VIRTIO_CAP_DEVICE && !v->config && length >= sizeof(*v->config))
		v->config = (volatile struct virtio_net_config *)at;
	if (type == VIRTIO_CAP_NOTIFY && !v->notify) {
		v->notify = at;
		v->notify_length = length;
		v->notify_factor = pci_read32(v->address, cap + VIRTIO_CAP_NOTIFY_FACTOR);
	}
}

static bool find_structures(struct virtio_net *v)
{
	unsigned cap = pci_capability(v->address, VIRTIO_CAP_ID, 0);

	/* A list that runs in a circle ends by the count: there is room for 48. */
	for (unsigned i = 0; cap && i < 48; i++) {
		unsigned next = pci_read8(v->address, cap + 1) & ~3u;

		take_capability(v, cap);
		cap = next ? pci_capability(v->address, VIRTIO_CAP_ID, next) : 0;
	}
	return v->common && v->config && v->notify;
}

/*
 * Entry 0 of the MSI-X table: fixed delivery of APIC_VECTOR_NIC to this CPU (PCI 3.0 6.8.2). polled:
 * everything stays masked; MSI-X is on all the same, as without it the card would use its INTx line.
 */
static bool start_msix(struct virtio_net *v, bool polled)
{
	unsigned cap = pci_capability(v->address, PCI_CAP_MSIX, 0);
	volatile uint32_t *entry;
	uint32_t table;

	if (!cap)
		return false;
	table = pci_read32(v->address, cap + MSIX_TABLE);
	entry = (volatile uint32_t *)bar_at(v->address, table & 7, table & ~7u, 16);
	if (!entry)
		return false;
	pci_write16(v->address, cap + MSIX_CONTROL, MSIX_ENABLE | MSIX_MASK_ALL);
	if (polled)
		return true;
	entry[0] = 0xfee00000u | (apic_id() & 0xff) << 12;
	entry[1] = 0;
	entry[2] = APIC_VECTOR_NIC;
	entry[3] = 0;
	pci_write16(v->address, cap + MSIX_CONTROL, MSIX_ENABLE);
	return true;
}

static bool reset(volatile struct virtio_common *common)
{
	common->status = 0;
	for (unsigned i = 0; i < 1000000; i++)
		if (!common->status)
			return true;
	return false;
}

/* [3.1.1], steps 1 to 6. */
static const char *negotiate(volatile struct virtio_common *common, uint64_t *features)
{
	const uint64_t wanted =
		VIRTIO_F_VERSION_1 | VIRTIO_F_ACCESS_PLATFORM | VIRTIO_NET_F_MAC | VIRTIO_NET_F_MTU;
	uint64_t offered;

	if (!reset(common))
		return "the card does not finish its reset";
	common->status = VIRTIO_STATUS_ACKNOWLEDGE;
	common->status = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER;
	common->device_feature_select = 0;
	offered = common->device_feature;
	common->device_feature_select = 1;
	offered |= (uint64_t)common->device_feature << 32;
	if (!(offered & VIRTIO_F_VERSION_1))
		return "the card is not a modern virtio device";
	*features = offered & wanted;
	common->driver_feature_select = 0;
	common->driver_feature = (uint32_t)*features;
	common->driver_feature_select = 1;
	common->driver_feature = (uint32_t)(*features >> 32);
	common->status =
		VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK;
	if (!(common->status & VIRTIO_STATUS_FEATURES_OK))
		return "the card refuses our features";
	return NULL;
}

static void write64(volatile uint32_t field[2], const void *address)
{
	field[0] = (uint32_t)(uintptr_t)address;
	field[1] = (uint32_t)((uintptr_t)address >> 32);
}

/* [4.1.5.1.3]. `vector`: MSI-X table entry, or VIRTIO_NO_VECTOR. */
static const char *start_queue(struct virtio_net *v, unsigned queue, struct virtio_ring *ring,
	uint16_t slots, uint16_t vector)
{
	volatile struct virtio_common *common = v->common;
	uint32_t notify;

	common->queue_select = (uint16_t)queue;
	if (common->queue_size < slots)
		return "the card's queues are too small (256 entries are needed)";
	common->queue_size = slots;
	common->queue_vector = vector;
	if (common->queue_vector != vector)
		return "the card has no MSI-X vector left";
	virtio_ring_init(ring, slots, memory_take(virtio_ring_memory(slots), 4096, "NIC ring"),
		memory_take((size_t)slots * SLOT_BYTES, 4096, "NIC buffers"), SLOT_BYTES,
		queue == VIRTIO_NET_RECEIVE);
	write64(common->queue_descriptors, ring->descriptors);
	write64(common->queue_driver, ring->avail);
	write64(common->queue_device, ring->used);
	notify = common->queue_notify_offset * v->notify_factor;
	if (notify + 2 > v->notify_length)
		return "the card's doorbell lies outside its BAR";
	v->doorbell[queue] = (volatile uint16_t *)(v->notify + notify);
	common->queue_enable = 1;
	return NULL;
}

static void read_config(struct nic *nic, const struct virtio_net *v, uint64_t features)
{
	uint8_t generation;

	/* Read again when it changed under our hands [2.4.1]. */
	do {
		generation = v->common->generation;
		for (unsigned i = 0; i < 6; i++)
			nic->mac[i] = v->config->mac[i];
		nic->mtu = features & VIRTIO_NET_F_MTU ? v->config->mtu : 1500;
	} while (generation != v->common->generation);
	nic->mtu_max = nic->mtu;
	if (!(features & VIRTIO_NET_F_MAC)) {
		static const uint8_t local[6] = {0x02, 0x61, 0x6e, 0x6e, 0x65, 0x78};

		memcpy(nic->mac, local, 6);
	}
}

static void kick(struct virtio_net *v, unsigned queue, struct virtio_ring *ring)
{
	if (virtio_ring_kick(ring))
		*v->doorbell[queue] = (uint16_t)queue;
}

static void flush(struct virtio_net *v)
{
	v->held = 0;
	kick(v, VIRTIO_NET_SEND, &v->tx);
	kick(v, VIRTIO_NET_RECEIVE, &v->rx);
}

static int net_start(struct nic *nic, const char **reason)
{
	struct virtio_net *v = nic->driver;
	const char *wrong;
	uint64_t features = 0;

	wrong = negotiate(v->common, &features);
	if (!wrong && !start_msix(v, nic->polled))
		wrong = "the card has no MSI-X";
	if (!wrong) {
		v->common->config_vector = VIRTIO_NO_VECTOR;
		wrong = start_queue(v, VIRTIO_NET_RECEIVE, &v->rx, RX_SLOTS,
			nic->polled ? VIRTIO_NO_VECTOR : 0);
	}
	if (!wrong)
		wrong = start_queue(v, VIRTIO_NET_SEND, &v->tx, TX_SLOTS, VIRTIO_NO_VECTOR);
	if (wrong) {
		v->common->status = VIRTIO_STATUS_FAILED;
		return fail(reason, wrong);
	}
	read_config(nic, v, features);
	v->common->status = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
			    VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK;
	for (uint16_t i = 0; i < RX_SLOTS; i++)
		virtio_ring_give(&v->rx, i, SLOT_BYTES);
	for (uint16_t i = 0; i < TX_SLOTS; i++)
		v->tx_free[i] = i;
	v->tx_free_count = TX_SLOTS;
	nic->receive_slots = RX_SLOTS;
	flush(v);
	return 0;
}

static void reclaim_sent(struct virtio_net *v)
{
	uint32_t length;
	uint16_t id;

	while (virtio_ring_take(&v->tx, &id, &length) != VIRTIO_RING_EMPTY)
		if (id < TX_SLOTS)
			v->tx_free[v->tx_free_count++] = id;
}

static bool net_send(
	struct nic *nic, const void *head, size_t head_length, const void *body, size_t body_length)
{
	const size_t offset = sizeof(struct virtio_net_header);
	struct virtio_net *v = nic->driver;
	uint8_t *slot;
	uint16_t id;

	check(head_length <= NIC_FRAME_MAX && body_length <= NIC_FRAME_MAX - head_length);
	if (!v->tx_free_count)
		reclaim_sent(v);
	if (!v->tx_free_count) {
		nic->counters.send_full++;
		flush(v);
		return false;
	}
	id = v->tx_free[--v->tx_free_count];
	slot = virtio_ring_buffer(&v->tx, id);
	memset(slot, 0, offset);
	memcpy(slot + offset, head, head_length);
	if (body_length)
		memcpy(slot + offset + head_length, body, body_length);
	virtio_ring_give(&v->tx, id, (uint32_t)(offset + head_length + body_length));
	nic->counters.sent_frames++;
	nic->counters.sent_bytes += head_length + body_length;
	if (++v->held >= KICK_AFTER)
		flush(v);
	return true;
}

static void say_broken(struct virtio_net *v)
{
	if (!v->rx.broken || v->was_broken)
		return;
	v->was_broken = true;
	log_error(
		"fabric NIC: the card's receive ring contradicts itself, it is not used any more");
}

static bool net_receive(struct nic *nic, struct nic_frame *frame)
{
	const uint32_t offset = sizeof(struct virtio_net_header);
	struct virtio_net *v = nic->driver;
	enum virtio_ring_next next;
	uint32_t length;
	uint16_t id;

	if (!v->receiving)
		flush(v);
	while ((next = virtio_ring_take(&v->rx, &id, &length)) != VIRTIO_RING_EMPTY) {
		if (next == VIRTIO_RING_TAKEN && length >= offset + MIN_FRAME) {
			frame->data = virtio_ring_buffer(&v->rx, id) + offset;
			frame->length = length - offset;
			frame->token = id;
			nic->counters.received_frames++;
			nic->counters.received_bytes += frame->length;
			v->receiving = true;
			return true;
		}
		nic->counters.receive_errors++;
		if (id < RX_SLOTS)
			virtio_ring_give(&v->rx, id, SLOT_BYTES);
	}
	say_broken(v);
	v->receiving = false;
	flush(v);
	return false;
}

static void net_release(struct nic *nic, const struct nic_frame *frame)
{
	struct virtio_net *v = nic->driver;

	check(frame->token < RX_SLOTS);
	virtio_ring_give(&v->rx, (uint16_t)frame->token, SLOT_BYTES);
}

static bool net_notify(struct nic *nic, bool on)
{
	struct virtio_net *v = nic->driver;

	virtio_ring_interrupts(&v->rx, on);
	if (!on)
		return false;
	v->receiving = false;
	flush(v);
	if (virtio_ring_ready(&v->rx))
		return true;
	nic->counters.interrupts_wanted++;
	return false;
}

static const struct nic_ops virtio_net_ops = {
	.name = "virtio-net",
	.start = net_start,
	.send = net_send,
	.receive = net_receive,
	.release = net_release,
	.notify = net_notify,
};

int virtio_net_bind(struct nic *nic, pci_address address, const char **reason)
{
	struct virtio_net *v = &driver;

	v->address = address;
	if (pci_read16(address, 0) == 0xffff)
		return fail(reason, "no PCI device there");
	if (pci_read16(address, 0) != VIRTIO_VENDOR || pci_read16(address, 2) != VIRTIO_NET_DEVICE)
		return fail(reason, "not a modern virtio network card (1af4:1041)");
	if (!find_structures(v))
		return fail(reason, "its virtio structures cannot be found");
	pci_write16(address, PCI_COMMAND,
		pci_read16(address, PCI_COMMAND) | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	nic->ops = &virtio_net_ops;
	nic->driver = v;
	return 0;
}
