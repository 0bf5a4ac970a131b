/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/crc.h"

static uint32_t bitwise(uint32_t state, const uint8_t *data, size_t length, uint32_t poly)
{
	while (length--) {
		state ^= *data++;
		for (int bit = 0; bit < 8; bit++)
			state = state >> 1 ^ (-(state & 1) & poly);
	}
	return state;
}

static void compare(const uint8_t *data, size_t length)
{
	uint32_t ethernet = bitwise(0x12345678, data, length, 0xedb88320);
	uint8_t *copy = malloc(length + 1);

	assert_int_equal(crc_castagnoli(data, length), ~bitwise(~0u, data, length, 0x82f63b78));
	assert_int_equal(crc_ethernet(0x12345678, data, length), ethernet);
	copy[length] = 0xa5;
	assert_int_equal(crc_ethernet_copy(0x12345678, copy, data, length), ethernet);
	assert_memory_equal(copy, data, length);
	assert_int_equal(copy[length], 0xa5);
	free(copy);
}

/* Each block ends where its heap chunk ends: reading beyond it is the sanitizer's to see. */
static void compare_tight(size_t length, size_t offset)
{
	uint8_t *block = malloc(offset + length + !(offset + length));

	for (size_t i = 0; i < offset + length; i++)
		block[i] = (uint8_t)rand();
	compare(block + offset, length);
	free(block);
}

static void all_lengths_and_alignments(void)
{
	srand(1);
	for (size_t offset = 0; offset < 16; offset++)
		for (size_t length = 0; length <= 300; length++)
			compare_tight(length, offset);
	for (size_t length = 4070; length <= 4110; length++)
		compare_tight(length, length % 16);
	compare_tight(4096, 0);
	compare_tight(8175, 3);
	compare_tight(9000, 1);
}

static void before_init(void **state)
{
	compare_tight(300, 0);
}

static void bits(void **state)
{
	assert_true(crc_use(CRC_BITS));
	all_lengths_and_alignments();
}

static void tables(void **state)
{
	assert_true(crc_use(CRC_TABLES));
	all_lengths_and_alignments();
}

static void registers(void **state)
{
	if (!crc_use(CRC_REGISTERS))
		skip();
	all_lengths_and_alignments();
}

static void sse(void **state)
{
	if (!crc_use(CRC_SSE))
		skip();
	all_lengths_and_alignments();
}

static void chosen(void **state)
{
	crc_init(false);
	all_lengths_and_alignments();
	crc_init(true);
	all_lengths_and_alignments();
}

/* RFC 3720 B.4 and the check values of both polynomials. */
static void known_values(void **state)
{
	uint8_t zeros[32] = {0}, up[32];

	for (unsigned i = 0; i < 32; i++)
		up[i] = (uint8_t)i;
	crc_init(true);
	assert_int_equal(crc_castagnoli("123456789", 9), 0xe3069283);
	assert_int_equal(crc_castagnoli(zeros, 32), 0x8a9136aa);
	assert_int_equal(crc_castagnoli(up, 32), 0x46dd794e);
	assert_int_equal(~crc_ethernet(~0u, "123456789", 9), 0xcbf43926);
}

static void ethernet_runs_in_pieces(void **state)
{
	uint8_t data[1000];
	uint32_t whole, pieces;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	crc_init(true);
	whole = crc_ethernet(~0u, data, sizeof(data));
	for (size_t cut = 0; cut <= sizeof(data); cut += 37) {
		pieces = crc_ethernet(~0u, data, cut);
		pieces = crc_ethernet(pieces, data + cut, sizeof(data) - cut);
		assert_int_equal(pieces, whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_init),
		cmocka_unit_test(bits),
		cmocka_unit_test(tables),
		cmocka_unit_test(registers),
		cmocka_unit_test(sse),
		cmocka_unit_test(chosen),
		cmocka_unit_test(known_values),
		cmocka_unit_test(ethernet_runs_in_pieces),
	};

	return cmocka_run_group_tests_name("crc", tests, NULL, NULL);
}
