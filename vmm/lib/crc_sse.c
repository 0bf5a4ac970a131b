/* SPDX-License-Identifier: MIT */
/*
 * The only object of the VMM that uses SSE registers: for a CPU whose registers carry no guest state.
 * The functions that need more than SSE2 say so themselves.
 */
#include <nmmintrin.h>
#include <wmmintrin.h>
#include "lib/crc_sse.h"

#define POLY_CASTAGNOLI 0x82f63b78u

static uint64_t load64(const uint8_t *data)
{
	uint64_t v;

	__builtin_memcpy(&v, data, sizeof(v));
	return v;
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
		v = v >> 1 ^ (v & 1 ? POLY_CASTAGNOLI : 0);
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

__attribute__((target("sse4.2,pclmul"))) uint32_t crc_sse_castagnoli(
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
	state = crc_table_ethernet(0, NULL, rest, sizeof(rest));
	return crc_table_ethernet(state, to ? to + at : NULL, data + at, length - at);
}

__attribute__((target("sse4.2,pclmul"))) uint32_t crc_sse_ethernet(
	uint32_t state, uint8_t *to, const uint8_t *data, size_t length)
{
	if (length < 64)
		return crc_table_ethernet(state, to, data, length);
	return to ? run_fold(state, to, data, length) : run_fold(state, NULL, data, length);
}

void crc_sse_prepare(void)
{
	shift_one = power_of_x(8 * BLOCK - 33);
	shift_two = power_of_x(16 * BLOCK - 33);
}
