/* SPDX-License-Identifier: MIT */
/*
 * Wire formats against known frames: V0 was captured from hardware (a ConnectX-4 Lx), V1 to V4 were
 * made by two independent implementations and accepted by Soft-RoCE.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "fabric/mad.h"
#include "fabric/wire.h"
#include "lib/crc.h"

static const char *const vectors[] = {
	"e41d2dab2bc27cfe90643b32080045c2003c718c4000401191610a0011010a001201000012b7002800008100ff"
	"ff"
	"40000118000000000000000000000000000000000000000082fd002a",
	"52540000000252540000000108004500003c00014000401126ae0a0000010a000002c00012b7002800000c40ff"
	"ff"
	"000000118000010000007f000000100000001234000010000f05e2d1",
	"52540000000252540000000108004500004800024000401126a10a0000010a000002c00012b7003400000a60ff"
	"ff"
	"000000118000010400007f0000002000000012340000000a0001020304050607080900007a776782",
	"52540000000152540000000208004500003000014000401126ba0a0000020a000001c00112b7001c00001100ff"
	"ff"
	"0000abcd000001041f00000201571f71",
	"52540000000152540000000208004500004000024000401126a90a0000020a000001c00112b7002c00001000ff"
	"ff"
	"0000abcd000001051f000003f0f1f2f3f4f5f6f7f8f9fafbfcfdfeffc2a195bc",
};

#define VECTORS (sizeof(vectors) / sizeof(vectors[0]))

/* An exact allocation, so that the sanitizer sees a read one byte too far. */
static uint8_t *vector(unsigned v, size_t *length)
{
	uint8_t *bytes;

	*length = strlen(vectors[v]) / 2;
	bytes = malloc(*length);
	for (size_t i = 0; i < *length; i++) {
		char digits[3] = {vectors[v][2 * i], vectors[v][2 * i + 1], 0};

		bytes[i] = strtoul(digits, NULL, 16);
	}
	return bytes;
}

static enum wire_result decode(const uint8_t *from, size_t length, struct wire_packet *p)
{
	uint8_t *exact = malloc(length + 1); /* reading beyond its end is seen */
	enum wire_result result;

	memcpy(exact + 1, from, length);
	result = wire_decode(exact + 1, length, p);
	free(exact);
	return result;
}

static void known_frames_are_read(void **state)
{
	struct wire_packet p[VECTORS];
	uint8_t *frame[VECTORS];
	size_t length;

	for (unsigned v = 0; v < VECTORS; v++) {
		frame[v] = vector(v, &length);
		assert_int_equal(wire_decode(frame[v], length, &p[v]), WIRE_OK);
	}
	assert_int_equal(p[0].opcode, WIRE_CNP);
	assert_true(p[0].becn);
	assert_int_equal(p[0].queue_pair, 0x118);
	assert_int_equal(p[0].length, 16);
	assert_int_equal(p[1].opcode, WIRE_READ_REQUEST);
	assert_int_equal(p[1].queue_pair, 0x11);
	assert_int_equal(p[1].psn, 0x100);
	assert_int_equal(p[1].address, 0x7f0000001000);
	assert_int_equal(p[1].rkey, 0x1234);
	assert_int_equal(p[1].dma_length, 4096);
	assert_true(p[1].ack_request);
	assert_true(p[1].migrated);
	assert_int_equal(p[2].opcode, WIRE_WRITE_ONLY);
	assert_int_equal(p[2].length, 10);
	assert_int_equal(p[2].payload[9], 9);
	assert_int_equal(p[3].opcode, WIRE_ACK);
	assert_int_equal(p[3].syndrome, 0x1f);
	assert_int_equal(p[3].msn, 2);
	assert_int_equal(p[3].source, 0x0a000002);
	assert_int_equal(p[4].opcode, WIRE_READ_ONLY);
	assert_int_equal(p[4].psn, 0x105);
	assert_int_equal(p[4].length, 16);
	assert_int_equal(p[4].payload[15], 0xff);
	for (unsigned v = 0; v < VECTORS; v++)
		free(frame[v]);
}

static const struct wire_path forth = {
	.source_mac = {0x52, 0x54, 0, 0, 0, 1},
	.destination_mac = {0x52, 0x54, 0, 0, 0, 2},
	.source = 0x0a000001,
	.destination = 0x0a000002,
	.source_port = 0xc000,
};

/* Our ident is the PSN's; the vectors' were 1 and 2: set it, and repair what depends on it. */
static size_t with_ident(uint8_t *frame, size_t length, uint16_t ident)
{
	uint32_t state;
	size_t end = length - WIRE_ICRC;

	wire_put16(frame + 18, ident);
	wire_put16(frame + 24, 0);
	wire_put16(frame + 24, wire_checksum(frame + 14, 20));
	state = wire_icrc_head(frame, WIRE_EXTENSION_AT);
	state = crc_ethernet(state, frame + WIRE_EXTENSION_AT, end - WIRE_EXTENSION_AT);
	wire_icrc_tail(frame + end, state, 0);
	return length;
}

static void known_frames_are_written(void **state)
{
	static const uint8_t payload[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
	struct wire_packet read = {.opcode = WIRE_READ_REQUEST,
		.migrated = true,
		.ack_request = true,
		.queue_pair = 0x11,
		.psn = 0x100,
		.address = 0x7f0000001000,
		.rkey = 0x1234,
		.dma_length = 4096};
	struct wire_packet write = {.opcode = WIRE_WRITE_ONLY,
		.migrated = true,
		.ack_request = true,
		.queue_pair = 0x11,
		.psn = 0x104,
		.address = 0x7f0000002000,
		.rkey = 0x1234,
		.dma_length = 10};
	uint8_t made[256];
	size_t length, n;
	uint8_t *known = vector(1, &length);

	n = with_ident(made, wire_frame(made, &forth, &read, "", 0), 1);
	assert_int_equal(n, length);
	assert_memory_equal(made, known, n);
	free(known);
	known = vector(2, &length);
	n = with_ident(made, wire_frame(made, &forth, &write, payload, 10), 2);
	assert_int_equal(n, length);
	assert_memory_equal(made, known, n);
	free(known);
}

static void truncated_frames_are_refused(void **state)
{
	for (unsigned v = 0; v < VECTORS; v++) {
		size_t length;
		uint8_t *frame = vector(v, &length);
		struct wire_packet p;

		for (size_t n = 0; n < length; n++)
			assert_int_equal(decode(frame, n, &p), WIRE_MALFORMED);
		free(frame);
	}
}

/* Ethernet pads short frames: bytes behind what IP announces do not count. */
static void padding_behind_is_ignored(void **state)
{
	size_t length;
	uint8_t *frame = vector(3, &length);
	uint8_t longer[128] = {0};
	struct wire_packet p;

	memcpy(longer, frame, length);
	memset(longer + length, 0xee, sizeof(longer) - length);
	assert_int_equal(decode(longer, sizeof(longer), &p), WIRE_OK);
	assert_int_equal(p.msn, 2);
	free(frame);
}

/* Lengths that contradict each other, with checksum and ICRC made right again. */
static void oversized_announcements_are_refused(void **state)
{
	size_t length;
	uint8_t *frame = vector(2, &length);
	uint8_t bad[256] = {0};
	struct wire_packet p;

	memcpy(bad, frame, length);
	wire_put16(bad + 16, length - 14 + 4); /* IP longer than the frame */
	wire_put16(bad + 24, 0);
	wire_put16(bad + 24, wire_checksum(bad + 14, 20));
	assert_int_equal(decode(bad, length, &p), WIRE_MALFORMED);
	assert_int_equal(decode(bad, length + 4, &p), WIRE_MALFORMED); /* UDP shorter than IP */
	wire_put16(bad + 38, length - 34 + 4);
	assert_int_equal(decode(bad, length + 4, &p), WIRE_ICRC_ERROR);
	free(frame);
}

/* Opcodes whose headers do not fit what is there, and fields we must not accept. */
static void headers_that_do_not_fit_are_refused(void **state)
{
	size_t length;
	uint8_t *frame = vector(3, &length);
	struct wire_packet p;

	for (unsigned opcode = 0; opcode < 256; opcode++) {
		enum wire_result result;

		frame[42] = opcode;
		with_ident(frame, length, 1);
		result = decode(frame, length, &p);
		if (opcode == WIRE_ACK || opcode == WIRE_READ_FIRST || opcode == WIRE_READ_LAST ||
			opcode == WIRE_READ_ONLY)
			assert_int_equal(result, WIRE_OK);
		else if (result == WIRE_OK)
			assert_int_not_equal(p.opcode, WIRE_READ_REQUEST);
	}
	frame[42] = WIRE_READ_REQUEST;
	with_ident(frame, length, 1);
	assert_int_equal(decode(frame, length, &p), WIRE_MALFORMED);
	frame[42] = 0x15;
	with_ident(frame, length, 1);
	assert_int_equal(decode(frame, length, &p), WIRE_IGNORED);
	frame[42] = WIRE_ACK;
	frame[43] = 0x30; /* pad of 3, no payload */
	with_ident(frame, length, 1);
	assert_int_equal(decode(frame, length, &p), WIRE_MALFORMED);
	frame[43] = 0x01; /* transport version */
	with_ident(frame, length, 1);
	assert_int_equal(decode(frame, length, &p), WIRE_IGNORED);
	frame[43] = 0;
	wire_put16(frame + 44, 0x1234); /* P_Key */
	with_ident(frame, length, 1);
	assert_int_equal(decode(frame, length, &p), WIRE_IGNORED);
	wire_put16(frame + 44, 0x7fff);
	with_ident(frame, length, 1);
	assert_int_equal(decode(frame, length, &p), WIRE_OK);
	free(frame);
}

/*
 * Every bit: MACs and the byte of FECN and BECN are not covered (a router may change them) and
 * change nothing else; any other flip must be refused.
 */
static void each_flipped_bit_is_noticed(void **state)
{
	for (unsigned v = 0; v < VECTORS; v++) {
		size_t length;
		uint8_t *frame = vector(v, &length);
		struct wire_packet p;

		for (size_t bit = 12 * 8; bit < length * 8; bit++) {
			frame[bit / 8] ^= 1u << bit % 8;
			if (bit / 8 == 46)
				assert_int_equal(decode(frame, length, &p), WIRE_OK);
			else
				assert_int_not_equal(decode(frame, length, &p), WIRE_OK);
			frame[bit / 8] ^= 1u << bit % 8;
		}
		free(frame);
	}
}

static void psn_distance_wraps(void **state)
{
	assert_int_equal(wire_psn_diff(0, 0xffffff), 1);
	assert_int_equal(wire_psn_diff(0xffffff, 0), -1);
	assert_int_equal(wire_psn_diff(0x7fffff, 0), 0x7fffff);
	assert_int_equal(wire_psn_diff(0x800000, 0), -0x800000);
	assert_int_equal(wire_psn_add(0xffffff, 2), 1);
}

static void path_mtu_follows_the_link(void **state)
{
	assert_int_equal(wire_path_mtu(9000), 4096);
	assert_int_equal(wire_path_mtu(4192), 4096);
	assert_int_equal(wire_path_mtu(4191), 2048);
	assert_int_equal(wire_path_mtu(1500), 1024);
	assert_int_equal(wire_path_mtu(300), 0);
	assert_int_equal(wire_mtu_code(4096), 5);
	assert_int_equal(wire_mtu_code(4095), 0);
	assert_int_equal(wire_mtu_bytes(6), 0);
}

/* A REQ that rdma_listen() accepted, but for the fields that we fill otherwise. */
static void request_has_the_known_layout(void **state)
{
	static const char known[] = "11223344000000000000000001061d2f505400000000000100000000000000"
				    "00abcdef04000000040000"
				    "00a012345687ffff37f00000000000000000000000000000ffff0a00000100"
				    "000000000000000000ffff"
				    "0a0000020000000000400070";
	uint8_t hello[MAD_HELLO];
	struct mad m = {.attribute = MAD_REQ,
		.transaction = 7,
		.local_id = 0x11223344,
		.port = 7471,
		.guid = 0x5054000000000001,
		.queue_pair = 0xabcdef,
		.responder_resources = 4,
		.initiator_depth = 4,
		.psn = 0x123456,
		.retries = 7,
		.mtu_code = 3,
		.source = 0x0a000001,
		.destination = 0x0a000002,
		.ack_timeout = 14,
		.source_port = 0x9c40,
		.data = hello,
		.data_length = sizeof(hello)};
	uint8_t made[MAD_BYTES];
	struct mad read;

	memset(hello, 0x42, sizeof(hello));
	mad_encode(made, &m);
	assert_int_equal(made[3], 3);
	for (unsigned i = 0; i < sizeof(known) / 2; i++) {
		char digits[3] = {known[2 * i], known[2 * i + 1], 0};

		assert_int_equal(made[24 + i], strtoul(digits, NULL, 16));
	}
	for (unsigned i = 96; i < 140; i++)
		assert_int_equal(made[24 + i], 0); /* no alternate path */
	assert_int_equal(wire_get32(made + 24 + 140), 0x00409c40);
	assert_int_equal(wire_get32(made + 24 + 156), 0x0a000001);
	assert_int_equal(wire_get32(made + 24 + 172), 0x0a000002);
	assert_memory_equal(made + 24 + 176, hello, sizeof(hello));
	assert_true(mad_decode(made, MAD_BYTES, &read));
	assert_int_equal(read.port, 7471);
	assert_int_equal(read.psn, 0x123456);
	assert_int_equal(read.mtu_code, 3);
	assert_int_equal(read.destination, 0x0a000002);
	assert_false(mad_decode(made, MAD_BYTES - 1, &read));
	made[2] = 1;
	assert_false(mad_decode(made, MAD_BYTES, &read));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_frames_are_read),
		cmocka_unit_test(known_frames_are_written),
		cmocka_unit_test(truncated_frames_are_refused),
		cmocka_unit_test(padding_behind_is_ignored),
		cmocka_unit_test(oversized_announcements_are_refused),
		cmocka_unit_test(headers_that_do_not_fit_are_refused),
		cmocka_unit_test(each_flipped_bit_is_noticed),
		cmocka_unit_test(psn_distance_wraps),
		cmocka_unit_test(path_mtu_follows_the_link),
		cmocka_unit_test(request_has_the_known_layout),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
