/* SPDX-License-Identifier: MIT */
/* /etc/annex/agent.conf: what is read, and what is said about what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "guest-agent/config.h"
#include "guest-agent/hints.h"
#include "guest-agent/log.h"

static struct config config;

static void good(const char *text)
{
	char error[CONFIG_ERROR] = "";

	if (config_parse(&config, "f", text, error) != 0)
		fail_msg("%s: %s", text, error);
}

static void bad(const char *text, const char *why)
{
	char error[CONFIG_ERROR] = "";

	assert_int_equal(config_parse(&config, "f", text, error), -1);
	if (!strstr(error, why))
		fail_msg("'%s' is said of %s, not '%s'", error, text, why);
}

static void nothing_is_the_default(void **state)
{
	good("");
	assert_true(config.refresh_ns == 10000000000ull);
	assert_int_equal(config.rule_count, 0);
	good("\n# only a comment\n   \t\n");
	assert_int_equal(config.scan_pages, 262144);
}

static void settings_are_taken(void **state)
{
	good("refresh = 30\nscan=2G # quick\n requests\t=\t77\nuser-pin = 1M\n"
	     "applications-pin = 0\nlog = debug");
	assert_true(config.refresh_ns == 30000000000ull);
	assert_int_equal(config.scan_pages, 524288);
	assert_int_equal(config.requests, 77);
	assert_int_equal(config.user_pin_pages, 256);
	assert_int_equal(config.applications_pin_pages, 0);
	assert_int_equal(config.log, LOG_DEBUG);
}

static void policies_are_taken(void **state)
{
	good("pin   unit=redis.service\tmax=256M # hot\nprefetch comm=postgres on=wake\n"
	     "cold cgroup=/background.slice/ every=60\ncold exe=/usr/bin/rsync user=0\n"
	     "pin pid=12 address=0x7f0000000000 length=2M\npin file=/var/lib/db/main max=1G\n");
	assert_int_equal(config.rule_count, 6);
	assert_int_equal(config.rule[0].kind, HINT_PIN);
	assert_string_equal(config.rule[0].text, "pin unit=redis.service max=256M");
	assert_string_equal(config.rule[0].selector.unit, "redis.service");
	assert_int_equal(config.rule[0].max_pages, 65536);
	assert_true(config.rule[1].on_wake);
	assert_string_equal(config.rule[2].selector.cgroup, "/background.slice");
	assert_true(config.rule[2].every_ns == 60000000000ull);
	assert_int_equal(config.rule[3].selector.user, 0);
	assert_int_equal(config.rule[3].selector.keys, SELECTOR_EXE | SELECTOR_USER);
	assert_true(config.rule[4].selector.address == 0x7f0000000000ull);
	assert_int_equal(config.rule[4].selector.length, 2 << 20);
	assert_string_equal(config.rule[5].selector.path, "/var/lib/db/main");
}

static void errors_name_the_line(void **state)
{
	bad("\n\nrefresh = 0\n", "f:3: refresh: seconds, 1 to 3600, not '0'");
	bad("refresh = 1 2", "f:1: refresh: one value");
	bad("refresh =", "f:1: refresh: one value");
	bad("scan = 1M", "f:1: scan: a size of at least 16M");
	bad("requests = 4097", "requests: 1 to 4096");
	bad("log = loud", "log: error, warning");
	bad("budget = 3", "unknown setting 'budget'");
	bad("hold unit=x.service", "'hold' is no policy");
	bad("unpin pid=3", "'unpin' is no policy");
	bad("pin", "whose memory");
	bad("pin max=1M", "whose memory");
	bad("pin unit=redis", "unit's full name");
	bad("pin unit=a/b.service", "unit's full name");
	bad("pin cgroup=background.slice", "absolute path");
	bad("pin comm=0123456789abcdef", "comm: at most 15");
	bad("pin user=no-such-user-here", "no such user");
	bad("pin pid=0", "pid=0: a number");
	bad("pin pid=-1", "a number");
	bad("pin pid=99999999999999999999", "a number");
	bad("pin comm=a comm=b", "comm= is there twice");
	bad("pin comm=", "comm= needs a value");
	bad("pin comm=a max=2Q", "max: a size");
	bad("pin comm=a max=0", "max: a size");
	bad("pin comm=a on=wake", "only prefetch");
	bad("prefetch comm=a on=start", "only on=wake");
	bad("prefetch comm=a every=3", "every= is for cold");
	bad("prefetch file=/a", "does not wake");
	bad("pin file=/a comm=b", "file= stands alone");
	bad("pin pid=1 address=1", "go together");
	bad("pin comm=a address=1 length=1", "need pid=");
	bad("pin comm=a gently", "'gently' is no selector");
	bad("pin comm=a colour=red", "'colour=red' is no selector");
}

static void limits_are_kept(void **state)
{
	static char text[CONFIG_RULES * 16 + 1024];
	size_t used = 0;

	for (unsigned i = 0; i < CONFIG_RULES; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "pin pid=%u\n", i + 1);
	good(text);
	assert_int_equal(config.rule_count, CONFIG_RULES);
	snprintf(text + used, sizeof(text) - used, "pin pid=9999\n");
	bad(text, "f:65: more than 64 policies");
	memset(text, 'x', 600);
	text[600] = '\n';
	text[601] = '\0';
	bad(text, "f:1: the line is longer than 511 bytes");
	/* Behind a # all lengths are good. */
	text[0] = '#';
	good(text);
}

static struct process process(const char *comm, char *cgroup, char *exe)
{
	struct process p = {
		.pid = 7, .start = 70, .user = 33, .state = 'S', .cgroup = cgroup, .exe = exe};

	snprintf(p.comm, sizeof(p.comm), "%s", comm);
	return p;
}

static bool fits(const char *words, const struct process *p)
{
	char line[300];

	snprintf(line, sizeof(line), "pin %s", words);
	good(line);
	return selector_fits(&config.rule[0].selector, p);
}

static void selectors_fit(void **state)
{
	struct process p = process("redis", "/system.slice/redis.service/sub", "/usr/bin/redis");

	assert_true(fits("unit=redis.service", &p));
	assert_true(fits("unit=system.slice", &p));
	assert_false(fits("unit=edis.service", &p));
	assert_false(fits("unit=redis.serv", &p) || fits("unit=redis.service2", &p));
	assert_true(fits("cgroup=/system.slice", &p) && fits("cgroup=/", &p));
	assert_true(fits("cgroup=/system.slice/redis.service/sub", &p));
	assert_false(fits("cgroup=/system.slic", &p) || fits("cgroup=/redis.service", &p));
	assert_true(fits("comm=redis exe=/usr/bin/redis user=33 pid=7", &p));
	assert_false(fits("comm=redis exe=/usr/bin/redis user=34", &p));
	assert_false(fits("comm=redi", &p) || fits("pid=8", &p) || fits("exe=/usr/bin", &p));
	assert_false(fits("file=/usr/bin/redis", &p));
	p.state = 'Z';
	assert_false(fits("comm=redis", &p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_the_default),
		cmocka_unit_test(settings_are_taken),
		cmocka_unit_test(policies_are_taken),
		cmocka_unit_test(errors_name_the_line),
		cmocka_unit_test(limits_are_kept),
		cmocka_unit_test(selectors_fit),
	};

	return cmocka_run_group_tests_name("agent config", tests, NULL, NULL);
}
