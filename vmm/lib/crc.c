/* SPDX-License-Identifier: MIT */
/*
 * Three ways to each checksum: bit by bit (needs nothing, until crc_init), tables that take eight
 * bytes at a step, and the CPU's own instructions. crc_init() times the last two over a page and
 * keeps the faster: an emulator works CRC32 and PCLMULQDQ off bit by bit, and tables win there.
 */
#include <cpuid.h>
#include <nmmintrin.h>
#include <wmmintrin.h>
#include "lib/crc.h"

#define POLY_CASTAGNOLI 0x82f63b78u
#define POLY_ETHERNET   0xedb88320u
#define PAGE            4096u

struct tables {
	uint32_t slice[8][256];
};

/* Raw state over data; copies to `to` unless that is NULL. */
typedef uint32_t crc_run(uint32_t state, uint8_t *to, const uint8_t *data, size_t length);

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

static uint32_t ethernet_table(uint32_t state, uint8_t *to, const uint8_t *data, size_t length)
{
	return to ? run_tables(state, to, data, length, &ethernet_tables)
		  : run_tables(state, NULL, data, length, &ethernet_tables);
}

/*
 * CRC32C by the CRC32 instruction, three streams side by side because it takes three cycles and
 * starts one a cycle (SDM vol. 2A, CRC32). A page is three blocks and two words.
 */
#define BLOCK ((size_t)1360)

static uint32_t shift_one; /* moves a state over BLOCK bytes, see shift_state() */
static uint32_t shift_two; /* over two */

/* x^n mod P, reflected: bit 31 is x^0. */
static uint32_t power_of_x(unsigned n)
{
	uint32_t v = 0x80000000u;

	while (n--)
		v = bit_step(v, POLY_CASTAGNOLI);
	return v;
}

/*
 * state * x^(8 * bytes) mod P. The carry-less product of two reflected 32-bit values stands one bit
 * low in its 64-bit word, and the CRC32 instruction multiplies by x^32: so factor is
 * x^(8 * bytes - 33).
 */
__attribute__((target("sse4.2,pclmul"))) static uint32_t shift_state(
	uint32_t state, uint32_t factor)
{
	__m128i product = _mm_clmulepi64_si128(
		_mm_cvtsi32_si128((int)state), _mm_cvtsi32_si128((int)factor), 0);

	return (uint32_t)_mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t castagnoli_cpu(
	uint32_t state, uint8_t *to, const uint8_t *data, size_t length)
{
	for (; length >= 3 * BLOCK; length -= 3 * BLOCK, data += 3 * BLOCK) {
		uint64_t a = state, b = 0, c = 0;

		for (size_t i = 0; i < BLOCK; i += 8) {
			a = _mm_crc32_u64(a, load64(data + i));
			b = _mm_crc32_u64(b, load64(data + BLOCK + i));
			c = _mm_crc32_u64(c, load64(data + 2 * BLOCK + i));
		}
		state = shift_state((uint32_t)a, shift_two) ^ shift_state((uint32_t)b, shift_one) ^
			(uint32_t)c;
	}
	for (; length >= 8; length -= 8, data += 8)
		state = (uint32_t)_mm_crc32_u64(state, load64(data));
	while (length--)
		state = _mm_crc32_u8(state, *data++);
	return state;
}

/*
 * CRC-32 by folding with PCLMULQDQ: 16 bytes are moved over the next 16 (or 64) by two carry-less
 * products with x^(n+32) and x^(n-32) mod P, reflected (n: distance in bits; Gopal et al., "Fast
 * CRC Computation for Generic Polynomials Using PCLMULQDQ", Intel 2009). The last 16 go through the
 * tables, which saves a reduction of their own.
 */
#define FOLD_64_LOW  0x154442bd4 /* n = 512 */
#define FOLD_64_HIGH 0x1c6e41596
#define FOLD_16_LOW  0x1751997d0 /* n = 128 */
#define FOLD_16_HIGH 0x0ccaa009e

__attribute__((target("sse4.2,pclmul"))) static inline __m128i fold(
	__m128i x, __m128i factors, __m128i next)
{
	__m128i low = _mm_clmulepi64_si128(x, factors, 0x00);
	__m128i high = _mm_clmulepi64_si128(x, factors, 0x11);

	return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

/* Loads 16 bytes, and stores them when the run copies. */
__attribute__((target("sse4.2,pclmul"))) static inline __m128i take(
	uint8_t *to, const uint8_t *data, size_t offset)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(data + offset));

	if (to)
		_mm_storeu_si128((__m128i *)(to + offset), v);
	return v;
}

__attribute__((target("sse4.2,pclmul"))) static inline __attribute__((always_inline)) uint32_t
run_fold(uint32_t state, uint8_t *to, const uint8_t *data, size_t length)
{
	const __m128i by_64 = _mm_set_epi64x(FOLD_64_HIGH, FOLD_64_LOW);
	const __m128i by_16 = _mm_set_epi64x(FOLD_16_HIGH, FOLD_16_LOW);
	__m128i a, b, c, d;
	uint8_t rest[16];
	size_t at = 64;

	a = _mm_xor_si128(take(to, data, 0), _mm_cvtsi32_si128((int)state));
	b = take(to, data, 16);
	c = take(to, data, 32);
	d = take(to, data, 48);
	for (; length - at >= 64; at += 64) {
		a = fold(a, by_64, take(to, data, at));
		b = fold(b, by_64, take(to, data, at + 16));
		c = fold(c, by_64, take(to, data, at + 32));
		d = fold(d, by_64, take(to, data, at + 48));
	}
	a = fold(fold(fold(a, by_16, b), by_16, c), by_16, d);
	for (; length - at >= 16; at += 16)
		a = fold(a, by_16, take(to, data, at));
	_mm_storeu_si128((__m128i *)rest, a);
	state = run_tables(0, NULL, rest, sizeof(rest), &ethernet_tables);
	return ethernet_table(state, to ? to + at : NULL, data + at, length - at);
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t ethernet_cpu(
	uint32_t state, uint8_t *to, const uint8_t *data, size_t length)
{
	if (length < 64)
		return ethernet_table(state, to, data, length);
	return to ? run_fold(state, to, data, length) : run_fold(state, NULL, data, length);
}

static crc_run *castagnoli = castagnoli_bits;
static crc_run *ethernet = ethernet_bits;

static void prepare(void)
{
	build_tables(&castagnoli_tables, POLY_CASTAGNOLI);
	build_tables(&ethernet_tables, POLY_ETHERNET);
	shift_one = power_of_x(8 * BLOCK - 33);
	shift_two = power_of_x(16 * BLOCK - 33);
}

/* SSE4.2 and PCLMULQDQ: CPUID 1, ECX (SDM vol. 2A, CPUID). */
static bool cpu_has_both(void)
{
	unsigned a, b, c = 0, d;

	return __get_cpuid(1, &a, &b, &c, &d) && c & bit_SSE4_2 && c & bit_PCLMUL;
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
		ethernet = ethernet_table;
		return true;
	case CRC_CPU:
		if (!cpu_has_both())
			return false;
		castagnoli = castagnoli_cpu;
		ethernet = ethernet_cpu;
		return true;
	}
	return false;
}

void crc_init(void)
{
	static uint8_t page[PAGE], copy[PAGE];

	crc_use(CRC_TABLES);
	if (!cpu_has_both())
		return;
	if (best_time(castagnoli_cpu, NULL, page) < best_time(castagnoli_table, NULL, page))
		castagnoli = castagnoli_cpu;
	if (best_time(ethernet_cpu, copy, page) < best_time(ethernet_table, copy, page))
		ethernet = ethernet_cpu;
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
