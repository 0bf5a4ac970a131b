/* SPDX-License-Identifier: MIT */
/*
 * The part of <string.h> that the VMM and the compiler use. Built for the VMM only: the host has
 * its libc. Big copies go in batches of eight registers, loads before stores: an emulator's
 * direct-mapped TLB then misses twice per batch, not twice per word, when both pages share a slot.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Otherwise gcc turns these very loops into calls of the functions they implement. */
#pragma GCC optimize("no-tree-loop-distribute-patterns")

typedef uint64_t __attribute__((may_alias, aligned(1))) word;

static inline void copy_bytes(void *to, const void *from, size_t length)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length) : : "memory");
}

void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
	char *d = to;
	const char *s = from;

	for (; length >= 64; length -= 64, d += 64, s += 64) {
		const word *i = (const word *)s;
		word *o = (word *)d;
		uint64_t a = i[0], b = i[1], c = i[2], e = i[3];
		uint64_t f = i[4], g = i[5], h = i[6], j = i[7];

		o[0] = a, o[1] = b, o[2] = c, o[3] = e;
		o[4] = f, o[5] = g, o[6] = h, o[7] = j;
	}
	copy_bytes(d, s, length);
	return to;
}

void *memmove(void *to, const void *from, size_t length)
{
	char *d = to;
	const char *s = from;

	if ((uintptr_t)d - (uintptr_t)s >= length)
		return memcpy(to, from, length);
	while (length--)
		d[length] = s[length];
	return to;
}

void *memset(void *to, int value, size_t length)
{
	void *d = to;
	size_t words = length / 8;
	uint64_t pattern = (uint8_t)value * 0x0101010101010101ull;

	__asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(pattern) : "memory");
	length %= 8;
	__asm__ volatile("rep stosb" : "+D"(d), "+c"(length) : "a"(pattern) : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t length)
{
	const uint8_t *x = a, *y = b;

	for (; length >= 8 && *(const word *)x == *(const word *)y; length -= 8)
		x += 8, y += 8;
	for (; length; length--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

size_t strnlen(const char *s, size_t limit)
{
	size_t n = 0;

	while (n < limit && s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t limit)
{
	for (; limit; limit--, a++, b++)
		if (*a != *b || !*a)
			return (unsigned char)*a - (unsigned char)*b;
	return 0;
}

char *strchr(const char *s, int c)
{
	for (; *s != (char)c; s++)
		if (!*s)
			return NULL;
	return (char *)s;
}

void *memchr(const void *data, int value, size_t length)
{
	const uint8_t *p = data;

	for (; length; p++, length--) {
		if (*p == (uint8_t)value)
			return (void *)p;
	}
	return NULL;
}
