/* SPDX-License-Identifier: MIT */
/* The e1000 driver against its card, then against one that writes what it likes. */
#include <stdlib.h>
#include "tests/host/host.h"
#include "tests/unit/e1000_model.h"

static struct nic nic;
static const char *reason;

static void machine(void)
{
	model_clear();
	memset(&nic, 0, sizeof(nic));
	reason = NULL;
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
	model_free();
	return 0;
}

static void a_card_starts(void **state)
{
	assert_string_equal(nic.ops->name, "e1000");
	assert_memory_equal(nic.mac, model_mac, 6);
	assert_int_equal(nic.mtu, 1500);
	assert_int_equal(nic.mtu_max, 9216);
	assert_true(nic.silent);
	assert_int_equal(nic.receive_slots, model_ring_size() - 1);
	/* Interrupts: none by the card, none by its INTx line. */
	assert_int_equal(REG(E1000_IMC), 0xffffffffu);
	assert_int_equal(card.command & 0x406, 0x406);
	assert_int_equal(REG(E1000_RCTL), E1000_RCTL_EN | E1000_RCTL_LPE | E1000_RCTL_BAM |
						  E1000_RCTL_16384 | E1000_RCTL_SECRC);
	assert_true(REG(E1000_CTRL) & E1000_CTRL_SLU);
	assert_int_equal(card.mapped, 0);
	for (uint32_t i = 0; i < model_ring_size(); i++)
		model_dma(model_ring(i)->address, BUFFER);
}

static void an_address_comes_from_where_it_is(void **state)
{
	/* Registers that a reset leaves alone, and empty: the EEPROM. */
	machine();
	card.keeps = true;
	assert_int_equal(start(), 0);
	assert_memory_equal(nic.mac, model_mac, 6);
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
	model_sends();
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

		assert_true(model_receives(length, (uint8_t)i));
		assert_true(model_receives(100, 7));
		assert_true(nic.ops->receive(&nic, &frame));
		assert_true(model_is_frame(&frame, length, (uint8_t)i));
		nic.ops->release(&nic, &frame);
		assert_true(nic.ops->receive(&nic, &frame));
		assert_true(model_is_frame(&frame, 100, 7));
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
		assert_true(model_receives(1000, (uint8_t)i));
	assert_false(model_receives(1000, 0));
	for (uint32_t i = 0; i < slots; i++)
		assert_true(nic.ops->receive(&nic, &frame[i]));
	assert_false(nic.ops->receive(&nic, &more));
	/* Released from the middle: the card gets nothing before the oldest is back. */
	for (uint32_t i = slots - 1; i > 0; i--)
		nic.ops->release(&nic, &frame[i]);
	assert_false(nic.ops->receive(&nic, &more));
	assert_false(model_receives(1000, 0));
	assert_true(model_is_frame(&frame[0], 1000, 0));
	nic.ops->release(&nic, &frame[0]);
	assert_false(nic.ops->notify(&nic, true));
	for (uint32_t i = 0; i < slots; i++)
		assert_true(model_receives(1000, (uint8_t)i));
	assert_false(model_receives(1000, 0));
	assert_true(nic.ops->notify(&nic, true));
	assert_true(nic.ops->receive(&nic, &more));
	assert_true(model_is_frame(&more, 1000, 0));
}

/* One descriptor as a hostile or broken card would write it. */
static void bad(uint16_t length, uint8_t status, uint8_t errors)
{
	struct e1000_receive *d = model_ring(REG(E1000_RDH));

	d->length = length;
	d->errors = errors;
	d->status = status;
	REG(E1000_RDH) = (REG(E1000_RDH) + 1) % model_ring_size();
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
	assert_true(model_receives(100, 1));
	assert_true(nic.ops->receive(&nic, &frame));
	assert_true(model_is_frame(&frame, 100, 1));
	assert_int_equal(nic.counters.receive_errors, 10);
	nic.ops->release(&nic, &frame);
	/* A frame over three buffers is none, its last part neither. */
	bad(BUFFER, E1000_DONE, 0);
	bad(BUFFER, E1000_DONE, 0);
	bad(100, whole, 0);
	assert_true(model_receives(100, 2));
	assert_true(nic.ops->receive(&nic, &frame));
	assert_true(model_is_frame(&frame, 100, 2));
	assert_int_equal(nic.counters.receive_errors, 13);
	nic.ops->release(&nic, &frame);
	assert_false(nic.ops->receive(&nic, &frame));
	/* Checksums above Ethernet are not the card's to judge. */
	bad(100, whole, 0x60);
	assert_true(nic.ops->receive(&nic, &frame));
}

static void a_descriptor_that_is_not_the_cards_is_not_believed(void **state)
{
	uint32_t size = model_ring_size();
	struct nic_frame frame;
	unsigned n = 0;

	for (uint32_t i = 0; i < size; i++) {
		model_ring(i)->length = 100;
		model_ring(i)->status = E1000_DONE | E1000_RECEIVE_END;
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
		struct e1000_receive *d = model_ring((uint32_t)rand() % model_ring_size());
		uint64_t sends = (uint64_t)REG(E1000_TDBAH) << 32 | REG(E1000_TDBAL);
		struct e1000_send *t =
			model_dma(sends + (uint32_t)rand() % (REG(E1000_TDLEN) / 16) * 16, 16);

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
			model_dma((uintptr_t)held[count].data, BUFFER);
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
	model_receives(60, 0);
	model_receives(60, 0);
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
