/* SPDX-License-Identifier: MIT */
/*
 * Ways to each checksum: bit by bit (needs nothing, until crc_init), tables that take eight bytes at
 * a step, the CPU's CRC32 instruction on general registers, and SSE (crc_sse.c). crc_init() times
 * them over a page and keeps the fastest: an emulator works CRC32 and PCLMULQDQ off bit by bit, and
 * tables win there. Nothing in this file touches an SSE register.
 */
#include <cpuid.h>
#include "lib/crc.h"
#include "lib/crc_sse.h"

#define POLY_CASTAGNOLI 0x82f63b78u
#define POLY_ETHERNET   0xedb88320u
#define PAGE            4096u

struct tables {
	uint32_t slice[8][256];
};

static struct tables castagnoli_tables;
static struct tables ethernet_tables;

static uint32_t bit_step(uint32_t state, uint32_t poly)
{
	return state >> 1 ^ (state & 1 ? poly : 0);
}

static uint32_t run_bits(
	uint32_t state, uint8_t *to, const uint8_t *data, size_t length, uint32_t poly)
{
	for (size_t i = 0; i < length; i++) {
		uint8_t byte = data[i];

		if (to)
			to[i] = byte;
		state ^= byte;
		for (unsigned bit = 0; bit < 8; bit++)
			state = bit_step(state, poly);
	}
	return state;
}

static uint32_t castagnoli_bits(uint32_t state, uint8_t *to, const uint8_t *data, size_t length)
{
	return run_bits(state, to, data, length, POLY_CASTAGNOLI);
}

static uint32_t ethernet_bits(uint32_t state, uint8_t *to, const uint8_t *data, size_t length)
{
	return run_bits(state, to, data, length, POLY_ETHERNET);
}

/* slice[k][b]: the state after byte b and then k zero bytes. */
static void build_tables(struct tables *t, uint32_t poly)
{
	for (unsigned b = 0; b < 256; b++) {
		uint32_t state = b;

		for (unsigned bit = 0; bit < 8; bit++)
			state = bit_step(state, poly);
		t->slice[0][b] = state;
	}
	for (unsigned k = 1; k < 8; k++)
		for (unsigned b = 0; b < 256; b++) {
			uint32_t before = t->slice[k - 1][b];

			t->slice[k][b] = before >> 8 ^ t->slice[0][before & 0xff];
		}
}

static uint64_t load64(const uint8_t *data)
{
	uint64_t v;

	__builtin_memcpy(&v, data, sizeof(v));
	return v;
}

static inline __attribute__((always_inline)) uint32_t run_tables(
	uint32_t state, uint8_t *to, const uint8_t *data, size_t length, const struct tables *t)
{
	for (; length >= 8; length -= 8, data += 8) {
		uint64_t v = load64(data);

		if (to) {
			__builtin_memcpy(to, &v, sizeof(v));
			to += 8;
		}
		v ^= state;
		state = t->slice[7][v & 0xff] ^ t->slice[6][v >> 8 & 0xff] ^
			t->slice[5][v >> 16 & 0xff] ^ t->slice[4][v >> 24 & 0xff] ^
			t->slice[3][v >> 32 & 0xff] ^ t->slice[2][v >> 40 & 0xff] ^
			t->slice[1][v >> 48 & 0xff] ^ t->slice[0][v >> 56];
	}
	for (; length; length--) {
		uint8_t byte = *data++;

		if (to)
			*to++ = byte;
		state = state >> 8 ^ t->slice[0][(state ^ byte) & 0xff];
	}
	return state;
}

static uint32_t castagnoli_table(uint32_t state, uint8_t *to, const uint8_t *data, size_t length)
{
	return run_tables(state, NULL, data, length, &castagnoli_tables);
}

uint32_t crc_table_ethernet(uint32_t state, uint8_t *to, const uint8_t *data, size_t length)
{
	return to ? run_tables(state, to, data, length, &ethernet_tables)
		  : run_tables(state, NULL, data, length, &ethernet_tables);
}

/*
 * The CRC32 instruction is SSE4.2's only by its CPUID bit (SDM vol. 2A, CRC32). One stream: three side
 * by side need a carry-less product to be joined.
 */
__attribute__((target("crc32"))) static uint32_t castagnoli_registers(
	uint32_t state, uint8_t *to, const uint8_t *data, size_t length)
{
	for (; length >= 8; length -= 8, data += 8)
		state = (uint32_t)__builtin_ia32_crc32di(state, load64(data));
	while (length--)
		state = __builtin_ia32_crc32qi(state, *data++);
	return state;
}

static crc_run *castagnoli = castagnoli_bits;
static crc_run *ethernet = ethernet_bits;

static void prepare(void)
{
	build_tables(&castagnoli_tables, POLY_CASTAGNOLI);
	build_tables(&ethernet_tables, POLY_ETHERNET);
}

/* CPUID 1, ECX (SDM vol. 2A, CPUID). */
static bool cpu_has(unsigned bits)
{
	unsigned a, b, c = 0, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & bits) == bits;
}

static uint64_t best_time(crc_run *run, uint8_t *to, const uint8_t *page)
{
	uint64_t best = UINT64_MAX;
	volatile uint32_t sink;

	for (unsigned i = 0; i < 4; i++) {
		uint64_t start = __builtin_ia32_rdtsc(), time;

		sink = run(~0u, to, page, PAGE);
		time = __builtin_ia32_rdtsc() - start;
		best = time < best ? time : best;
	}
	(void)sink;
	return best;
}

bool crc_use(enum crc_way way)
{
	prepare();
	switch (way) {
	case CRC_BITS:
		castagnoli = castagnoli_bits;
		ethernet = ethernet_bits;
		return true;
	case CRC_TABLES:
		castagnoli = castagnoli_table;
		ethernet = crc_table_ethernet;
		return true;
	case CRC_REGISTERS:
		if (!cpu_has(bit_SSE4_2))
			return false;
		castagnoli = castagnoli_registers;
		ethernet = crc_table_ethernet;
		return true;
	case CRC_SSE:
		if (!cpu_has(bit_SSE4_2 | bit_PCLMUL))
			return false;
		crc_sse_prepare();
		castagnoli = crc_sse_castagnoli;
		ethernet = crc_sse_ethernet;
		return true;
	}
	return false;
}

static void prefer(crc_run **chosen, crc_run *run)
{
	static uint8_t page[PAGE], copy[PAGE];

	if (best_time(run, copy, page) < best_time(*chosen, copy, page))
		*chosen = run;
}

void crc_init(bool sse)
{
	crc_use(CRC_TABLES);
	if (cpu_has(bit_SSE4_2))
		prefer(&castagnoli, castagnoli_registers);
	if (sse && cpu_has(bit_SSE4_2 | bit_PCLMUL)) {
		crc_sse_prepare();
		prefer(&castagnoli, crc_sse_castagnoli);
		prefer(&ethernet, crc_sse_ethernet);
	}
}

uint32_t crc_castagnoli(const void *data, size_t length)
{
	return ~castagnoli(~0u, NULL, data, length);
}

uint32_t crc_ethernet(uint32_t state, const void *data, size_t length)
{
	return ethernet(state, NULL, data, length);
}

uint32_t crc_ethernet_copy(uint32_t state, void *to, const void *data, size_t length)
{
	return ethernet(state, to, data, length);
}
