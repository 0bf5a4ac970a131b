/* SPDX-License-Identifier: MIT */
/* annex guest define without libvirt: what comes out, and define twice. */
#include "boot/config.h"
#include "tests/unit/domain_fixture.h"
#include "toolstack/devices.h"

static xmlNode *by_alias(xmlNode *devices, const char *alias)
{
	for (xmlNode *n = devices->children; n; n = n->next)
		if (n->type == XML_ELEMENT_NODE && xml_child(n, "alias") &&
			xml_attr_is(xml_child(n, "alias"), "name", alias))
			return n;
	return NULL;
}

static void assert_text(const xmlNode *node, const char *want)
{
	char text[256];

	assert_non_null(node);
	assert_true(xml_text(node, text, sizeof(text)));
	assert_string_equal(text, want);
}

static void assert_entry(const xmlNode *sysinfo, const char *name, const char *file)
{
	for (const xmlNode *e = xml_child(sysinfo, "entry"); e; e = xml_next(e))
		if (xml_attr_is(e, "name", name)) {
			assert_string_equal(xml_attr(e, "file"), file);
			return;
		}
	fail_msg("no fw_cfg entry %s", name);
}

static void check_machine(const xmlNode *domain)
{
	const xmlNode *sysinfo = xml_child(domain, "sysinfo"), *cpu = xml_child(domain, "cpu");

	assert_text(xml_child(domain, "uuid"), UUID);
	assert_text(xml_child(domain, "vcpu"), "2");
	assert_text(xml_child(xml_child(domain, "os"), "kernel"), "/usr/lib/annex/annex-vmm.elf");
	assert_null(xml_child(xml_child(domain, "os"), "initrd"));
	assert_null(xml_child(xml_child(domain, "os"), "cmdline"));
	assert_entry(sysinfo, CONFIG_FILE_KERNEL, fixture_kernel);
	assert_entry(sysinfo, CONFIG_FILE_INITRD, fixture_initrd);
	assert_entry(sysinfo, CONFIG_FILE_CMDLINE, STATE "/guests/" UUID "/cmdline");
	assert_entry(sysinfo, CONFIG_FILE_CONFIG, STATE "/guests/" UUID "/config");
	assert_true(xml_attr_is(cpu, "mode", "maximum"));
	assert_true(xml_attr_is(xml_child(cpu, "feature"), "name", "la57"));
	assert_true(xml_attr_is(xml_next(xml_child(cpu, "feature")), "name", "cx16"));
	assert_true(xml_attr_is(xml_next(xml_child(cpu, "feature")), "policy", "disable"));
	assert_true(xml_attr_is(xml_child(cpu, "feature"), "policy", "disable"));
}

static void check_devices(xmlNode *devices)
{
	const xmlNode *disk = xml_child(devices, "disk"), *nic = xml_child(devices, "interface"),
		      *fabric = by_alias(devices, DEVICES_FABRIC),
		      *manage = by_alias(devices, DEVICES_MANAGE);

	assert_true(xml_attr_is(disk, "model", "virtio-non-transitional"));
	assert_true(xml_attr_is(xml_child(disk, "driver"), "iommu", "on"));
	assert_true(xml_attr_is(xml_child(nic, "model"), "type", "virtio-non-transitional"));
	assert_true(xml_attr_is(xml_child(nic, "driver"), "iommu", "on"));
	assert_non_null(xml_child(nic, "mac"));
	assert_true(xml_attr_is(xml_child(devices, "memballoon"), "model", "none"));
	assert_non_null(fabric);
	assert_true(xml_attr_is(xml_child(fabric, "model"), "type", "virtio-non-transitional"));
	assert_true(xml_attr_is(xml_child(fabric, "source"), "bridge", "annexbr0"));
	assert_true(xml_attr_is(xml_child(fabric, "mtu"), "size", "9000"));
	assert_true(xml_attr_is(xml_child(fabric, "address"), "bus", "0x00"));
	assert_true(xml_attr_is(xml_child(fabric, "address"), "slot", "0x10"));
	assert_non_null(by_alias(devices, DEVICES_KEEP));
	/* The user named no serial port: the first one is still his, ours the second. */
	assert_non_null(manage);
	assert_true(xml_attr_is(manage, "type", "pty"));
	assert_ptr_not_equal(xml_child(devices, "serial"), manage);
	assert_ptr_equal(xml_next(xml_child(devices, "serial")), manage);
}

static void test_transformed(void **state)
{
	struct domain_plan plan;
	char *text = fixture_example(), *out = fixture_define_good(text, &plan);
	xmlDoc *doc;

	assert_string_equal(plan.name, "one");
	assert_string_equal(plan.cmdline, "root=/dev/vda console=ttyS0 movable_node swiotlb=force "
					  "numa_balancing=disable");
	assert_int_equal(plan.warnings, 0);
	doc = xml_parse(out, strlen(out), "out");
	check_machine(xmlDocGetRootElement(doc));
	check_devices(xml_child(xmlDocGetRootElement(doc), "devices"));
	xmlFreeDoc(doc);
	xmlFree(out);
	domain_free(&plan);
	free(text);
}

static void assert_cpus(const char *service_core, const char *cpus)
{
	struct domain_plan plan;
	char *a = fixture_example(),
	     *text = fixture_replaced(a, "<annex:mtu>9000</annex:mtu>", service_core), *out;
	xmlDoc *doc;

	out = fixture_define_good(text, &plan);
	doc = xml_parse(out, strlen(out), "out");
	assert_text(xml_child(xmlDocGetRootElement(doc), "vcpu"), cpus);
	assert_int_equal(plan.wish.vcpus, 1);
	xmlFreeDoc(doc);
	xmlFree(out);
	domain_free(&plan);
	free(text);
	free(a);
}

static void test_service_core(void **state)
{
	assert_cpus("<annex:service-core>yes</annex:service-core>", "2");
	assert_cpus("<annex:service-core>no</annex:service-core>", "1");
}

static void assert_model(const char *model, const char *type, bool virtio)
{
	struct domain_plan plan;
	char *a = fixture_example(),
	     *text = fixture_replaced(a, "<annex:mtu>9000</annex:mtu>", model), *out;
	xmlDoc *doc;
	xmlNode *fabric;

	out = fixture_define_good(text, &plan);
	doc = xml_parse(out, strlen(out), "out");
	fabric = by_alias(xml_child(xmlDocGetRootElement(doc), "devices"), DEVICES_FABRIC);
	assert_true(xml_attr_is(xml_child(fabric, "model"), "type", type));
	assert_int_equal(xml_child(fabric, "driver") != NULL, virtio);
	assert_true(xml_attr_is(xml_child(fabric, "address"), "slot", "0x10"));
	assert_true(xml_attr_is(xml_child(fabric, "rom"), "enabled", "no"));
	xmlFreeDoc(doc);
	xmlFree(out);
	domain_free(&plan);
	free(text);
	free(a);
}

static void test_fabric_model(void **state)
{
	assert_model("<annex:model>e1000</annex:model>", "e1000", false);
	assert_model("<annex:model>virtio</annex:model>", "virtio-non-transitional", true);
}

/* The agent's budget, up to half of the page cache; without the element the key is left out. */
static void test_pin(void **state)
{
	char *a = fixture_example();
	char *text = fixture_replaced(a, "<annex:mtu>", "<annex:pin max='38M'/><annex:mtu>");
	struct domain_plan plan;

	xmlFree(fixture_define_good(a, &plan));
	assert_null(strstr(plan.config, "\npin ="));
	domain_free(&plan);
	xmlFree(fixture_define_good(text, &plan));
	assert_true(plan.wish.pin == 38 * SIZE_MIB);
	assert_non_null(strstr(plan.config, "\npin = 38M\n"));
	domain_free(&plan);
	free(text);
	free(a);
}

/* The VMM's own reader takes what we write, and reads the same numbers. */
static void test_config_is_read_by_vmm(void **state)
{
	char *a = fixture_example(), error[200];
	char *text = fixture_replaced(a, "<annex:server>s1</annex:server>",
		"<annex:server>s1</annex:server><annex:server>s2</annex:server>"
		"<annex:gateway>10.77.0.254</annex:gateway><annex:pcache "
		"unit='MiB'>32</annex:pcache>"
		"<annex:log>debug</annex:log><annex:prefetch>0</annex:prefetch>"
		"<annex:wakeup>mailbox</annex:wakeup>");
	struct config config;
	struct domain_plan plan;

	xmlFree(fixture_define_good(text, &plan));
	if (!config_parse(plan.config, strlen(plan.config), &config, error, sizeof(error)))
		fail_msg("%s", error);
	assert_int_equal(config.far, 512 * SIZE_MIB);
	assert_int_equal(config.pinned, 288 * SIZE_MIB);
	assert_int_equal(config.pcache, 32 * SIZE_MIB);
	assert_int_equal(config.nic, 0x10 << 3);
	assert_int_equal(config.address, 0x0a4d0002);
	assert_int_equal(config.prefix, 24);
	assert_int_equal(config.gateway, 0x0a4d00fe);
	assert_int_equal(config.servers, 2);
	assert_string_equal(config.server[1].name, "s2");
	assert_int_equal(config.server[1].address, 0x0a4d0003);
	assert_int_equal(config.server[1].port, 7500);
	assert_int_equal(config.tenant, plan.tenant);
	assert_int_equal(config.mtu, 9000);
	assert_int_equal(config.prefetch, 0);
	assert_true(config.wakeup_mailbox);
	assert_int_equal(config.domain[0], 0x0a);
	domain_free(&plan);
	free(text);
	free(a);
}

static void assert_same_again(const char *text)
{
	struct domain_plan first, second;
	char *once = fixture_define_good(text, &first), *twice = fixture_define_good(once, &second);

	assert_string_equal(once, twice);
	assert_string_equal(first.config, second.config);
	assert_string_equal(first.cmdline, second.cmdline);
	assert_int_equal(second.wish.vcpus, 1);
	xmlFree(once);
	xmlFree(twice);
	domain_free(&first);
	domain_free(&second);
}

static void test_defined_twice(void **state)
{
	static const char *const changes[][2] = {
		{"<vcpu>1</vcpu>", "<vcpu>1</vcpu>"},
		{"<annex:mtu>9000</annex:mtu>", "<annex:service-core>no</annex:service-core>"},
		{"<annex:mtu>9000</annex:mtu>", "<annex:model>e1000</annex:model>"},
		{"<cmdline>root=/dev/vda console=ttyS0</cmdline>", ""},
		{"  <devices>\n", "  <devices><console type='pty'/>\n"},
		{"  <devices>\n", "  <devices><serial type='pty'><target port='0'/></serial>\n"},
		{"  <devices>\n", "  <devices><channel type='unix'><target type='virtio' name='x'/>"
				  "</channel>\n"},
		{"  <features>",
			"<sysinfo type='fwcfg'><entry name='opt/mine'>x</entry></sysinfo>\n"
			"  <features>"},
		{"  <features>", "<cpu mode='custom'><model>EPYC</model></cpu>\n  <features>"},
		{"  <features>", "<cpu mode='maximum'><topology sockets='1' cores='1' threads='1'/>"
				 "</cpu>\n  <features>"},
		{"  <devices>\n",
			"  <devices><video><model type='virtio'/></video><rng model='virtio'>"
			"<backend model='random'>/dev/urandom</backend></rng>\n"},
	};

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		char *a = fixture_example(),
		     *text = fixture_replaced(a, changes[i][0], changes[i][1]);

		assert_same_again(text);
		free(text);
		free(a);
	}
}

/* Of a domain that define made, the recorded wish counts, not what someone changed beside it. */
static void test_starts_from_wish(void **state)
{
	struct domain_plan plan;
	char *text = fixture_example(), *once = fixture_define_good(text, &plan), *edited;

	domain_free(&plan);
	edited = fixture_replaced(once, "<vcpu>2</vcpu>", "<vcpu>7</vcpu>");
	assert_int_equal(fixture_define(edited, NULL, &plan, NULL), 0);
	assert_int_equal(plan.wish.vcpus, 1);
	assert_string_equal(plan.wish.kernel, fixture_kernel);
	assert_string_equal(plan.wish.cmdline, "root=/dev/vda console=ttyS0");
	domain_free(&plan);
	xmlFree(once);
	free(edited);
	free(text);
}

/* <os> with nothing but the machine's type. */
static char *own_boot(void)
{
	char *a = fixture_replaced(
		fixture_template, "<kernel>KERNEL</kernel><initrd>INITRD</initrd>", "");
	char *b = fixture_replaced(a, "<cmdline>root=/dev/vda console=ttyS0</cmdline>", "");

	free(a);
	return b;
}

static void test_boots_from_its_disk(void **state)
{
	char *text = own_boot(), *out, *other, error[200];
	struct domain_plan plan;
	struct config config;

	out = fixture_define_good(text, &plan);
	assert_null(plan.cmdline);
	assert_null(strstr(out, CONFIG_FILE_KERNEL));
	assert_null(strstr(out, CONFIG_FILE_CMDLINE));
	assert_non_null(strstr(out, CONFIG_FILE_CONFIG));
	assert_non_null(strstr(out, "<kernel>/usr/lib/annex/annex-vmm.elf<"));
	assert_true(config_parse(plan.config, strlen(plan.config), &config, error, sizeof(error)));
	assert_true(config.boot_disk);
	assert_int_equal(plan.warnings, 1);
	assert_non_null(strstr(plan.warning[0], "movable_node"));
	domain_free(&plan);
	/* Its own output: the VMM is not taken for the guest's kernel. */
	other = fixture_define_good(out, &plan);
	assert_string_equal(other, out);
	assert_null(plan.wish.kernel);
	domain_free(&plan);
	xmlFree(other);
	xmlFree(out);
	other = fixture_replaced(text, "device='disk'", "device='cdrom'");
	assert_int_equal(fixture_define(other, NULL, &plan, NULL), ERROR_REFUSED);
	assert_non_null(strstr(error_text(), "no disk to boot from"));
	free(other);
	free(text);
}

static void test_warns_of_little_pinned(void **state)
{
	char *a = fixture_example(), *text = fixture_replaced(a, "<annex:pinned unit='MiB'>288<",
					     "<annex:pinned unit='MiB'>128<");
	struct domain_plan plan;

	xmlFree(fixture_define_good(text, &plan));
	assert_int_equal(plan.warnings, 1);
	if (!plan.warning[0] || !strstr(plan.warning[0], "256 MiB is advised"))
		fail_msg("warned of something else");
	domain_free(&plan);
	free(text);
	free(a);
	assert_int_equal(wish_pinned_least(512 * SIZE_MIB), 256 * SIZE_MIB);
	assert_int_equal(wish_pinned_least(64 * SIZE_GIB), (1536 + 192) * SIZE_MIB);
}

/* An address that the user gives on the root bus is not taken a second time. */
static void test_free_slot(void **state)
{
	char *a = fixture_example(), *out;
	char *text = fixture_replaced(a, "<model type='virtio'/>",
		"<model type='virtio'/><address type='pci' domain='0' bus='0x00' slot='0x10' "
		"function='0'/>");
	struct domain_plan plan;
	xmlDoc *doc;
	const xmlNode *fabric;

	out = fixture_define_good(text, &plan);
	assert_non_null(strstr(plan.config, "nic = 00:11.0\n"));
	doc = xml_parse(out, strlen(out), "out");
	fabric = by_alias(xml_child(xmlDocGetRootElement(doc), "devices"), DEVICES_FABRIC);
	assert_true(xml_attr_is(xml_child(fabric, "address"), "slot", "0x11"));
	xmlFreeDoc(doc);
	xmlFree(out);
	domain_free(&plan);
	free(text);
	free(a);
}

static void test_derived_names(void **state)
{
	char a[18], b[18];

	assert_int_equal(domain_tenant(UUID), domain_tenant(UUID));
	assert_int_not_equal(
		domain_tenant(UUID), domain_tenant("0a1b2c3d-1111-4222-8333-444455556667"));
	domain_mac(UUID, 0, a);
	domain_mac(UUID, 1, b);
	assert_string_not_equal(a, b);
	assert_int_equal(strlen(a), 17);
	assert_memory_equal(a, "52:54:", 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transformed),
		cmocka_unit_test(test_service_core),
		cmocka_unit_test(test_fabric_model),
		cmocka_unit_test(test_pin),
		cmocka_unit_test(test_config_is_read_by_vmm),
		cmocka_unit_test(test_defined_twice),
		cmocka_unit_test(test_starts_from_wish),
		cmocka_unit_test(test_boots_from_its_disk),
		cmocka_unit_test(test_warns_of_little_pinned),
		cmocka_unit_test(test_free_slot),
		cmocka_unit_test(test_derived_names),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
