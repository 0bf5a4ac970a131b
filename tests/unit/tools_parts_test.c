/* SPDX-License-Identifier: MIT */
/* The toolstack's small parts: sizes, addresses, command lines, answers of the VMM, rates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "toolstack/annex.h"
#include "toolstack/guestos.h"
#include "toolstack/manage.h"
#include "toolstack/rates.h"
#include "toolstack/size.h"

static void test_size_parse(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"0", 0}, {"4096", 4096}, {"512M", 512 * SIZE_MIB}, {"2g", 2 * SIZE_GIB},
		{"1K", 1024}, {"3T", 3072 * SIZE_GIB}};
	static const char *const bad[] = {"", "M", "12Q", "12MB", "-1M", " 1M", "1 M", "1.5G",
		"99999999999999999999", "18446744073709551615K", "0x10"};
	uint64_t bytes;
	char text[SIZE_TEXT_MAX];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(size_parse(good[i].text, &bytes));
		assert_int_equal(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (size_parse(bad[i], &bytes))
			fail_msg("'%s' was taken", bad[i]);
	for (uint64_t n = 1; n < 1ull << 50; n = n * 3 + 1) {
		assert_true(size_parse(size_exact(n, text), &bytes));
		assert_int_equal(bytes, n);
	}
	assert_string_equal(size_exact(640 * SIZE_MIB, text), "640M");
	assert_string_equal(size_text(1536 * SIZE_MIB, text), "1.5 GiB");
}

static void test_size_scaled(void **state)
{
	uint64_t bytes;

	assert_true(size_scaled("5", NULL, &bytes) && bytes == 5 * SIZE_KIB);
	assert_true(size_scaled("5", "MiB", &bytes) && bytes == 5 * SIZE_MIB);
	assert_true(size_scaled("5", "MB", &bytes) && bytes == 5000000);
	assert_true(size_scaled("5", "bytes", &bytes) && bytes == 5);
	assert_false(size_scaled("5", "stone", &bytes));
	assert_false(size_scaled("-5", "MiB", &bytes));
	assert_false(size_scaled("18446744073709551615", "MiB", &bytes));
}

static void test_addresses(void **state)
{
	static const char *const bad[] = {"10.0.0.1", "10.0.0.0/24", "10.0.0.255/24", "10.0.0.1/31",
		"10.0.0.1/7", "224.0.0.1/24", "127.0.0.1/8", "0.0.0.1/24", "10.0.0.1/24x",
		"10.0.0.1.1/24", "256.0.0.1/24", "/24", "10.0.0.1/"};
	uint32_t address;
	unsigned prefix;

	assert_true(size_ipv4_prefix("10.77.0.2/24", &address, &prefix));
	assert_int_equal(address, 0x0a4d0002);
	assert_int_equal(prefix, 24);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (size_ipv4_prefix(bad[i], &address, &prefix))
			fail_msg("'%s' was taken", bad[i]);
	assert_true(size_ipv4_on_link(0x0a4d0002, 0x0a4d00fe, 24));
	assert_false(size_ipv4_on_link(0x0a4d0002, 0x0a4d0102, 24));
}

static void test_cmdline(void **state)
{
	char *line, long_line[3000];

	assert_int_equal(guestos_cmdline(NULL, &line), 0);
	assert_string_equal(line, "movable_node swiotlb=force numa_balancing=disable");
	free(line);
	assert_int_equal(guestos_cmdline("quiet swiotlb=65536,force movable_node", &line), 0);
	assert_string_equal(line, "quiet swiotlb=65536,force movable_node numa_balancing=disable");
	free(line);
	/* A word that only ends or begins alike is another word. */
	assert_int_equal(guestos_cmdline("xmem=1 movable_nodes", &line), 0);
	assert_non_null(strstr(line, " movable_node swiotlb"));
	free(line);
	memset(long_line, 'x', sizeof(long_line) - 1);
	long_line[sizeof(long_line) - 1] = '\0';
	assert_int_equal(guestos_cmdline(long_line, &line), ERROR_REFUSED);
}

static void test_answer_lines(void **state)
{
	static const char *const others[] = {"", "noise", "{", "[]", "{}", "null",
		"{\"annex\":1,\"id\":\"xyz\",\"ok\":true}", "{\"annex\":2,\"id\":\"abc\"}",
		"{\"annex\":1,\"id\":7}", "annex/1 abc status"};
	json_t *answer = NULL;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_int_equal(manage_line(others[i], "abc", &answer), 0);
		assert_null(answer);
	}
	assert_int_equal(manage_line("{\"annex\":1,\"id\":\"abc\",\"ok\":true,\"result\":{}}",
				 "abc", &answer),
		1);
	assert_non_null(answer);
	json_decref(answer);
}

static struct rates_sample sample(long long uptime, int zero, int victim, int remote, int evictions)
{
	return (struct rates_sample){
		.counters = json_pack("{s:{s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i}}", "far",
			"prefetch_fills", remote, "prefetch_zero_fills", zero, "prefetch_hits", 3,
			"prefetch_wasted", 1, "zero_fills", zero, "victim_hits", victim,
			"remote_fills", remote, "evictions", evictions, "fault_present", 0),
		.status = json_pack("{s:I,s:{s:i,s:i}}", "uptime_ns", (json_int_t)uptime, "far",
			"resident", 10, "remote", 20),
	};
}

static void test_rates(void **state)
{
	struct rates_sample a = sample(1000000000, 10, 10, 20, 5);
	struct rates_sample b = sample(3000000000, 20, 30, 30, 105);
	struct rates r;
	json_t *json;

	rates_between(&a, &b, &r);
	assert_true(r.seconds == 2);
	assert_true(r.hit_ratio == 0.75);
	assert_true(r.hit_ratio_total == 50.0 / 80);
	assert_true(r.fills == 5 && r.zero_fills == 5 && r.victim_hits == 10 && r.evictions == 50);
	assert_true(r.prefetched == 10 && r.prefetch_ratio == 0.75);
	assert_int_equal(r.remote, 20);
	/* Backwards: the VMM was started anew. Nothing negative, nothing divided by zero. */
	rates_between(&b, &a, &r);
	assert_true(r.fills == 0 && r.evictions == 0 && r.hit_ratio == 1);
	json = rates_json(&r);
	assert_non_null(json);
	json_decref(json);
	json_decref(a.counters);
	json_decref(a.status);
	json_decref(b.counters);
	json_decref(b.status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size_parse),
		cmocka_unit_test(test_size_scaled),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_cmdline),
		cmocka_unit_test(test_answer_lines),
		cmocka_unit_test(test_rates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
