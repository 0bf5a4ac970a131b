/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "lib/text.h"

/* The same format through libc and through ours. */
#define same(...)                                                                                  \
	do {                                                                                       \
		char ours[64], libc[64];                                                           \
		int wanted = snprintf(libc, sizeof(libc), __VA_ARGS__);                            \
		assert_int_equal(text_format(ours, sizeof(ours), __VA_ARGS__), wanted);            \
		assert_string_equal(ours, libc);                                                   \
	} while (0)

static void formats_match_libc(void **state)
{
	same("plain");
	same("%%|%c|%5c|%-5c|", 'a', 'b', 'c');
	same("%s|%8s|%-8s|%.3s|%.*s", "one", "two", "three", "four", 2, "five");
	same("%8.2s|%*d|%-*d|", "abc", 6, 42, 6, 42);
	same("%d %d %d %d", 0, -1, INT32_MAX, INT32_MIN);
	same("%5d|%-5d|%05d|%05d", 42, 42, 42, -42);
	same("%u %lu %llu %zu", UINT32_MAX, UINT64_MAX, 1ull << 63, (size_t)7);
	same("%ld %lld", INT64_MIN, (long long)INT64_MAX);
	same("%x %X %08x %lx %016lx", 0xdeadbeef, 0xabc, 0x1f, UINT64_MAX, 0x1234ul);
	same("%p", (void *)(uintptr_t)0x1000);
}

static void output_is_cut_and_terminated(void **state)
{
	char small[4] = "zzz";

	assert_int_equal(text_format(small, sizeof(small), "%s", "abcdef"), 6);
	assert_string_equal(small, "abc");
	assert_int_equal(text_format(NULL, 0, "%d", 12345), 5);
	assert_int_equal(text_format(small, 1, "x"), 1);
	assert_string_equal(small, "");
}

static void sizes(void **state)
{
	uint64_t v;

	assert_true(text_size("0", &v) && v == 0);
	assert_true(text_size("17", &v) && v == 17);
	assert_true(text_size("4K", &v) && v == 4096);
	assert_true(text_size("512M", &v) && v == 512ull << 20);
	assert_true(text_size("3G", &v) && v == 3ull << 30);
	assert_true(text_size("17179869183G", &v) && v == 17179869183ull << 30);
	assert_false(text_size("17179869184G", &v));
	assert_false(text_size("18446744073709551616", &v));
	static const char *const bad[] = {
		"", "K", "12Q", "12KB", "12k", "-1", " 1", "1 ", "0x10", "1.5G", "1MM"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(text_size(bad[i], &v));
}

static void numbers(void **state)
{
	uint64_t v;

	assert_true(text_number("18446744073709551615", 10, &v) && v == UINT64_MAX);
	assert_true(text_number("DeadBeef", 16, &v) && v == 0xdeadbeef);
	assert_false(text_number("18446744073709551616", 10, &v));
	assert_false(text_number("10000000000000000", 16, &v));
	assert_false(text_number("", 10, &v));
	assert_false(text_number("1a", 10, &v));
	assert_false(text_number("0x1", 16, &v));
	assert_false(text_number("+1", 10, &v));
}

static void addresses(void **state)
{
	uint32_t a;

	assert_true(text_ipv4("10.0.0.1", &a) && a == 0x0a000001);
	assert_true(text_ipv4("255.255.255.255", &a) && a == 0xffffffff);
	static const char *const bad[] = {"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1..2.3",
		"1.2.3.4 ", "a.b.c.d", "1.2.3.", "0001.2.3.4", "1.2.3.4/24", ".1.2.3"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(text_ipv4(bad[i], &a));
}

static void characters(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
	} good[] = {{"a", 1}, {"~", 1}, {" ", 1}, {"\xc2\xa0", 2}, {"\xc3\xa4", 2}, {"\xdf\xbf", 2},
		{"\xe0\xa0\x80", 3}, {"\xe2\x82\xac", 3}, {"\xed\x9f\xbf", 3}, {"\xee\x80\x80", 3},
		{"\xf0\x90\x80\x80", 4}, {"\xf4\x8f\xbf\xbf", 4}};
	/* controls, cut off, no lead byte, overlong, surrogates, beyond Unicode, line ends, direction */
	static const char *const bad[] = {"\n", "\x1b", "\x7f", "\xc2\x9b", "\xc3", "\xc3(",
		"\xe2\x82", "\xe2\x82(", "\xf0\x90\x80", "\x80", "\xbf", "\xff", "\xfe",
		"\xf8\x88\x80\x80\x80", "\xc0\xaf", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf",
		"\xed\xa0\x80", "\xed\xbf\xbf", "\xf4\x90\x80\x80", "\xf7\xbf\xbf\xbf",
		"\xe2\x80\xa8", "\xe2\x80\xae", "\xe2\x81\xa6", "\xe2\x81\xa9"};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_int_equal(text_character(good[i].bytes, 4), good[i].length);
		for (size_t cut = 0; cut < good[i].length; cut++)
			assert_int_equal(text_character(good[i].bytes, cut), 0);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(text_character(bad[i], strlen(bad[i])), 0);
	assert_int_equal(text_character("", 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_match_libc),
		cmocka_unit_test(output_is_cut_and_terminated),
		cmocka_unit_test(sizes),
		cmocka_unit_test(numbers),
		cmocka_unit_test(addresses),
		cmocka_unit_test(characters),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
