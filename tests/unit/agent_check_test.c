/* SPDX-License-Identifier: MIT */
/* guest-agent/check*.c on trees of files: a good guest, each thing wrong by itself, nothing, nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "agent_tree.h"
#include "annex/doorbell.h"
#include "guest-agent/check.h"
#include "guest-agent/check_parts.h"

static const char *root;
static struct check check;
static const struct check_annex annex = {true, AGENT_TREE_FAR, AGENT_TREE_FAR_PAGES};

static int begin(void **state)
{
	root = agent_tree_begin();
	agent_tree_guest();
	return 0;
}

static int begin_empty(void **state)
{
	root = agent_tree_begin();
	return 0;
}

static int end(void **state)
{
	agent_tree_end();
	return 0;
}

/* The worst line of that name. */
static const struct check_line *line(const char *name)
{
	const struct check_line *worst = NULL;

	for (unsigned i = 0; i < check.count; i++)
		if (strcmp(check.line[i].name, name) == 0 &&
			(!worst || check.line[i].result > worst->result))
			worst = &check.line[i];
	assert_non_null(worst);
	return worst;
}

/* `name` says `result` with `text` in it, and no other line is worse than ok. */
static void only(const char *name, enum check_result result, const char *text)
{
	check_run(&check, root, &annex);
	const struct check_line *l = line(name);

	if (l->result != result || !strstr(l->text, text))
		fail_msg("%s: %d %s", name, l->result, l->text);
	for (unsigned i = 0; i < check.count; i++)
		if (strcmp(check.line[i].name, name) != 0 && check.line[i].result != CHECK_OK)
			fail_msg("%s: %s", check.line[i].name, check.line[i].text);
	assert_int_equal(check_exit_code(&check), result == CHECK_FAIL);
}

static void good(void **state)
{
	only("annex", CHECK_OK, "below");
	assert_int_equal(check.count, 16);
	assert_string_equal(line("nodes")->text, "far memory is node 1, 1024 MiB");
	assert_string_equal(line("cpus")->text, "all 4 at home in node 1");
	assert_string_equal(line("swiotlb")->text, "200 of 65536 KiB used, at most 4000");
	assert_string_equal(line("pinned")->text, "320 of 512 MiB left");
}

static void window_not_known(void **state)
{
	static const struct check_annex no_session = {true, 0, 0};

	check_run(&check, root, &no_session);
	assert_int_equal(check_exit_code(&check), 0);
	assert_string_equal(line("nodes")->text, "far memory is node 1, 1024 MiB");
	agent_tree_put("/proc/iomem", "250000000-25fffffff : Crash kernel\n");
	check_run(&check, root, &no_session);
	assert_int_equal(line("crash-kernel")->result, CHECK_FAIL);
}

static void flags(void **state)
{
	agent_tree_put("/proc/cmdline", "quiet movable_node -- swiotlb=force\n");
	only("command-line", CHECK_FAIL, "swiotlb=force is missing");
	agent_tree_put("/proc/cmdline", "movable_node swiotlb=force swiotlb=noforce\n");
	only("command-line", CHECK_FAIL, "swiotlb=force is missing");
	agent_tree_put("/proc/cmdline", "swiotlb=131072,force xmovable_node movable_nodes\n");
	only("command-line", CHECK_FAIL, "movable_node is missing");
	agent_tree_put("/proc/cmdline", "movable_node swiotlb=131072,force numa=off\n");
	only("command-line", CHECK_FAIL, "numa=off");
	agent_tree_put("/proc/cmdline", "movable_node swiotlb=131072,force");
	only("command-line", CHECK_OK, "swiotlb=131072,force");
}

static void kernel_settings(void **state)
{
	agent_tree_put("/proc/sys/kernel/numa_balancing", "1\n");
	only("numa-balancing", CHECK_WARN, "sysctl kernel.numa_balancing=0");
	agent_tree_remove("/proc/sys/kernel/numa_balancing");
	only("numa-balancing", CHECK_OK, "off");
	agent_tree_put("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
	only("lockdown", CHECK_FAIL, "Secure Boot");
	agent_tree_remove("/sys/kernel/security/lockdown");
	agent_tree_put("/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n");
	only("huge-pages", CHECK_WARN, "madvise");
	agent_tree_remove("/sys/kernel/mm/transparent_hugepage/enabled");
	agent_tree_put("/sys/kernel/mm/ksm/run", "1\n");
	only("ksm", CHECK_WARN, "echo 0");
	agent_tree_remove("/sys/kernel/mm/ksm/run");
	agent_tree_remove("/proc/pressure");
	only("psi", CHECK_WARN, "psi=1");
}

static void memory(void **state)
{
	agent_tree_put("/sys/devices/system/node/node0/cpulist", "0,2-3\n");
	agent_tree_put("/sys/devices/system/node/node1/cpulist", "1\n");
	only("cpus", CHECK_FAIL, "1 of 4 CPUs");
	agent_tree_put("/sys/devices/system/node/node0/cpulist", "\n");
	agent_tree_put("/proc/zoneinfo",
		"Node 1, zone   Normal\n        present  32768\n  start_pfn:   2359296\n"
		"Node 1, zone  Movable\n        present  229376\n");
	only("movable", CHECK_FAIL, "128 MiB of far memory are not");
	agent_tree_remove("/proc/zoneinfo");
	only("movable", CHECK_SKIP, "zoneinfo");
	agent_tree_put("/proc/zoneinfo", "Node 1, zone  Movable\n        present  229376\n");
	agent_tree_put("/sys/devices/system/node/node1/meminfo", "Node 1 MemTotal: 524288 kB\n");
	only("nodes", CHECK_WARN, "512 of 1024 MiB online");
	agent_tree_put("/sys/devices/system/node/node1/meminfo", "Node 1 MemTotal: 0 kB\n");
	only("nodes", CHECK_FAIL, "no memory online");
}

static void head_room(void **state)
{
	agent_tree_put("/sys/devices/system/node/node0/meminfo",
		"Node 0 MemTotal: 524288 kB\nNode 0 MemFree: 8192 kB\nNode 0 FilePages: 32768 "
		"kB\n");
	only("pinned", CHECK_WARN, "40 of 512 MiB");
	agent_tree_put("/sys/devices/system/node/node0/meminfo",
		"Node 0 MemTotal: 524288 kB\nNode 0 MemFree: 8192 kB\nNode 0 FilePages: 4096 kB\n");
	only("pinned", CHECK_FAIL, "raise `pinned`");
	agent_tree_put("/sys/devices/system/node/node0/meminfo", "nonsense\n");
	only("pinned", CHECK_SKIP, "cannot be read");
}

static void bounce_buffers(void **state)
{
	agent_tree_put("/sys/kernel/debug/swiotlb/io_tlb_used_hiwater", "30000\n");
	only("swiotlb", CHECK_WARN, "swiotlb=65536,force");
	agent_tree_remove("/sys/kernel/debug/swiotlb/io_tlb_used_hiwater"); /* before Linux 6.4 */
	only("swiotlb", CHECK_OK, "200 of 65536 KiB used");
	agent_tree_put("/sys/kernel/debug/swiotlb/io_tlb_nslabs", "0\n");
	only("swiotlb", CHECK_FAIL, "none");
	agent_tree_remove("/sys/kernel/debug");
	only("swiotlb", CHECK_SKIP, "mount -t debugfs");
}

static void crash(void **state)
{
	agent_tree_put("/proc/iomem", "  23fff0000-240000000 : Crash kernel\n");
	only("crash-kernel", CHECK_FAIL, "crashkernel=192M@512M");
	agent_tree_put("/proc/iomem", "  23fff0000-23fffffff : Crash kernel\n");
	only("crash-kernel", CHECK_OK, "none in far memory");
}

static void devices(void **state)
{
	agent_tree_link("/sys/bus/pci/devices/0000:00:05.0/driver", "../../../drivers/vfio-pci");
	only("pci", CHECK_FAIL,
		"1 device given to user space or a nested guest would DMA into far "
		"memory: 0000:00:05.0 (vfio-pci)");
	agent_tree_remove("/sys/bus/pci/devices/0000:00:05.0");
	agent_tree_put("/sys/bus/virtio/devices/virtio1/features",
		"1111111111111111111111111111111110111111111111111111111111111111\n");
	only("virtio", CHECK_OK, "1 device,"); /* no driver yet */
	agent_tree_link("/sys/bus/virtio/devices/virtio1/driver", "../../drivers/virtio_balloon");
	only("virtio", CHECK_FAIL, "virtio1 (virtio_balloon)");
	agent_tree_remove("/sys/bus/virtio/devices/virtio1/features");
	only("virtio", CHECK_FAIL, "virtio1 (virtio_balloon)");
	agent_tree_remove("/sys/bus/virtio");
	only("virtio", CHECK_OK, "no devices");
	agent_tree_put("/sys/kernel/iommu_groups/7/type", "DMA-FQ\n");
	agent_tree_put("/sys/kernel/iommu_groups/8/type", "identity\n");
	only("iommu", CHECK_FAIL, "1 device group is translated");
}

static void many_devices(void **state)
{
	for (unsigned i = 0; i < 50; i++) {
		char path[80];

		snprintf(path, sizeof(path), "/sys/bus/pci/devices/0000:01:%02x.0/driver", i);
		agent_tree_link(path, "../drivers/vfio-pci");
	}
	only("pci", CHECK_FAIL, "50 devices");
	assert_true(strlen(line("pci")->text) < CHECK_TEXT_MAX);
}

static void one_node(void **state)
{
	agent_tree_remove("/sys/devices/system/node/node1");
	check_run(&check, root, &annex);
	assert_int_equal(line("nodes")->result, CHECK_FAIL);
	assert_int_equal(check_exit_code(&check), 1);
}

static void no_annex(void **state)
{
	static const struct check_annex none = {false, 0, 0};

	check_run(&check, root, &none);
	assert_int_equal(check_exit_code(&check), 3);
	assert_int_equal(check.count, 16); /* the same lines */
	for (unsigned i = 0; i < check.count; i++)
		assert_int_equal(check.line[i].result, CHECK_SKIP);
	assert_non_null(strstr(check.line[0].text, "no Annex below"));
}

static void empty_tree(void **state)
{
	check_run(&check, root, &annex);
	assert_int_equal(line("nodes")->result, CHECK_FAIL);
	assert_int_equal(line("command-line")->result, CHECK_SKIP);
	assert_int_equal(check_exit_code(&check), 1);
}

/* Each file replaced by nonsense, too much of it, a directory, binary: any answer, but an answer. */
static void hostile(void **state)
{
	static const char *const files[] = {"/proc/cmdline", "/proc/zoneinfo", "/proc/iomem",
		"/proc/pressure/memory", "/proc/sys/kernel/numa_balancing",
		"/sys/devices/system/node/node0/meminfo", "/sys/devices/system/node/node1/meminfo",
		"/sys/devices/system/node/node1/cpulist", "/sys/kernel/debug/swiotlb/io_tlb_nslabs",
		"/sys/kernel/debug/swiotlb/io_tlb_used", "/sys/kernel/security/lockdown",
		"/sys/devices/system/memory/block_size_bytes",
		"/sys/bus/virtio/devices/virtio0/features"};
	static char big[300000];
	static const char *const texts[] = {"", "\n", "0", "-1\n", "18446744073709551616\n",
		"99999999999999999999999999999999", "4294967295-0,,,-", "0-99999,0-99999",
		"Node 99999999999, zone Movable\n start_pfn: 18446744073709551615\n",
		"Node 1 MemTotal:", "\xff\xfe\x01\x02 \x80\n",
		"ffffffffffffffff-0 : Crash kernel\n", big};

	memset(big, 'x', sizeof(big) - 1);
	for (unsigned i = 0; i < sizeof(files) / sizeof(*files); i++) {
		for (unsigned t = 0; t < sizeof(texts) / sizeof(*texts); t++) {
			char text[DOORBELL_REPLY_MAX];

			agent_tree_put(files[i], texts[t]);
			check_run(&check, root, &annex);
			assert_in_range(check.count, 14, CHECK_LINES_MAX);
			assert_true(check_text(&check, text, sizeof(text)) < sizeof(text));
			for (const char *p = text; *p; p++)
				assert_true(*p == '\n' || (*p >= ' ' && *p <= '~'));
		}
		agent_tree_remove(files[i]);
		agent_tree_put(files[i], "");
		agent_tree_guest();
	}
	agent_tree_remove("/proc/cmdline");
	agent_tree_put("/proc/cmdline/directory", "");
	only("command-line", CHECK_SKIP, "cannot be read");
}

static void text_fits(void **state)
{
	char text[sizeof(check.line)], *p = text;

	check_run(&check, root, &annex);
	size_t whole = check_text(&check, text, sizeof(text));

	assert_int_equal(whole, strlen(text));
	assert_true(whole < DOORBELL_REPLY_MAX);
	for (unsigned i = 0; i < check.count; i++, p = strchr(p, '\n') + 1)
		assert_memory_equal(p, "ok ", 3);
	assert_string_equal(p, "");
	assert_non_null(strstr(text, "\nok cpus: all 4 at home in node 1\n"));
	check_text(&check, text, whole); /* without the room for its end */
	assert_non_null(strstr(text, "\nok cpus: ok\n"));

	/* Every line wrong and as long as can be: cut at a line's end, and said so. */
	for (unsigned i = 0; i < check.count; i++) {
		check.line[i].result = CHECK_FAIL;
		memset(check.line[i].text, 'w', CHECK_TEXT_MAX - 1);
	}
	for (size_t size = 128; size < 4096; size += 61) {
		memset(text, '#', sizeof(text));
		size_t n = check_text(&check, text, size);

		assert_true(n < size && n == strlen(text) && text[n - 1] == '\n');
		assert_int_equal(text[size], '#');
		assert_true(strstr(text, "lines did not fit") || size > 3900);
	}
}

static void json(void **state)
{
	agent_tree_put("/proc/cmdline", "movable_node\n");
	agent_tree_link("/sys/bus/pci/devices/0000:00:05.0/driver", "x/vfio-\"\\\xff");
	check_run(&check, root, &annex);
	char *text = check_json(&check);
	json_t *all = json_loads(text, 0, NULL);

	assert_non_null(all);
	assert_string_equal(json_string_value(json_object_get(all, "result")), "fail");
	assert_true(json_is_true(json_object_get(all, "annex")));
	assert_int_equal(json_array_size(json_object_get(all, "lines")), check.count);
	json_t *second = json_array_get(json_object_get(all, "lines"), 2);

	assert_string_equal(json_string_value(json_object_get(second, "name")), "command-line");
	assert_string_equal(json_string_value(json_object_get(second, "result")), "fail");
	json_decref(all);
	free(text);
}

static void usage(void **state)
{
	char name[] = "check", help[] = "--help", wrong[] = "--jsn", more[] = "now";

	assert_int_equal(check_command(2, (char *[]){name, help, NULL}, &annex), 0);
	assert_int_equal(check_command(2, (char *[]){name, wrong, NULL}, &annex), 2);
	assert_int_equal(check_command(2, (char *[]){name, more, NULL}, &annex), 2);
	assert_int_equal(
		check_command(1, (char *[]){name, NULL}, &(struct check_annex){false, 0, 0}), 3);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(good),
		TEST(window_not_known),
		TEST(flags),
		TEST(kernel_settings),
		TEST(memory),
		TEST(head_room),
		TEST(bounce_buffers),
		TEST(crash),
		TEST(devices),
		TEST(many_devices),
		TEST(one_node),
		TEST(no_annex),
		cmocka_unit_test_setup_teardown(empty_tree, begin_empty, end),
		TEST(hostile),
		TEST(text_fits),
		TEST(json),
		TEST(usage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
