/* SPDX-License-Identifier: MIT */
/* Accesses across far pages: string instructions, unaligned ones, the window's edges. */
#include <string.h>
#include "itest.h"

static void movs(uint64_t to, uint64_t from, uint64_t bytes, unsigned width, bool down)
{
	uint64_t n = bytes / width, back = down ? bytes - width : 0;

	to += back;
	from += back;
	if (down)
		__asm__ volatile("std" : : : "cc");
	if (width == 1)
		__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	else if (width == 2)
		__asm__ volatile("rep movsw" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	else if (width == 4)
		__asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	else
		__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	__asm__ volatile("cld" : : : "cc");
}

static void copies(void)
{
	uint64_t a = far_take(6), b = far_take(6);

	for (unsigned width = 1; width <= 8; width *= 2) {
		for (unsigned down = 0; down < 2; down++) {
			uint64_t from = a + PAGE - 13, to = b + PAGE - 5, n = 3 * PAGE + 64;

			pattern_fill(from, n, width + 10 * down);
			put8(to - 1, 0x11);
			put8(to + n, 0x22);
			far_push_out();
			movs(to, from, n, width, down);
			ok(pattern_good(to, n, width + 10 * down) && get8(to - 1) == 0x11 &&
					get8(to + n) == 0x22,
				"REP MOVS of %u bytes %s over evicted pages", width,
				down ? "downwards" : "upwards");
		}
	}
	/* Overlapping: each byte becomes the one before it. */
	put8(a + PAGE - 1, 0x5c);
	far_push_out();
	movs(a + PAGE, a + PAGE - 1, PAGE + 10, 1, false);
	ok(get8(a + 2 * PAGE + 9) == 0x5c && get8(a + PAGE) == 0x5c, "REP MOVSB onto itself");
}

static void others(void)
{
	uint64_t a = far_take(3), b = far_take(3), p, q, n, start = PAGE - 100;
	uint8_t al;

	n = 200;
	p = a + start;
	far_push_out();
	__asm__ volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(0xab) : "memory");
	ok(!n && get8(a + start) == 0xab && get8(a + start + 199) == 0xab && !get8(a + start + 200),
		"REP STOSB across two evicted pages");
	pattern_fill(a, 2 * PAGE, 3);
	pattern_fill(b, 2 * PAGE, 3);
	put8(b + PAGE + 50, get8(b + PAGE + 50) ^ 1);
	n = 2 * PAGE;
	p = a;
	q = b;
	far_push_out();
	__asm__ volatile("repe cmpsb" : "+S"(p), "+D"(q), "+c"(n) : : "memory", "cc");
	same(q, b + PAGE + 51, "REPE CMPSB stops where evicted pages differ");
	memset((void *)a, 0, 2 * PAGE);
	put8(a + PAGE + 7, 9);
	n = 2 * PAGE;
	p = a;
	far_push_out();
	__asm__ volatile("repne scasb" : "+D"(p), "+c"(n) : "a"(9) : "memory", "cc");
	same(p, a + PAGE + 8, "REPNE SCASB finds a byte on the second evicted page");
	n = PAGE + 8;
	p = a;
	far_push_out();
	__asm__ volatile("rep lodsb" : "+S"(p), "+c"(n), "=a"(al) : : "memory");
	same(al, 9, "REP LODSB across two evicted pages");
}

static void unaligned(void)
{
	uint64_t two = far_take(2), v, was = 0x0102030405060708;
	uint64_t in[4] = {1, 2, 3, 4}, out[4];
	uint8_t carry;

	for (unsigned i = 1; i < 8; i++) {
		put64(two + PAGE - i, i * 0x0101010101010101);
		far_push_out();
		v = get64(two + PAGE - i);
		same(v, i * 0x0101010101010101, "8 bytes, %u of them on the first page", i);
		far_push_out();
		put64(two + PAGE - i, ~v);
		far_push_out();
		same(get64(two + PAGE - i), ~v, "written, %u of them on the first page", i);
	}
	far_push_out();
	__asm__ volatile("movups (%0), %%xmm0\n\tmovups %%xmm0, (%1)\n\tmovups (%1), %%xmm1\n\t"
			 "movups %%xmm1, (%2)"
			 :
			 : "r"(in), "r"(two + PAGE - 7), "r"(out)
			 : "memory");
	ok(out[0] == 1 && out[1] == 2, "16 bytes across two evicted pages");
	put64(two + PAGE - 3, was);
	far_push_out();
	v = 1;
	__asm__ volatile("lock xaddq %0, (%1)" : "+r"(v) : "r"(two + PAGE - 3) : "memory", "cc");
	same(v, was, "LOCK XADD across two evicted pages: before");
	same(get64(two + PAGE - 3), was + 1, "LOCK XADD across two evicted pages: after");
	far_push_out();
	__asm__ volatile("lock btsl $31, (%1)\n\tsetc %0"
			 : "=q"(carry)
			 : "r"(two + PAGE - 3)
			 : "memory", "cc");
	same(get64(two + PAGE - 3) >> 31 & 1, 1, "LOCK BTS across two evicted pages");
	(void)carry;
}

static void sixteen_bytes(void)
{
	uint64_t page = far_take(1), low = 1, high = 2;
	uint8_t equal;

	put64(page + 16, 1);
	put64(page + 24, 2);
	far_push_out();
	__asm__ volatile("lock cmpxchg16b (%3)\n\tsete %0"
			 : "=q"(equal), "+a"(low), "+d"(high)
			 : "r"(page + 16), "b"(7ull), "c"(8ull)
			 : "memory", "cc");
	ok(equal && get64(page + 16) == 7 && get64(page + 24) == 8,
		"LOCK CMPXCHG16B of an evicted page");
	low = high = 0;
	far_push_out();
	__asm__ volatile("lock cmpxchg16b (%3)\n\tsete %0"
			 : "=q"(equal), "+a"(low), "+d"(high)
			 : "r"(page + 16), "b"(9ull), "c"(9ull)
			 : "memory", "cc");
	ok(!equal && low == 7 && high == 8, "LOCK CMPXCHG16B that does not match");
}

/* FXSAVE, XSAVE and a far pointer over the edge between two evicted pages. */
static void large(void)
{
	uint64_t two = far_take(2), at = two + PAGE - 256;
	uint64_t in[2] = {0x1234, 0x5678}, out[2] = {0, 0};

	far_push_out();
	__asm__ volatile("movups (%0), %%xmm5\n\tfxsave64 (%1)\n\txorps %%xmm5, %%xmm5"
			 :
			 : "r"(in), "r"(at)
			 : "memory");
	far_push_out();
	__asm__ volatile("fxrstor64 (%1)\n\tmovups %%xmm5, (%0)" : : "r"(out), "r"(at) : "memory");
	ok(!memcmp(in, out, 16), "FXSAVE and FXRSTOR across two evicted pages");
}

static void edges(void)
{
	uint64_t first = FAR_VA, end = FAR_VA + machine.far_bytes, va = TEST_VA + 512 * GIB;
	uint64_t last = far_gpa(end) - PAGE, v;

	/* A page before the window, one behind it, mapped beside its first and last page. */
	pages_map(va, last, 2 * PAGE, 0, PTE_W);
	put64(end - 8, 0x1122334455667788);
	far_push_out();
	v = get64(va + PAGE - 4);
	same(v, 0xffffffff11223344, "8 bytes across the window's end: far ones, then ones");
	put64(va + PAGE - 4, 0);
	same(get64(end - 8), 0x55667788, "written: the far half arrives");
	same(get64(va + PAGE), UINT64_MAX, "behind the window is nothing");
	pages_map(va, machine.far_base - PAGE, 2 * PAGE, 0, PTE_W);
	pages_flush();
	v = get64(first);
	put64(first, 0x99aabbccddeeff00);
	far_push_out();
	/* What lies before is the machine's: on hardware ones, on QEMU zeros. */
	same(get64(va + PAGE - 4) >> 32, 0xddeeff00, "8 bytes across the window's start");
	put64(va + PAGE - 4, 0);
	same(get64(first), 0x99aabbcc00000000, "written: the far half arrives");
	put64(first, v);
}

void test_strings(void)
{
	say("accesses across far pages");
	copies();
	others();
	unaligned();
	sixteen_bytes();
	large();
	edges();
}
