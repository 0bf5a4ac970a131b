/* SPDX-License-Identifier: MIT */
/* ARP, echo, and the port's start, frame by frame through fabric_receive(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "fabric/arp.h"
#include "fabric/fabric.h"
#include "fabric/session.h"
#include "unit/fabric_tap.h"

#define MS   1000000ull
#define US   0x0a000001u
#define PEER 0x0a000002u

static const uint8_t our_mac[6] = {0x52, 0x54, 0, 0, 0, 1};
static const uint8_t peer_mac[6] = {0x52, 0x54, 0, 0, 0, 2};
static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

struct fixture {
	struct tap tap;
	struct fabric *fabric;
	void *memory;
	uint64_t now;
};

static struct fabric *start(struct fixture *f, struct fabric_config *c, const char **reason)
{
	tap_init(&f->tap, our_mac, 9000);
	f->now = 5000 * MS;
	c->nic = &f->tap.nic;
	c->now = f->now;
	c->memory = f->memory;
	c->sessions = 1;
	return fabric_start(c, reason);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct fabric_config c = {.address = US, .prefix = 24, .mtu = 9000, .random = {1}};
	const char *reason;

	f->memory = aligned_alloc(4096, fabric_memory_size(1));
	f->fabric = start(f, &c, &reason);
	assert_non_null(f->fabric);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	free(f->memory);
	free(f);
	return 0;
}

static void run(struct fixture *f, uint64_t ns)
{
	for (uint64_t end = f->now + ns; f->now < end; f->now += 10 * MS) {
		fabric_receive(f->fabric, f->now, 64);
		fabric_turn(f->fabric, f->now);
	}
}

static void give(struct fixture *f, const void *frame, size_t length)
{
	tap_give(&f->tap, frame, length);
	fabric_receive(f->fabric, f->now, 64);
}

/* An ARP frame as somebody else sends it. */
static void arp(uint8_t out[42], const uint8_t *to, unsigned operation, const uint8_t *mac,
	uint32_t sender, uint32_t target)
{
	memset(out, 0, 42);
	memcpy(out, to, 6);
	memcpy(out + 6, mac, 6);
	wire_put16(out + 12, 0x0806);
	wire_put16(out + 14, 1);
	wire_put16(out + 16, 0x0800);
	out[18] = 6;
	out[19] = 4;
	wire_put16(out + 20, operation);
	memcpy(out + 22, mac, 6);
	wire_put32(out + 28, sender);
	wire_put32(out + 38, target);
}

static void probes_then_announces(void **state)
{
	struct fixture *f = *state;
	uint8_t mac[6];
	unsigned probes = 0, announcements = 0;

	assert_int_equal(fabric_state(f->fabric, mac), FABRIC_PROBING);
	run(f, 150 * MS);
	assert_int_equal(fabric_state(f->fabric, mac), FABRIC_PROBING);
	run(f, 2000 * MS);
	assert_int_equal(fabric_state(f->fabric, mac), FABRIC_READY);
	for (unsigned i = 0; i < f->tap.sent; i++) {
		const uint8_t *a = f->tap.out[i].data;

		assert_memory_equal(a, all, 6);
		assert_int_equal(f->tap.out[i].length, 60);
		assert_int_equal(wire_get32(a + 38), US);
		probes += wire_get32(a + 28) == 0;
		announcements += wire_get32(a + 28) == US;
	}
	assert_int_equal(probes, 3);
	assert_int_equal(announcements, 2);
}

static void conflict_stops_and_names_the_other(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[42], mac[6] = {0};
	unsigned sent;

	run(f, 100 * MS);
	arp(frame, our_mac, 2, peer_mac, US, 0); /* answers our probe: it has the address */
	give(f, frame, sizeof(frame));
	assert_int_equal(fabric_state(f->fabric, mac), FABRIC_CONFLICT);
	assert_memory_equal(mac, peer_mac, 6);
	sent = f->tap.sent;
	run(f, 5000 * MS);
	assert_int_equal(f->tap.sent, sent);
	assert_true(fabric_deadline(f->fabric) > f->now - 10 * MS);
}

/* Its answer comes when the probes are over: the boot that waits for its servers still sees it. */
static void a_late_answer_is_a_clash(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[42], mac[6] = {0};

	run(f, 1000 * MS);
	assert_int_equal(fabric_state(f->fabric, mac), FABRIC_READY);
	assert_false(fabric_clash(f->fabric, mac));
	arp(frame, our_mac, 2, peer_mac, US, 0);
	give(f, frame, sizeof(frame));
	assert_int_equal(fabric_state(f->fabric, mac), FABRIC_READY);
	assert_true(fabric_clash(f->fabric, mac));
	assert_memory_equal(mac, peer_mac, 6);
}

/* Two machines that start at once: both probe. Our own probe given back by a hub is no conflict. */
static void anothers_probe_is_a_conflict_our_own_is_not(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[42], mac[6];

	run(f, 100 * MS);
	arp(frame, all, 1, our_mac, 0, US);
	give(f, frame, sizeof(frame));
	assert_int_equal(fabric_state(f->fabric, mac), FABRIC_PROBING);
	arp(frame, all, 1, peer_mac, 0, US);
	give(f, frame, sizeof(frame));
	assert_int_equal(fabric_state(f->fabric, mac), FABRIC_CONFLICT);
}

static void requests_are_answered_within_the_budget(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[42];
	const uint8_t *a;

	run(f, 3000 * MS);
	f->tap.sent = 0;
	arp(frame, our_mac, 1, peer_mac, PEER, US); /* unicast, as Linux confirms an entry */
	give(f, frame, sizeof(frame));
	assert_int_equal(f->tap.sent, 1);
	a = f->tap.out[0].data;
	assert_memory_equal(a, peer_mac, 6);
	assert_int_equal(wire_get16(a + 20), 2);
	assert_memory_equal(a + 22, our_mac, 6);
	assert_int_equal(wire_get32(a + 28), US);
	assert_memory_equal(a + 32, peer_mac, 6);
	assert_int_equal(wire_get32(a + 38), PEER);
	for (unsigned i = 0; i < 100; i++)
		give(f, frame, sizeof(frame));
	assert_int_equal(f->tap.sent, ARP_BUDGET);
	assert_int_equal(fabric_counters(f->fabric)->arp_over_budget, 101 - ARP_BUDGET);
	fabric_turn(f->fabric, f->now);
	give(f, frame, sizeof(frame));
	assert_int_equal(f->tap.sent, ARP_BUDGET + 1);
	arp(frame, all, 1, peer_mac, PEER, US + 5);
	give(f, frame, sizeof(frame));
	assert_int_equal(f->tap.sent, ARP_BUDGET + 1);
}

static void malformed_requests_are_not_answered(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[42];

	run(f, 3000 * MS);
	f->tap.sent = 0;
	for (unsigned n = 0; n < 42; n++) {
		arp(frame, our_mac, 1, peer_mac, PEER, US);
		give(f, frame, n);
	}
	for (unsigned at = 14; at < 20; at++) { /* hardware, protocol, lengths */
		arp(frame, our_mac, 1, peer_mac, PEER, US);
		frame[at] ^= 0x40;
		give(f, frame, sizeof(frame));
	}
	arp(frame, our_mac, 1, all, PEER, US); /* a group address as sender */
	give(f, frame, sizeof(frame));
	assert_int_equal(f->tap.sent, 0);
}

static struct session *open_session(struct fixture *f, uint32_t address)
{
	static const struct session_events none;
	struct session_config c = {.name = "m", .address = address, .port = 1, .number = 1};
	struct session *s = session_open(f->fabric, &c);

	session_listen(s, &none, NULL);
	return s;
}

static unsigned asks_for(struct fixture *f, uint32_t target)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->tap.sent; i++) {
		const uint8_t *a = f->tap.out[i].data;

		n += wire_get16(a + 12) == 0x0806 && wire_get16(a + 20) == 1 &&
		     wire_get32(a + 38) == target;
	}
	return n;
}

static void next_hop_is_asked_for_until_it_answers(void **state)
{
	struct fixture *f = *state;
	struct session *s = open_session(f, PEER);
	uint8_t frame[42];
	struct session_info info;

	run(f, 3000 * MS);
	f->tap.sent = 0;
	run(f, 2000 * MS);
	assert_in_range(asks_for(f, PEER), 7, 9);
	session_info(s, &info);
	assert_int_equal(info.state, SESSION_RESOLVING);
	arp(frame, our_mac, 2, peer_mac, PEER, US);
	f->tap.sent = 0;
	give(f, frame, sizeof(frame));
	fabric_turn(f->fabric, f->now);
	assert_int_equal(f->tap.sent, 1);
	assert_memory_equal(f->tap.out[0].data, peer_mac, 6);
	assert_int_equal(f->tap.out[0].length, 322); /* a connection request */
	session_info(s, &info);
	assert_int_equal(info.state, SESSION_CONNECTING);
}

static void servers_elsewhere_go_by_the_gateway(void **state)
{
	struct fixture *f = *state;
	struct fabric_config c = {.address = US, .prefix = 24, .gateway = 0x0a0000fe, .mtu = 9000};
	const char *reason;

	f->fabric = start(f, &c, &reason);
	open_session(f, 0x0b000001);
	run(f, 3000 * MS);
	assert_true(asks_for(f, 0x0a0000fe) > 0);
	assert_int_equal(asks_for(f, 0x0b000001), 0);
}

static size_t echo(uint8_t *out, size_t payload)
{
	struct wire_path path = {.source = PEER, .destination = US};

	memcpy(path.source_mac, peer_mac, 6);
	memcpy(path.destination_mac, our_mac, 6);
	wire_ipv4(out, &path, 1, 0, 9, 8 + payload);
	memset(out + 34, 0, 8);
	out[34] = 8;
	wire_put32(out + 38, 0x12340001);
	for (size_t i = 0; i < payload; i++)
		out[42 + i] = i;
	wire_put16(out + 36, wire_checksum(out + 34, 8 + payload));
	return 42 + payload;
}

static void echo_is_answered(void **state)
{
	struct fixture *f = *state;
	static uint8_t frame[NIC_FRAME_MAX];
	static const size_t sizes[] = {0, 1, 56, 1472, 8972};

	run(f, 3000 * MS);
	for (unsigned i = 0; i < 5; i++) {
		size_t n = echo(frame, sizes[i]);
		const struct tap_frame *out = &f->tap.out[0];

		f->tap.sent = 0;
		give(f, frame, n);
		assert_int_equal(f->tap.sent, 1);
		assert_int_equal(out->length, n);
		assert_memory_equal(out->data, peer_mac, 6);
		assert_int_equal(out->data[34], 0);
		assert_int_equal(wire_checksum(out->data + 14, 20), 0);
		assert_int_equal(wire_checksum(out->data + 34, n - 34), 0);
		assert_memory_equal(out->data + 38, frame + 38, n - 38);
		frame[37] ^= 1; /* its checksum */
		f->tap.sent = 0;
		give(f, frame, n);
		assert_int_equal(f->tap.sent, 0);
	}
}

static void settings_that_cannot_work_are_refused(void **state)
{
	struct fixture *f = *state;
	static const struct {
		struct fabric_config c;
		const char *word;
	} bad[] = {
		{{.address = US, .prefix = 0, .mtu = 9000}, "prefix"},
		{{.address = US, .prefix = 32, .mtu = 9000}, "prefix"},
		{{.address = 0, .prefix = 24, .mtu = 9000}, "no host"},
		{{.address = 0xe0000001, .prefix = 24, .mtu = 9000}, "no host"},
		{{.address = 0x7f000001, .prefix = 8, .mtu = 9000}, "no host"},
		{{.address = 0x0a000000, .prefix = 24, .mtu = 9000}, "broadcast"},
		{{.address = 0x0a0000ff, .prefix = 24, .mtu = 9000}, "broadcast"},
		{{.address = US, .prefix = 24, .gateway = 0x0a000101, .mtu = 9000}, "gateway"},
		{{.address = US, .prefix = 24, .mtu = 1000}, "too small"},
		{{.address = US, .prefix = 24, .mtu = 20000}, "too large"},
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fabric_config c = bad[i].c;
		const char *reason = NULL;

		assert_null(start(f, &c, &reason));
		assert_non_null(strstr(reason, bad[i].word));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(probes_then_announces, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_late_answer_is_a_clash, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			conflict_stops_and_names_the_other, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			anothers_probe_is_a_conflict_our_own_is_not, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			requests_are_answered_within_the_budget, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			malformed_requests_are_not_answered, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			next_hop_is_asked_for_until_it_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			servers_elsewhere_go_by_the_gateway, set_up, tear_down),
		cmocka_unit_test_setup_teardown(echo_is_answered, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			settings_that_cannot_work_are_refused, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("arp", tests, NULL, NULL);
}
