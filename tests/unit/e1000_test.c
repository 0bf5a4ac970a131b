/* SPDX-License-Identifier: MIT */
/*
 * The e1000 driver against a simulated 82540EM: registers, EEPROM and rings as the manual has them;
 * then against a card that writes what it likes into its descriptors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "machine/clock.h"
#include "machine/memory.h"
#include "machine/mmio.h"
#include "machine/paging.h"
#include "nic/card.h"
#include "nic/e1000.h"
#include "nic/e1000_regs.h"
#include "tests/host/host.h"

#define HERE   0x80u /* 00:10.0 */
#define BUFFER 16384u
#define BLOCKS 256u
#define SENT   64u

static const uint8_t mac_address[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

struct block {
	uint8_t *memory;
	size_t bytes;
};

/* The card, and the machine around it. */
static struct card_model {
	uint32_t reg[E1000_BAR_BYTES / 4];
	uint16_t eeprom[64];
	uint32_t bar; /* as the configuration space has it */
	uint32_t bar_high;
	uint32_t command;
	bool stuck; /* never ends its reset */
	bool keeps; /* a reset changes no register, as in QEMU and Bochs */
	bool no_eeprom;
	bool link;
	bool lazy; /* sends nothing */
	unsigned tells; /* writes of TDT */
	unsigned gives; /* writes of RDT */
	uint8_t sent[SENT][NIC_FRAME_MAX + 1];
	uint32_t sent_length[SENT];
	uint64_t sent_count;
	uint64_t mapped;
	uint64_t now;
} card;

static struct block block[BLOCKS];
static unsigned blocks;

void *memory_take(size_t bytes, size_t align, const char *what)
{
	struct block *b = &block[blocks++];

	assert_true(blocks <= BLOCKS);
	b->bytes = (bytes + align - 1) & ~(align - 1);
	b->memory = aligned_alloc(align, b->bytes);
	memset(b->memory, 0, b->bytes);
	return b->memory;
}

/* What a card may reach by DMA: only what the driver took for it. */
static void *dma(uint64_t address, size_t bytes)
{
	for (unsigned i = 0; i < blocks; i++) {
		uint64_t base = (uintptr_t)block[i].memory;

		if (address >= base && bytes <= block[i].bytes &&
			address - base <= block[i].bytes - bytes)
			return (void *)(uintptr_t)address;
	}
	fail_msg("the card was given %zu bytes at %lx", bytes, (unsigned long)address);
	return NULL;
}

void paging_map(uint64_t start, uint64_t bytes, bool uncached)
{
	assert_true(uncached);
	card.mapped = start;
}

void clock_wait(uint64_t ns)
{
	card.now += ns;
}

uint32_t pci_read32(pci_address a, unsigned offset)
{
	assert_int_equal(a, HERE);
	return offset == 0 ? E1000_82540EM << 16 | E1000_VENDOR : 0;
}

uint16_t pci_read16(pci_address a, unsigned offset)
{
	if (offset == 4)
		return (uint16_t)card.command;
	return (uint16_t)(pci_read32(a, offset & ~3u) >> (offset & 2) * 8);
}

void pci_write16(pci_address a, unsigned offset, uint16_t value)
{
	assert_int_equal(a, HERE);
	assert_int_equal(offset, 4);
	card.command = value;
}

bool pci_bar(pci_address a, unsigned index, struct pci_bar *bar)
{
	assert_int_equal(index, 0);
	*bar = (struct pci_bar){.base = (uint64_t)card.bar_high << 32 | (card.bar & ~15u),
		.bytes = E1000_BAR_BYTES,
		.io = card.bar & 1};
	return true;
}

/* The table names it; its own tests are elsewhere. */
int virtio_net_bind(struct nic *nic, pci_address address, const char **reason);
int virtio_net_bind(struct nic *nic, pci_address address, const char **reason)
{
	return -1;
}

#define REG(offset) card.reg[(offset) / 4]

static void card_reset(void)
{
	if (!card.keeps) {
		memset(card.reg, 0, sizeof(card.reg));
		REG(E1000_RAL) = card.eeprom[0] | (uint32_t)card.eeprom[1] << 16;
		REG(E1000_RAH) = card.eeprom[2] | E1000_RAH_AV;
	}
	if (card.stuck)
		REG(E1000_CTRL) |= E1000_CTRL_RST;
	if (card.link)
		REG(E1000_STATUS) |= E1000_STATUS_LU;
}

static void card_sends(void)
{
	while (!card.lazy && REG(E1000_TCTL) & E1000_TCTL_EN && REG(E1000_TDH) != REG(E1000_TDT)) {
		uint64_t ring = (uint64_t)REG(E1000_TDBAH) << 32 | REG(E1000_TDBAL);
		struct e1000_send *d = dma(ring + REG(E1000_TDH) * sizeof(*d), sizeof(*d));
		uint8_t *to = card.sent[card.sent_count % SENT];

		assert_true(d->length > 0 && d->length <= NIC_FRAME_MAX);
		assert_int_equal(d->command, E1000_SEND_END | E1000_SEND_FCS | E1000_SEND_REPORT);
		memcpy(to, dma(d->address, d->length), d->length);
		card.sent_length[card.sent_count++ % SENT] = d->length;
		d->status |= E1000_DONE;
		REG(E1000_TDH) = (REG(E1000_TDH) + 1) % (REG(E1000_TDLEN) / sizeof(*d));
	}
}

uint32_t mmio_read32(uintptr_t address)
{
	uint32_t offset = (uint32_t)(address - ((uint64_t)card.bar_high << 32 | card.bar)), value;

	assert_true(offset < E1000_BAR_BYTES && offset % 4 == 0);
	value = REG(offset);
	if (offset == E1000_ICR)
		REG(E1000_ICR) = 0;
	if (offset == E1000_EERD && value & E1000_EERD_START && !card.no_eeprom)
		value = (uint32_t)card.eeprom[value >> 8 & 63] << 16 | E1000_EERD_DONE;
	return value;
}

void mmio_write32(uintptr_t address, uint32_t value)
{
	uint32_t offset = (uint32_t)(address - ((uint64_t)card.bar_high << 32 | card.bar));

	assert_true(offset < E1000_BAR_BYTES && offset % 4 == 0);
	REG(offset) = value;
	if (offset == E1000_CTRL && value & E1000_CTRL_RST) {
		REG(E1000_CTRL) = value & ~E1000_CTRL_RST;
		card_reset();
	}
	if (offset == E1000_TDT) {
		card.tells++;
		assert_true(value < REG(E1000_TDLEN) / 16);
		card_sends();
	}
	if (offset == E1000_RDT) {
		card.gives++;
		assert_true(value < REG(E1000_RDLEN) / 16);
	}
}

static struct e1000_receive *ring(uint32_t at)
{
	uint64_t base = (uint64_t)REG(E1000_RDBAH) << 32 | REG(E1000_RDBAL);

	return dma(base + at * sizeof(struct e1000_receive), sizeof(struct e1000_receive));
}

static uint32_t ring_size(void)
{
	return REG(E1000_RDLEN) / sizeof(struct e1000_receive);
}

/* A frame of this length whose bytes follow from `seed`. False: the card has no descriptor. */
static bool card_receives(uint32_t length, uint8_t seed)
{
	struct e1000_receive *d = ring(REG(E1000_RDH));
	uint8_t *to;

	if (!(REG(E1000_RCTL) & E1000_RCTL_EN) || REG(E1000_RDH) == REG(E1000_RDT))
		return false;
	assert_int_equal(d->status, 0);
	to = dma(d->address, BUFFER);
	for (uint32_t i = 0; i < length; i++)
		to[i] = (uint8_t)(seed + i);
	d->length = (uint16_t)length;
	d->errors = 0;
	d->status = E1000_DONE | E1000_RECEIVE_END;
	REG(E1000_RDH) = (REG(E1000_RDH) + 1) % ring_size();
	return true;
}

static bool is_frame(const struct nic_frame *f, uint32_t length, uint8_t seed)
{
	if (f->length != length)
		return false;
	for (uint32_t i = 0; i < length; i++)
		if (f->data[i] != (uint8_t)(seed + i))
			return false;
	return true;
}

static struct nic nic;
static const char *reason;

static void machine(void)
{
	memset(&card, 0, sizeof(card));
	memset(&nic, 0, sizeof(nic));
	reason = NULL;
	card.bar = 0xfeb80000u;
	card.link = true;
	for (unsigned i = 0; i < 3; i++)
		card.eeprom[i] = (uint16_t)(mac_address[2 * i] | mac_address[2 * i + 1] << 8);
}

static int start(void)
{
	if (card_bind(&nic, HERE, &reason))
		return -1;
	return nic.ops->start(&nic, &reason);
}

static int setup(void **state)
{
	machine();
	assert_int_equal(start(), 0);
	return 0;
}

static int teardown(void **state)
{
	while (blocks)
		free(block[--blocks].memory);
	return 0;
}

static void a_card_starts(void **state)
{
	assert_string_equal(nic.ops->name, "e1000");
	assert_memory_equal(nic.mac, mac_address, 6);
	assert_int_equal(nic.mtu, 1500);
	assert_int_equal(nic.mtu_max, 9216);
	assert_true(nic.silent);
	assert_int_equal(nic.receive_slots, ring_size() - 1);
	/* Interrupts: none by the card, none by its INTx line. */
	assert_int_equal(REG(E1000_IMC), 0xffffffffu);
	assert_int_equal(card.command & 0x406, 0x406);
	assert_int_equal(REG(E1000_RCTL), E1000_RCTL_EN | E1000_RCTL_LPE | E1000_RCTL_BAM |
						  E1000_RCTL_16384 | E1000_RCTL_SECRC);
	assert_true(REG(E1000_CTRL) & E1000_CTRL_SLU);
	assert_int_equal(card.mapped, 0);
	for (uint32_t i = 0; i < ring_size(); i++)
		dma(ring(i)->address, BUFFER);
}

static void an_address_comes_from_where_it_is(void **state)
{
	/* Registers that a reset leaves alone, and empty: the EEPROM. */
	machine();
	card.keeps = true;
	assert_int_equal(start(), 0);
	assert_memory_equal(nic.mac, mac_address, 6);
	assert_int_equal(REG(E1000_RAL), 0x12005452u);
	assert_int_equal(REG(E1000_RAH), 0x5634u | E1000_RAH_AV);
	/* Another address in the registers, and no EEPROM: the registers. */
	machine();
	card.keeps = card.no_eeprom = true;
	REG(E1000_RAL) = 0x33221102u;
	REG(E1000_RAH) = 0x5544u | E1000_RAH_AV;
	REG(E1000_RAL + 8) = 1;
	REG(E1000_RAH + 8) = E1000_RAH_AV;
	REG(E1000_MTA + 4 * 127) = 1;
	assert_int_equal(start(), 0);
	assert_memory_equal(nic.mac, "\x02\x11\x22\x33\x44\x55", 6);
	assert_int_equal(REG(E1000_RAH + 8), 0);
	assert_int_equal(REG(E1000_MTA + 4 * 127), 0);
	teardown(NULL);
}

static void a_card_without_address_is_refused(void **state)
{
	machine();
	card.keeps = card.no_eeprom = true;
	assert_int_equal(start(), -1);
	assert_non_null(strstr(reason, "MAC"));
	machine();
	card.eeprom[0] |= 1; /* a group's */
	assert_int_equal(start(), -1);
	machine();
	memset(card.eeprom, 0, sizeof(card.eeprom));
	assert_int_equal(start(), -1);
	teardown(NULL);
}

static void a_card_that_does_not_answer_is_refused(void **state)
{
	machine();
	card.stuck = true;
	assert_int_equal(start(), -1);
	assert_non_null(strstr(reason, "reset"));
	machine();
	card.bar |= 1;
	assert_int_equal(start(), -1);
	machine();
	card.bar = 0;
	assert_int_equal(start(), -1);
	assert_non_null(strstr(reason, "registers"));
	teardown(NULL);
}

static void a_missing_link_is_waited_for_but_not_for_ever(void **state)
{
	machine();
	card.link = false;
	assert_int_equal(start(), 0);
	assert_in_range(card.now, 5000000000ull, 6000000000ull);
	teardown(NULL);
}

static void registers_above_4_gib_are_mapped(void **state)
{
	machine();
	card.bar_high = 0x38;
	assert_int_equal(start(), 0);
	assert_int_equal(card.mapped, 0x38feb80000ull);
	teardown(NULL);
}

static void cards_are_known_by_their_ids(void **state)
{
	assert_string_equal(card_find(0x1af4, 0x1041), "virtio-net");
	assert_string_equal(card_find(0x8086, 0x100e), "e1000");
	assert_string_equal(card_find(0x8086, 0x100f), "e1000");
	assert_null(card_find(0x1af4, 0x1000));
	assert_null(card_find(0x8086, 0x10d3));
	assert_null(card_find(0xffff, 0xffff));
}

static void frames_go_out_whole_and_in_order(void **state)
{
	uint8_t head[100], body[4096];

	for (unsigned i = 0; i < 1000; i++) {
		uint32_t n = i % 3 ? sizeof(body) : 0;
		const uint8_t *sent = card.sent[i % SENT];

		memset(head, (int)i, sizeof(head));
		memset(body, (int)i + 1, sizeof(body));
		assert_true(nic.ops->send(&nic, head, sizeof(head), n ? body : NULL, n));
		nic.ops->notify(&nic, true);
		assert_int_equal(card.sent_count, i + 1);
		assert_int_equal(card.sent_length[i % SENT], sizeof(head) + n);
		assert_memory_equal(sent, head, sizeof(head));
		assert_memory_equal(sent + sizeof(head), body, n);
	}
	assert_int_equal(nic.counters.sent_frames, 1000);
}

static void the_card_is_told_once_per_batch(void **state)
{
	struct nic_frame frame;
	uint8_t head[60] = {0};
	unsigned tells = card.tells;

	for (unsigned i = 0; i < 15; i++)
		assert_true(nic.ops->send(&nic, head, sizeof(head), NULL, 0));
	assert_int_equal(card.tells, tells);
	assert_true(nic.ops->send(&nic, head, sizeof(head), NULL, 0));
	assert_int_equal(card.tells, tells + 1);
	assert_true(nic.ops->send(&nic, head, sizeof(head), NULL, 0));
	assert_false(nic.ops->receive(&nic, &frame));
	assert_int_equal(card.tells, tells + 2);
	assert_false(nic.ops->receive(&nic, &frame));
	assert_int_equal(card.tells, tells + 2);
	assert_int_equal(card.sent_count, 17);
}

static void a_full_ring_sends_nothing_and_recovers(void **state)
{
	uint8_t head[60];
	unsigned n = 0;

	card.lazy = true;
	for (memset(head, 0, sizeof(head)); nic.ops->send(&nic, head, sizeof(head), NULL, 0); n++)
		head[0] = (uint8_t)(n + 1);
	assert_int_equal(n, REG(E1000_TDLEN) / 16 - 1);
	assert_int_equal(nic.counters.send_full, 1);
	assert_int_equal(nic.counters.sent_frames, n);
	card.lazy = false;
	card_sends();
	assert_int_equal(card.sent_count, n);
	assert_int_equal(card.sent[(n - 1) % SENT][0], (uint8_t)(n - 1));
	assert_true(nic.ops->send(&nic, head, sizeof(head), NULL, 0));
	nic.ops->notify(&nic, true);
	assert_int_equal(card.sent_count, n + 1);
}

static void frames_come_in_up_to_the_largest(void **state)
{
	static const uint32_t lengths[] = {60, 14, 1514, 9014, NIC_FRAME_MAX};
	struct nic_frame frame;

	for (unsigned i = 0; i < 2000; i++) {
		uint32_t length = lengths[i % 5];

		assert_true(card_receives(length, (uint8_t)i));
		assert_true(card_receives(100, 7));
		assert_true(nic.ops->receive(&nic, &frame));
		assert_true(is_frame(&frame, length, (uint8_t)i));
		nic.ops->release(&nic, &frame);
		assert_true(nic.ops->receive(&nic, &frame));
		assert_true(is_frame(&frame, 100, 7));
		nic.ops->release(&nic, &frame);
		assert_false(nic.ops->receive(&nic, &frame));
	}
	assert_int_equal(nic.counters.received_frames, 4000);
	assert_int_equal(nic.counters.receive_errors, 0);
}

static void what_is_held_is_not_overwritten(void **state)
{
	uint32_t slots = nic.receive_slots;
	struct nic_frame frame[slots], more;

	for (uint32_t i = 0; i < slots; i++)
		assert_true(card_receives(1000, (uint8_t)i));
	assert_false(card_receives(1000, 0));
	for (uint32_t i = 0; i < slots; i++)
		assert_true(nic.ops->receive(&nic, &frame[i]));
	assert_false(nic.ops->receive(&nic, &more));
	/* Released from the middle: the card gets nothing before the oldest is back. */
	for (uint32_t i = slots - 1; i > 0; i--)
		nic.ops->release(&nic, &frame[i]);
	assert_false(nic.ops->receive(&nic, &more));
	assert_false(card_receives(1000, 0));
	assert_true(is_frame(&frame[0], 1000, 0));
	nic.ops->release(&nic, &frame[0]);
	assert_false(nic.ops->notify(&nic, true));
	for (uint32_t i = 0; i < slots; i++)
		assert_true(card_receives(1000, (uint8_t)i));
	assert_false(card_receives(1000, 0));
	assert_true(nic.ops->notify(&nic, true));
	assert_true(nic.ops->receive(&nic, &more));
	assert_true(is_frame(&more, 1000, 0));
}

/* One descriptor as a hostile or broken card would write it. */
static void bad(uint16_t length, uint8_t status, uint8_t errors)
{
	struct e1000_receive *d = ring(REG(E1000_RDH));

	d->length = length;
	d->errors = errors;
	d->status = status;
	REG(E1000_RDH) = (REG(E1000_RDH) + 1) % ring_size();
}

static void bad_descriptors_are_not_handed_on(void **state)
{
	static const uint8_t whole = E1000_DONE | E1000_RECEIVE_END;
	struct nic_frame frame;

	bad(0, whole, 0);
	bad(13, whole, 0);
	bad(NIC_FRAME_MAX + 1, whole, 0);
	bad(BUFFER + 1, whole, 0);
	bad(0xffff, whole, 0);
	for (unsigned bit = 0; bit < 8; bit++)
		if (1u << bit & E1000_RECEIVE_BAD)
			bad(100, whole, (uint8_t)(1u << bit));
	assert_true(card_receives(100, 1));
	assert_true(nic.ops->receive(&nic, &frame));
	assert_true(is_frame(&frame, 100, 1));
	assert_int_equal(nic.counters.receive_errors, 10);
	nic.ops->release(&nic, &frame);
	/* A frame over three buffers is none, its last part neither. */
	bad(BUFFER, E1000_DONE, 0);
	bad(BUFFER, E1000_DONE, 0);
	bad(100, whole, 0);
	assert_true(card_receives(100, 2));
	assert_true(nic.ops->receive(&nic, &frame));
	assert_true(is_frame(&frame, 100, 2));
	assert_int_equal(nic.counters.receive_errors, 13);
	nic.ops->release(&nic, &frame);
	assert_false(nic.ops->receive(&nic, &frame));
	/* Checksums above Ethernet are not the card's to judge. */
	bad(100, whole, 0x60);
	assert_true(nic.ops->receive(&nic, &frame));
}

static void a_descriptor_that_is_not_the_cards_is_not_believed(void **state)
{
	uint32_t size = ring_size();
	struct nic_frame frame;
	unsigned n = 0;

	for (uint32_t i = 0; i < size; i++) {
		ring(i)->length = 100;
		ring(i)->status = E1000_DONE | E1000_RECEIVE_END;
	}
	while (nic.ops->receive(&nic, &frame))
		n++;
	assert_int_equal(n, size - 1);
}

/* Every descriptor changes at any time; what is handed out is sound, and never the same twice. */
static void a_card_gone_mad_harms_nobody(void **state)
{
	struct nic_frame held[8];
	unsigned count = 0;
	uint8_t head[60] = {0};

	srand(1);
	for (unsigned i = 0; i < 200000; i++) {
		struct e1000_receive *d = ring((uint32_t)rand() % ring_size());
		uint64_t sends = (uint64_t)REG(E1000_TDBAH) << 32 | REG(E1000_TDBAL);
		struct e1000_send *t =
			dma(sends + (uint32_t)rand() % (REG(E1000_TDLEN) / 16) * 16, 16);

		d->length = (uint16_t)(rand() % (rand() % 2 ? 10000 : 65536));
		d->errors = rand() % 4 ? 0 : (uint8_t)rand();
		d->status = rand() % 8 ? E1000_DONE | E1000_RECEIVE_END : (uint8_t)rand();
		d->address = (uint64_t)rand() << 32;
		t->status = (uint8_t)rand();
		t->length = (uint16_t)rand();
		card.lazy = true;
		nic.ops->send(&nic, head, sizeof(head), NULL, 0);
		if (count < 8 && nic.ops->receive(&nic, &held[count])) {
			assert_in_range(held[count].length, 14, NIC_FRAME_MAX);
			dma((uintptr_t)held[count].data, BUFFER);
			for (unsigned k = 0; k < count; k++)
				assert_int_not_equal(held[k].token, held[count].token);
			count++;
		}
		if (count && rand() % 2) {
			unsigned k = (unsigned)rand() % count;

			nic.ops->release(&nic, &held[k]);
			held[k] = held[--count];
		}
	}
	assert_true(nic.counters.received_frames > 1000);
}

static void our_own_mistakes_panic(void **state)
{
	struct nic_frame frame, never = {.token = 200}, outside = {.token = 256};
	static uint8_t large[NIC_FRAME_MAX + 1];

	assert_true(host_expect_panic(nic.ops->send(&nic, large, sizeof(large), NULL, 0)));
	assert_true(host_expect_panic(nic.ops->send(&nic, large, 60, large, NIC_FRAME_MAX)));
	assert_true(host_expect_panic(nic.ops->release(&nic, &never)));
	assert_true(host_expect_panic(nic.ops->release(&nic, &outside)));
	card_receives(60, 0);
	card_receives(60, 0);
	assert_true(nic.ops->receive(&nic, &frame));
	nic.ops->release(&nic, &frame);
	assert_true(host_expect_panic(nic.ops->release(&nic, &frame)));
}

int main(void)
{
#define TEST(f)    cmocka_unit_test(f)
#define STARTED(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(cards_are_known_by_their_ids),
		STARTED(a_card_starts),
		TEST(an_address_comes_from_where_it_is),
		TEST(a_card_without_address_is_refused),
		TEST(a_card_that_does_not_answer_is_refused),
		TEST(a_missing_link_is_waited_for_but_not_for_ever),
		TEST(registers_above_4_gib_are_mapped),
		STARTED(frames_go_out_whole_and_in_order),
		STARTED(the_card_is_told_once_per_batch),
		STARTED(a_full_ring_sends_nothing_and_recovers),
		STARTED(frames_come_in_up_to_the_largest),
		STARTED(what_is_held_is_not_overwritten),
		STARTED(bad_descriptors_are_not_handed_on),
		STARTED(a_descriptor_that_is_not_the_cards_is_not_believed),
		STARTED(a_card_gone_mad_harms_nobody),
		STARTED(our_own_mistakes_panic),
	};

	return cmocka_run_group_tests_name("e1000", tests, NULL, NULL);
}
