/* SPDX-License-Identifier: MIT */
/*
 * Intel 82540EM and 82545EM (manual as in e1000.h). Legacy descriptors, nothing offloaded. The card
 * has no MSI, and its INTx line is shared with the guest's devices: it stays masked, and who sleeps
 * wakes by a timer and looks at the ring, which is memory. Registers are exits on an emulated machine:
 * written once per batch, from receive() and notify(), and never read after start().
 *
 * Descriptor i has buffer i for ever. A descriptor is the card's between our tail and its own head;
 * one, before the tail, never is, so that a full ring differs from an empty one [3.2.6, 3.4].
 */
#include <assert.h>
#include <string.h>
#include "lib/log.h"
#include "lib/panic.h"
#include "machine/clock.h"
#include "machine/memory.h"
#include "machine/mmio.h"
#include "machine/paging.h"
#include "nic/e1000.h"
#include "nic/e1000_regs.h"

#define RX_SLOTS      256u
#define TX_SLOTS      128u
#define RX_SLOT_BYTES 16384u /* the only buffers that hold the largest frame whole */
#define TX_SLOT_BYTES 9280u /* NIC_FRAME_MAX, whole cache lines */
#define TELL_AFTER    16u /* frames held back at most */

#define PCI_COMMAND         0x04u
#define PCI_COMMAND_MEMORY  0x2u
#define PCI_COMMAND_MASTER  0x4u
#define PCI_COMMAND_NO_INTX 0x400u

#define MS       1000000ull
#define RESET_MS 100u
#define LINK_MS  5000u /* copper negotiates for 2 to 3 s */
#define MTU      1500u /* the card knows none */
#define MTU_MAX  9216u

#define MIN_FRAME 14u

struct e1000 {
	uintptr_t registers;
	struct e1000_receive *rx;
	struct e1000_send *tx;
	uint8_t *rx_buffers;
	uint8_t *tx_buffers;
	uint32_t rx_next; /* the next that the card will be done with */
	uint32_t rx_held; /* the oldest that was handed out */
	uint32_t rx_tail; /* as the card was told, for flush() */
	uint32_t tx_next; /* the next that we fill */
	uint32_t tx_oldest; /* the oldest that the card has */
	uint32_t tx_tail;
	uint32_t held; /* frames sent since the card was last told */
	bool back[RX_SLOTS]; /* released behind one that is not */
	bool receiving; /* between the first frame of a batch and its end */
	bool inside; /* a frame that runs over several buffers has begun, and not ended */
};

static struct e1000 driver;

static_assert(TX_SLOT_BYTES >= NIC_FRAME_MAX, "a frame fits");
static_assert(sizeof(struct e1000_receive) == 16 && sizeof(struct e1000_send) == 16, "[3.2.3]");
static_assert(RX_SLOTS % 8 == 0 && TX_SLOTS % 8 == 0, "rings of whole 128 bytes [13.4.27]");

static uint32_t get(const struct e1000 *e, uint32_t offset)
{
	return mmio_read32(e->registers + offset);
}

static void set(const struct e1000 *e, uint32_t offset, uint32_t value)
{
	mmio_write32(e->registers + offset, value);
}

static int fail(const char **reason, const char *text)
{
	*reason = text;
	return -1;
}

static void silence(const struct e1000 *e)
{
	set(e, E1000_IMC, 0xffffffffu);
	get(e, E1000_ICR); /* reading clears it */
}

/* [14.3], [14.4]. The bit clears itself; an emulated card may keep its registers all the same. */
static bool reset(const struct e1000 *e)
{
	silence(e);
	set(e, E1000_RCTL, 0);
	set(e, E1000_TCTL, 0);
	clock_wait(10 * MS); /* what is under way ends */
	set(e, E1000_CTRL, get(e, E1000_CTRL) | E1000_CTRL_RST);
	for (unsigned i = 0; i < RESET_MS; i++) {
		clock_wait(MS); /* and not a read in the first microsecond */
		if (!(get(e, E1000_CTRL) & E1000_CTRL_RST)) {
			clock_wait(5 * MS); /* it loads its EEPROM */
			silence(e);
			return true;
		}
	}
	return false;
}

/* [14.5]; no flow control: a pause frame is nothing that this fabric may wait for. */
static void start_link(const struct e1000 *e)
{
	uint32_t control = get(e, E1000_CTRL);

	control &= ~(E1000_CTRL_LRST | E1000_CTRL_ILOS | E1000_CTRL_PHY_RST | E1000_CTRL_VME |
		     E1000_CTRL_FRCSPD | E1000_CTRL_FRCDPX | E1000_CTRL_RFCE | E1000_CTRL_TFCE);
	set(e, E1000_CTRL, control | E1000_CTRL_SLU | E1000_CTRL_ASDE);
	set(e, E1000_FCAL, 0);
	set(e, E1000_FCAH, 0);
	set(e, E1000_FCT, 0);
	set(e, E1000_FCTTV, 0);
}

static bool eeprom_word(const struct e1000 *e, unsigned word, uint8_t *to)
{
	set(e, E1000_EERD, word << 8 | E1000_EERD_START);
	for (unsigned i = 0; i < 1000; i++) {
		uint32_t value = get(e, E1000_EERD);

		if (value & E1000_EERD_DONE) {
			to[0] = (uint8_t)(value >> 16);
			to[1] = (uint8_t)(value >> 24);
			return true;
		}
		clock_wait(1000);
	}
	return false;
}

static bool good_mac(const uint8_t mac[6])
{
	static const uint8_t none[6];

	return !(mac[0] & 1) && memcmp(mac, none, 6) != 0;
}

/*
 * A card loads its first receive address from the EEPROM when it is reset [13.5.2]; one that did not
 * (Bochs') has it in the EEPROM only.
 */
static bool read_mac(const struct e1000 *e, uint8_t mac[6])
{
	uint32_t low = get(e, E1000_RAL), high = get(e, E1000_RAH);

	for (unsigned i = 0; i < 6; i++)
		mac[i] = (uint8_t)(i < 4 ? low >> 8 * i : high >> 8 * (i - 4));
	if (high & E1000_RAH_AV && good_mac(mac))
		return true;
	for (unsigned i = 0; i < 3; i++)
		if (!eeprom_word(e, i, mac + 2 * i))
			return false;
	return good_mac(mac);
}

/* Frames to our address and to all; no other address, no group. */
static void start_filter(const struct e1000 *e, const uint8_t mac[6])
{
	set(e, E1000_RAL, mac[0] | mac[1] << 8 | mac[2] << 16 | (uint32_t)mac[3] << 24);
	set(e, E1000_RAH, mac[4] | mac[5] << 8 | E1000_RAH_AV);
	for (unsigned i = 1; i < E1000_RA_COUNT; i++) {
		set(e, E1000_RAH + 8 * i, 0);
		set(e, E1000_RAL + 8 * i, 0);
	}
	for (unsigned i = 0; i < E1000_MTA_COUNT; i++)
		set(e, E1000_MTA + 4 * i, 0);
}

/* [14.4] */
static void start_receive(struct e1000 *e)
{
	e->rx = memory_take(RX_SLOTS * sizeof(*e->rx), 4096, "NIC ring");
	e->rx_buffers = memory_take((size_t)RX_SLOTS * RX_SLOT_BYTES, 4096, "NIC buffers");
	for (uint32_t i = 0; i < RX_SLOTS; i++)
		e->rx[i] = (struct e1000_receive){
			.address = (uintptr_t)e->rx_buffers + (uint64_t)i * RX_SLOT_BYTES};
	memset(e->back, 0, sizeof(e->back));
	e->rx_next = e->rx_held = 0;
	e->rx_tail = RX_SLOTS - 1;
	e->receiving = e->inside = false;
	set(e, E1000_RDBAL, (uint32_t)(uintptr_t)e->rx);
	set(e, E1000_RDBAH, (uint32_t)((uintptr_t)e->rx >> 32));
	set(e, E1000_RDLEN, RX_SLOTS * sizeof(*e->rx));
	set(e, E1000_RDH, 0);
	set(e, E1000_RDTR, 0);
	set(e, E1000_RXDCTL, E1000_RXDCTL_EACH);
	set(e, E1000_RXCSUM, 0);
	set(e, E1000_RDT, e->rx_tail);
	set(e, E1000_RCTL,
		E1000_RCTL_EN | E1000_RCTL_LPE | E1000_RCTL_BAM | E1000_RCTL_16384 |
			E1000_RCTL_SECRC);
}

/* [14.5] */
static void start_send(struct e1000 *e)
{
	e->tx = memory_take(TX_SLOTS * sizeof(*e->tx), 4096, "NIC ring");
	e->tx_buffers = memory_take((size_t)TX_SLOTS * TX_SLOT_BYTES, 4096, "NIC buffers");
	e->tx_next = e->tx_oldest = e->tx_tail = e->held = 0;
	set(e, E1000_TDBAL, (uint32_t)(uintptr_t)e->tx);
	set(e, E1000_TDBAH, (uint32_t)((uintptr_t)e->tx >> 32));
	set(e, E1000_TDLEN, TX_SLOTS * sizeof(*e->tx));
	set(e, E1000_TDH, 0);
	set(e, E1000_TDT, 0);
	set(e, E1000_TIPG, E1000_TIPG_COPPER);
	set(e, E1000_TCTL, E1000_TCTL_EN | E1000_TCTL_PSP | E1000_TCTL_CT | E1000_TCTL_COLD);
}

/* What is sent before the link is up is lost; so would be the probe for our address. */
static void wait_for_link(const struct e1000 *e)
{
	for (unsigned i = 0; i < LINK_MS; i++) {
		if (get(e, E1000_STATUS) & E1000_STATUS_LU)
			return;
		clock_wait(MS);
	}
	log_warning("fabric NIC: no link");
}

static int e1000_start(struct nic *nic, const char **reason)
{
	struct e1000 *e = nic->driver;

	if (!reset(e))
		return fail(reason, "the card does not finish its reset");
	if (!read_mac(e, nic->mac))
		return fail(reason, "the card has no MAC address of its own");
	start_link(e);
	start_filter(e, nic->mac);
	start_receive(e);
	start_send(e);
	wait_for_link(e);
	nic->silent = true;
	nic->mtu = MTU;
	nic->mtu_max = MTU_MAX;
	nic->receive_slots = RX_SLOTS - 1;
	return 0;
}

/* The tail of the receive ring is the newest descriptor that came back [3.2.6]. */
static void flush(struct e1000 *e)
{
	uint32_t tail = (e->rx_held + RX_SLOTS - 1) % RX_SLOTS;

	e->held = 0;
	if (e->tx_tail != e->tx_next) {
		e->tx_tail = e->tx_next;
		set(e, E1000_TDT, e->tx_tail);
	}
	if (e->rx_tail != tail) {
		e->rx_tail = tail;
		set(e, E1000_RDT, tail);
	}
}

static void reclaim_sent(struct e1000 *e)
{
	while (e->tx_oldest != e->tx_next &&
		__atomic_load_n(&e->tx[e->tx_oldest].status, __ATOMIC_ACQUIRE) & E1000_DONE)
		e->tx_oldest = (e->tx_oldest + 1) % TX_SLOTS;
}

static bool send_full(const struct e1000 *e)
{
	return (e->tx_next + 1) % TX_SLOTS == e->tx_oldest;
}

static bool e1000_send(
	struct nic *nic, const void *head, size_t head_length, const void *body, size_t body_length)
{
	struct e1000 *e = nic->driver;
	uint8_t *slot;

	check(head_length <= NIC_FRAME_MAX && body_length <= NIC_FRAME_MAX - head_length);
	check(head_length + body_length > 0);
	if (send_full(e))
		reclaim_sent(e);
	if (send_full(e)) {
		nic->counters.send_full++;
		flush(e);
		return false;
	}
	slot = e->tx_buffers + (size_t)e->tx_next * TX_SLOT_BYTES;
	memcpy(slot, head, head_length);
	if (body_length)
		memcpy(slot + head_length, body, body_length);
	e->tx[e->tx_next] = (struct e1000_send){
		.address = (uintptr_t)slot,
		.length = (uint16_t)(head_length + body_length),
		.command = E1000_SEND_END | E1000_SEND_FCS | E1000_SEND_REPORT,
	};
	e->tx_next = (e->tx_next + 1) % TX_SLOTS;
	nic->counters.sent_frames++;
	nic->counters.sent_bytes += head_length + body_length;
	if (++e->held >= TELL_AFTER)
		flush(e);
	return true;
}

static bool receive_done(const struct e1000 *e)
{
	/* The tail itself is never the card's, whatever it writes there. */
	return e->rx_next != (e->rx_held + RX_SLOTS - 1) % RX_SLOTS &&
	       __atomic_load_n(&e->rx[e->rx_next].status, __ATOMIC_ACQUIRE) & E1000_DONE;
}

/* The tail passes what came back, and stops before the oldest that did not. */
static void give_back(struct e1000 *e, uint32_t at)
{
	e->back[at] = true;
	while (e->rx_held != e->rx_next && e->back[e->rx_held]) {
		e->rx[e->rx_held].status = 0;
		e->back[e->rx_held] = false;
		e->rx_held = (e->rx_held + 1) % RX_SLOTS;
	}
}

/* A frame that is whole in this buffer and sound. Each field is read once: the card may change it. */
static bool good_frame(struct e1000 *e, const struct e1000_receive *d, uint32_t *length)
{
	uint8_t status = __atomic_load_n(&d->status, __ATOMIC_ACQUIRE);
	uint8_t errors = __atomic_load_n(&d->errors, __ATOMIC_RELAXED);
	bool first = !e->inside;

	*length = __atomic_load_n(&d->length, __ATOMIC_RELAXED);
	e->inside = !(status & E1000_RECEIVE_END);
	return first && !e->inside && !(errors & E1000_RECEIVE_BAD) && *length >= MIN_FRAME &&
	       *length <= NIC_FRAME_MAX;
}

static bool e1000_receive(struct nic *nic, struct nic_frame *frame)
{
	struct e1000 *e = nic->driver;

	if (!e->receiving)
		flush(e);
	while (receive_done(e)) {
		uint32_t at = e->rx_next, length;
		bool good = good_frame(e, &e->rx[at], &length);

		e->rx_next = (at + 1) % RX_SLOTS;
		if (!good) {
			nic->counters.receive_errors++;
			give_back(e, at);
			continue;
		}
		frame->data = e->rx_buffers + (size_t)at * RX_SLOT_BYTES;
		frame->length = length;
		frame->token = at;
		nic->counters.received_frames++;
		nic->counters.received_bytes += length;
		e->receiving = true;
		return true;
	}
	e->receiving = false;
	flush(e);
	return false;
}

static void e1000_release(struct nic *nic, const struct nic_frame *frame)
{
	struct e1000 *e = nic->driver;
	uint32_t used = (e->rx_next + RX_SLOTS - e->rx_held) % RX_SLOTS;

	/* One that was handed out and not released yet. */
	check(frame->token < RX_SLOTS && !e->back[frame->token]);
	check((frame->token + RX_SLOTS - e->rx_held) % RX_SLOTS < used);
	give_back(e, frame->token);
}

/* There is nothing to ask for: the caller, who sleeps, looks again. */
static bool e1000_notify(struct nic *nic, bool on)
{
	struct e1000 *e = nic->driver;

	if (!on)
		return false;
	e->receiving = false;
	flush(e);
	return receive_done(e);
}

static const struct nic_ops e1000_ops = {
	.name = "e1000",
	.start = e1000_start,
	.send = e1000_send,
	.receive = e1000_receive,
	.release = e1000_release,
	.notify = e1000_notify,
};

int e1000_bind(struct nic *nic, pci_address address, const char **reason)
{
	struct e1000 *e = &driver;
	struct pci_bar bar;

	if (!pci_bar(address, 0, &bar) || bar.io || !bar.base || bar.bytes < E1000_BAR_BYTES)
		return fail(reason, "its registers cannot be found");
	if (bar.base + bar.bytes > 1ull << 32)
		paging_map(bar.base, bar.bytes, true);
	pci_write16(address, PCI_COMMAND,
		pci_read16(address, PCI_COMMAND) | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
			PCI_COMMAND_NO_INTX);
	e->registers = (uintptr_t)bar.base;
	nic->ops = &e1000_ops;
	nic->driver = e;
	return 0;
}
