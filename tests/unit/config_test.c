/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "annex/rpc.h"
#include "boot/config.h"
#include "lib/log.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Every required key, one per line: line 1 to 7. */
static const char *const required[] = {
	"far = 4G",
	"pinned = 512M",
	"nic = 00:10.0",
	"address = 10.0.0.2/24",
	"server = one 10.0.0.1",
	"tenant = 0123456789abcdef",
	"domain = 01234567-89ab-cdef-0123-456789abcdef",
};

static const char *const required_keys[] = {
	"far", "pinned", "nic", "address", "server", "tenant", "domain"};

/* Exactly as long as it is, so that a read past its end is seen. */
static bool parse(const char *text, size_t length, struct config *config, char *error, size_t size)
{
	char *copy = malloc(length ? length : 1);
	bool good;

	memcpy(copy, text, length);
	good = config_parse(copy, length, config, error, size);
	free(copy);
	return good;
}

/* The required lines without `skip` (-1: all), with `extra` behind them. */
static size_t whole(char *text, size_t size, int skip, const char *extra)
{
	size_t n = 0;

	for (unsigned i = 0; i < COUNT(required); i++) {
		if ((int)i != skip)
			n += (size_t)snprintf(text + n, size - n, "%s\n", required[i]);
	}
	return n + (size_t)snprintf(text + n, size - n, "%s", extra);
}

static void good(struct config *config, const char *extra)
{
	char text[4096], error[256] = "";

	assert_true(
		parse(text, whole(text, sizeof(text), -1, extra), config, error, sizeof(error)));
	assert_string_equal(error, "");
}

static void bad(const char *extra, const char *message)
{
	struct config config;
	char text[4096], error[256] = "";

	assert_false(
		parse(text, whole(text, sizeof(text), -1, extra), &config, error, sizeof(error)));
	assert_string_equal(error, message);
}

/* The same, where the line stands in for the required one of its key. */
static void bad_instead(int index, const char *line, const char *message)
{
	struct config config;
	char text[4096], error[256] = "", expected[256];

	assert_false(
		parse(text, whole(text, sizeof(text), index, line), &config, error, sizeof(error)));
	snprintf(expected, sizeof(expected), "config line 7: %s: %s", line, message);
	assert_string_equal(error, expected);
}

static void required_keys_suffice(void **state)
{
	static const uint8_t domain[16] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01,
		0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
	struct config c;

	good(&c, "");
	assert_true(c.far == 4ull << 30);
	assert_true(c.pinned == 512ull << 20);
	assert_int_equal(c.nic, 0x80);
	assert_int_equal(c.address, 0x0a000002);
	assert_int_equal(c.prefix, 24);
	assert_int_equal(c.servers, 1);
	assert_string_equal(c.server[0].name, "one");
	assert_int_equal(c.server[0].address, 0x0a000001);
	assert_int_equal(c.server[0].port, RPC_PORT);
	assert_true(c.tenant == 0x0123456789abcdefull);
	assert_memory_equal(c.domain, domain, 16);
	assert_int_equal(c.gateway, 0);
	assert_int_equal(c.mtu, 0);
	assert_int_equal(c.prefetch, 32);
	assert_false(c.wakeup_mailbox);
	assert_true(c.pcache == 0);
	assert_true(c.pin == 0);
	assert_int_equal(c.log, LOG_INFO);
	assert_false(c.boot_disk);
}

static void optional_keys(void **state)
{
	struct config c;

	good(&c, "gateway = 10.0.0.254\nmtu=9000\nlog\t=\tdebug\npcache =  128M  \nprefetch = "
		 "0\npin = 12K\n"
		 "boot = disk\n"
		 "server = far-one_2.x 192.168.7.9:4000 # another\r\n\n   \n# end");
	assert_int_equal(c.gateway, 0x0a0000fe);
	assert_int_equal(c.mtu, 9000);
	assert_int_equal(c.prefetch, 0);
	assert_int_equal(c.log, LOG_DEBUG);
	assert_true(c.pcache == 128ull << 20);
	assert_true(c.pin == 12288);
	assert_true(c.boot_disk);
	assert_int_equal(c.servers, 2);
	assert_string_equal(c.server[1].name, "far-one_2.x");
	assert_int_equal(c.server[1].address, 0xc0a80709);
	assert_int_equal(c.server[1].port, 4000);
}

static void every_log_level(void **state)
{
	struct config c;

	good(&c, "log = error");
	assert_int_equal(c.log, LOG_ERROR);
	good(&c, "log = warning");
	assert_int_equal(c.log, LOG_WARNING);
	good(&c, "log = info");
	assert_int_equal(c.log, LOG_INFO);
}

static void missing_key_is_named(void **state)
{
	struct config c;
	char text[4096], error[256], expected[256];

	for (unsigned i = 0; i < COUNT(required); i++) {
		size_t n = whole(text, sizeof(text), (int)i, "");

		assert_false(parse(text, n, &c, error, sizeof(error)));
		snprintf(expected, sizeof(expected), "config: key %s is missing", required_keys[i]);
		assert_memory_equal(error, expected, strlen(expected));
	}
	assert_false(parse("", 0, &c, error, sizeof(error)));
	assert_string_equal(error, "config: key far is missing (example: far = 4G)");
}

static void bad_values(void **state)
{
	static const char size[] = "not a size such as 512M";
	static const char far[] = "must be a multiple of 16M, from 16M up to less than 16384G";
	static const char address[] = "not an address with prefix such as 10.0.0.2/24";
	static const char server[] =
		"not NAME ADDRESS[:PORT]; NAME has 1..31 letters, digits, - _ .";
	static const char where[] = "the address is not of the form A.B.C.D[:PORT]";
	static const char tenant[] = "must be 16 hexadecimal digits, not all 0";
	static const char domain[] = "not a UUID such as 01234567-89ab-cdef-0123-456789abcdef";
	static const struct {
		int index;
		const char *line;
		const char *message;
	} cases[] = {
		{0, "far = 12Q", size},
		{0, "far = ", size},
		{0, "far = -1G", size},
		{0, "far = 99999999999G", size},
		{0, "far = 0", far},
		{0, "far = 17M", far},
		{0, "far = 16384G", far},
		{1, "pinned = much", size},
		{1, "pinned = 0", "must not be 0"},
		{2, "nic = 10.0", "not a PCI address such as 00:10.0"},
		{2, "nic = 00:20.0", "not a PCI address such as 00:10.0"},
		{2, "nic = 00:10.8", "not a PCI address such as 00:10.0"},
		{2, "nic = 00:10.0x", "not a PCI address such as 00:10.0"},
		{2, "nic = 0", "not a PCI address such as 00:10.0"},
		{3, "address = 10.0.0.2", address},
		{3, "address = 10.0.0/24", address},
		{3, "address = 10.0.0.256/24", address},
		{3, "address = 10.0.0.2/x", address},
		{3, "address = 1000.1000.1000.1000.1/8", address},
		{3, "address = 10.0.0.2/0", "the prefix must be 1..31"},
		{3, "address = 10.0.0.2/32", "the prefix must be 1..31"},
		{3, "address = 10.0.0.0/24", "is no host's address"},
		{3, "address = 10.0.0.255/24", "is no host's address"},
		{3, "address = 127.0.0.1/8", "is no host's address"},
		{3, "address = 224.0.0.1/24", "is no host's address"},
		{3, "address = 0.0.0.1/24", "is no host's address"},
		{4, "server = one", server},
		{4, "server = 10.0.0.1", server},
		{4, "server = a/b 10.0.0.1", server},
		{4, "server = one 10.0.0", where},
		{4, "server = one 10.0.0.1.1.1.1.1.1", where},
		{4, "server = one 224.0.0.1", where},
		{4, "server = one 10.0.0.1:", "the port must be 1..65535"},
		{4, "server = one 10.0.0.1:0", "the port must be 1..65535"},
		{4, "server = one 10.0.0.1:65536", "the port must be 1..65535"},
		{5, "tenant = 0123", tenant},
		{5, "tenant = 0123456789abcdeg", tenant},
		{5, "tenant = 0000000000000000", tenant},
		{5, "tenant = 0123456789abcdef0", tenant},
		{6, "domain = 0123456789abcdef0123456789abcdef0123", domain},
		{6, "domain = 01234567-89ab-cdef-0123-456789abcde", domain},
		{6, "domain = 01234567-89ab-cdef-0123-456789abcdeg", domain},
	};

	for (unsigned i = 0; i < COUNT(cases); i++)
		bad_instead(cases[i].index, cases[i].line, cases[i].message);
}

static void bad_optional_values(void **state)
{
	bad("gateway = 10.0.0", "config line 8: gateway = 10.0.0: not an address such as 10.0.0.1");
	bad("mtu = 1499", "config line 8: mtu = 1499: must be 1500..9216");
	bad("mtu = 9217", "config line 8: mtu = 9217: must be 1500..9216");
	bad("mtu = 1500 bytes", "config line 8: mtu = 1500 bytes: must be 1500..9216");
	bad("prefetch = 33", "config line 8: prefetch = 33: must be 0..32");
	bad("prefetch = no", "config line 8: prefetch = no: must be 0..32");
	bad("wakeup = init", "config line 8: wakeup = init: must be sipi or mailbox");
	bad("wakeup = mailbox\nboot = disk",
		"config: wakeup = mailbox needs a kernel that was handed over, not boot = disk");
	bad("log = loud", "config line 8: log = loud: must be error, warning, info or debug");
	bad("pcache = 1", "config line 8: pcache = 1: must be at least 4K; leave the key out for "
			  "all local memory");
	bad("boot = tape", "config line 8: boot = tape: must be kernel or disk");
	bad("pin = 4097", "config line 8: pin = 4097: must be a multiple of 4K");
	bad("pin = 16777216G", "config line 8: pin = 16777216G: must be a multiple of 4K");
	bad("pin = x", "config line 8: pin = x: not a size such as 256M");
	bad("pcache = x", "config line 8: pcache = x: not a size such as 512M");
}

static void what_is_no_key(void **state)
{
	bad("colour = red", "config line 8: colour = red: unknown key");
	bad("Far = 1G", "config line 8: Far = 1G: unknown key");
	bad("mtu", "config line 8: mtu = : not of the form key = value");
	bad("= 5", "config line 8:  = : not of the form key = value");
	bad("\n\nfrobnicate=1", "config line 10: frobnicate = 1: unknown key");
	bad("abcdefghijklmnopqrstuvwxyzabcdefghijkl = 1",
		"config line 8: abcdefghijklmnopqrstuvwxyzabcde = : unknown key");
}

static void duplicates(void **state)
{
	char line[64], expected[128];

	for (unsigned i = 0; i < COUNT(required); i++) {
		const char *key = required_keys[i];

		if (!strcmp(key, "server"))
			continue;
		snprintf(line, sizeof(line), "%s", required[i]);
		snprintf(expected, sizeof(expected), "config line 8: %s: key appears twice", line);
		bad(line, expected);
	}
	bad("log = info\nlog = info", "config line 9: log = info: key appears twice");
	bad("server = one 10.0.0.9", "config line 8: server = one 10.0.0.9: this name is already "
				     "taken by another server");
}

static void number_of_servers(void **state)
{
	struct config c;

	good(&c, "server = b 10.0.0.3\nserver = c 10.0.0.4\nserver = d 10.0.0.5");
	assert_int_equal(c.servers, 4);
	bad("server = b 10.0.0.3\nserver = c 10.0.0.4\nserver = d 10.0.0.5\nserver = e 10.0.0.6",
		"config line 11: server = e 10.0.0.6: more than 4 servers");
	bad("server = abcdefghijklmnopqrstuvwxyzabcdef 10.0.0.3",
		"config line 8: server = abcdefghijklmnopqrstuvwxyzabcdef 10.0.0.3: not NAME "
		"ADDRESS[:PORT]; NAME has 1..31 letters, digits, - _ .");
}

static void network_as_a_whole(void **state)
{
	struct config c;

	bad("server = b 10.0.1.3",
		"config: server b is not on our network and no gateway is given");
	bad("server = b 10.0.0.2", "config: server b has our own address");
	bad("server = b 10.0.0.1:7471", "config: servers one and b have the same address and port");
	good(&c, "server = b 10.0.0.1:7472\nserver = c 10.0.0.3:7472");
	assert_int_equal(c.servers, 3);
	bad("gateway = 10.0.1.1", "config: gateway is not another address of our own network");
	bad("gateway = 10.0.0.2", "config: gateway is not another address of our own network");
}

static void far_window_smaller_than_its_servers(void **state)
{
	struct config c;
	char text[1024], error[256] = "";
	size_t n = whole(text, sizeof(text), 0, "far = 16M\nserver = b 10.0.0.3\n");

	assert_false(parse(text, n, &c, error, sizeof(error)));
	assert_string_equal(
		error, "config: 2 servers share the far window: far must be at least 32M");
	n = whole(text, sizeof(text), 0, "far = 32M\nserver = b 10.0.0.3\n");
	assert_true(parse(text, n, &c, error, sizeof(error)));
}

static void hostile_bytes(void **state)
{
	static const char nul[] = "far = 1\0G\n";
	static const char nul_key[] = "fa\0r = 1G\n";
	static const char control[] = "far = \x1b[31m\xff\n";
	char text[70000], error[256];
	struct config c;

	assert_false(parse(nul, sizeof(nul) - 1, &c, error, sizeof(error)));
	assert_string_equal(error, "config line 1: far = 1: holds a NUL byte");
	assert_false(parse(nul_key, sizeof(nul_key) - 1, &c, error, sizeof(error)));
	assert_string_equal(error, "config line 1: fa?r = 1G: unknown key");
	assert_false(parse(control, sizeof(control) - 1, &c, error, sizeof(error)));
	assert_string_equal(error, "config line 1: far = ?[31m?: not a size such as 512M");

	memset(text, '7', sizeof(text));
	memcpy(text, "far = ", 6);
	assert_false(parse(text, sizeof(text), &c, error, sizeof(error)));
	assert_string_equal(error, "config line 1: far = : value longer than 255 characters");
	memset(text, 'k', sizeof(text));
	assert_false(parse(text, sizeof(text), &c, error, sizeof(error)));
	assert_memory_equal(error, "config line 1: kkk", 18);
	memset(text, '\n', sizeof(text));
	assert_false(parse(text, sizeof(text), &c, error, sizeof(error)));
	assert_memory_equal(error, "config: key far is missing", 26);
	memset(text, '#', sizeof(text));
	assert_false(parse(text, sizeof(text), &c, error, sizeof(error)));
	assert_memory_equal(error, "config: key far is missing", 26);
}

/* A good file with one byte changed or cut off is parsed or refused, never more. */
static void every_truncation_and_change(void **state)
{
	char text[4096], error[64];
	size_t n = whole(text, sizeof(text), -1, "gateway = 10.0.0.9\nmtu = 9000\nlog = debug\n");
	struct config c;

	for (size_t i = 0; i < n; i++) {
		static const char changes[] = "\0\n=#:./ 9x\xff";

		parse(text, i, &c, error, sizeof(error));
		for (size_t k = 0; k < sizeof(changes) - 1; k++) {
			char old = text[i];

			text[i] = changes[k];
			if (!parse(text, n, &c, error, sizeof(error)))
				assert_memory_equal(error, "config", 6);
			text[i] = old;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(required_keys_suffice),
		cmocka_unit_test(optional_keys),
		cmocka_unit_test(every_log_level),
		cmocka_unit_test(missing_key_is_named),
		cmocka_unit_test(bad_values),
		cmocka_unit_test(bad_optional_values),
		cmocka_unit_test(what_is_no_key),
		cmocka_unit_test(duplicates),
		cmocka_unit_test(number_of_servers),
		cmocka_unit_test(network_as_a_whole),
		cmocka_unit_test(far_window_smaller_than_its_servers),
		cmocka_unit_test(hostile_bytes),
		cmocka_unit_test(every_truncation_and_change),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
