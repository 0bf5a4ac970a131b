/* SPDX-License-Identifier: MIT */
/* annex guest define without libvirt: what comes out, what is refused and how, and define twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "boot/config.h"
#include "toolstack/devices.h"
#include "toolstack/domain.h"
#include "toolstack/error.h"
#include "toolstack/size.h"
#include "toolstack/xml.h"

#define UUID  "0a1b2c3d-1111-4222-8333-444455556666"
#define STATE "/var/lib/annex-test"

static char directory[] = "/tmp/annex-unit-XXXXXX";
static char kernel[64], initrd[64], text_file[64];

static const char template[] =
	"<domain type='qemu'>\n"
	"  <name>one</name>\n"
	"  <metadata><annex:far xmlns:annex='urn:annex:domain:1'>\n"
	"    <annex:size unit='MiB'>512</annex:size>\n"
	"    <annex:pinned unit='MiB'>288</annex:pinned>\n"
	"    <annex:server>s1</annex:server>\n"
	"    <annex:address>10.77.0.2/24</annex:address>\n"
	"    <annex:mtu>9000</annex:mtu>\n"
	"  </annex:far></metadata>\n"
	"  <memory unit='MiB'>384</memory>\n"
	"  <vcpu>1</vcpu>\n"
	"  <os><type arch='x86_64' machine='q35'>hvm</type>\n"
	"    <kernel>KERNEL</kernel><initrd>INITRD</initrd>\n"
	"    <cmdline>root=/dev/vda console=ttyS0</cmdline></os>\n"
	"  <features><acpi/></features>\n"
	"  <devices>\n"
	"    <disk type='file' device='disk'><source file='/d.img'/>"
	"<target dev='vda' bus='virtio'/></disk>\n"
	"    <interface type='bridge'><source bridge='br1'/><model type='virtio'/></interface>\n"
	"  </devices>\n"
	"</domain>\n";

static struct registry registry;

static void write_file(const char *path, const void *data, size_t length)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
	struct registry_server s1 = {"s1", 0x0a4d0001, 7471, 7480, false, 1024 * SIZE_MIB, ""};
	struct registry_server s2 = {"s2", 0x0a4d0003, 7500, 7480, false, 0, ""};
	struct registry_server far_away = {"s3", 0x0a4e0001, 7471, 7480, false, 0, ""};
	uint8_t image[1024] = {0};

	assert_non_null(mkdtemp(directory));
	snprintf(kernel, sizeof(kernel), "%s/vmlinuz", directory);
	snprintf(initrd, sizeof(initrd), "%s/initrd", directory);
	snprintf(text_file, sizeof(text_file), "%s/text", directory);
	image[0x1fe] = 0x55;
	image[0x1ff] = 0xaa;
	for (unsigned i = 0; i < 4; i++)
		image[0x202 + i] = (uint8_t) "HdrS"[i];
	image[0x206] = 0x0f;
	image[0x207] = 0x02;
	image[0x236] = 1;
	write_file(kernel, image, sizeof(image));
	write_file(initrd, "x", 1);
	write_file(text_file, "This is no kernel", 17);
	registry_put(&registry, &s1);
	registry_put(&registry, &s2);
	registry_put(&registry, &far_away);
	return 0;
}

static int tear_down(void **state)
{
	registry_free(&registry);
	unlink(kernel);
	unlink(initrd);
	unlink(text_file);
	return rmdir(directory);
}

/* malloc()ed copy with the first `from` replaced; NULL leaves it out of the question. */
static char *replaced(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	char *out;

	if (!at) {
		fail_msg("no '%s' in the text", from);
		abort();
	}
	assert_true(asprintf(&out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) >= 0);
	return out;
}

static char *example(void)
{
	char *a = replaced(template, "KERNEL", kernel), *b = replaced(a, "INITRD", initrd);

	free(a);
	return b;
}

static int define_text(const char *text, const char *kvm, struct domain_plan *plan, char **out)
{
	struct domain_setup setup = {.vmm = "/usr/lib/annex/annex-vmm.elf",
		.state = STATE,
		.uuid = UUID,
		.kvm = kvm,
		.registry = &registry};
	xmlDoc *doc;
	int code;

	error_clear();
	*plan = (struct domain_plan){0};
	if (out)
		*out = NULL;
	doc = xml_parse(text, strlen(text), "test.xml");
	if (!doc)
		return (int)error_code();
	code = domain_transform(doc, &setup, plan);
	if (!code && out)
		*out = xml_print(doc);
	xmlFreeDoc(doc);
	return code;
}

/* The output of a document that must be taken. */
static char *define_good(const char *text, struct domain_plan *plan)
{
	char *out = NULL;
	int code = define_text(text, NULL, plan, &out);

	if (code || !out || !plan->config) {
		fail_msg("code %d: %s", code, error_text());
		abort(); /* fail_msg() does not return, but does not say so */
	}
	return out;
}

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
	assert_entry(sysinfo, CONFIG_FILE_KERNEL, kernel);
	assert_entry(sysinfo, CONFIG_FILE_INITRD, initrd);
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
	char *text = example(), *out = define_good(text, &plan);
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
	char *a = example(), *text = replaced(a, "<annex:mtu>9000</annex:mtu>", service_core), *out;
	xmlDoc *doc;

	out = define_good(text, &plan);
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
	char *a = example(), *text = replaced(a, "<annex:mtu>9000</annex:mtu>", model), *out;
	xmlDoc *doc;
	xmlNode *fabric;

	out = define_good(text, &plan);
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
	char *a = example();
	char *text = replaced(a, "<annex:mtu>", "<annex:pin max='38M'/><annex:mtu>");
	struct domain_plan plan;

	xmlFree(define_good(a, &plan));
	assert_null(strstr(plan.config, "\npin ="));
	domain_free(&plan);
	xmlFree(define_good(text, &plan));
	assert_true(plan.wish.pin == 38 * SIZE_MIB);
	assert_non_null(strstr(plan.config, "\npin = 38M\n"));
	domain_free(&plan);
	free(text);
	free(a);
}

/* The VMM's own reader takes what we write, and reads the same numbers. */
static void test_config_is_read_by_vmm(void **state)
{
	char *a = example(), error[200];
	char *text = replaced(a, "<annex:server>s1</annex:server>",
		"<annex:server>s1</annex:server><annex:server>s2</annex:server>"
		"<annex:gateway>10.77.0.254</annex:gateway><annex:pcache "
		"unit='MiB'>32</annex:pcache>"
		"<annex:log>debug</annex:log><annex:prefetch>0</annex:prefetch>"
		"<annex:wakeup>mailbox</annex:wakeup>");
	struct config config;
	struct domain_plan plan;

	xmlFree(define_good(text, &plan));
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
	char *once = define_good(text, &first), *twice = define_good(once, &second);

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
		char *a = example(), *text = replaced(a, changes[i][0], changes[i][1]);

		assert_same_again(text);
		free(text);
		free(a);
	}
}

/* Of a domain that define made, the recorded wish counts, not what someone changed beside it. */
static void test_starts_from_wish(void **state)
{
	struct domain_plan plan;
	char *text = example(), *once = define_good(text, &plan), *edited;

	domain_free(&plan);
	edited = replaced(once, "<vcpu>2</vcpu>", "<vcpu>7</vcpu>");
	assert_int_equal(define_text(edited, NULL, &plan, NULL), 0);
	assert_int_equal(plan.wish.vcpus, 1);
	assert_string_equal(plan.wish.kernel, kernel);
	assert_string_equal(plan.wish.cmdline, "root=/dev/vda console=ttyS0");
	domain_free(&plan);
	xmlFree(once);
	free(edited);
	free(text);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *from, *to;
		int code;
		const char *says;
	} cases[] = {
		{"<domain type='qemu'>", "<domain type='xen'>", ERROR_REFUSED, "type 'xen'"},
		{"<domain type='qemu'>", "<domain type='kvm'>", ERROR_REFUSED, "does not nest"},
		{"<name>one</name>", "", ERROR_REFUSED, "no usable <name>"},
		{"<annex:far xmlns:annex='urn:annex:domain:1'>", "<far>", ERROR_REFUSED,
			"is no XML"},
		{"'urn:annex:domain:1'", "'urn:annex:domain:2'", ERROR_REFUSED, "another version"},
		{"'urn:annex:domain:1'", "'urn:other'", ERROR_REFUSED, "no <annex:far> element"},
		{"  </annex:far>",
			"</annex:far><annex:far xmlns:annex='urn:annex:domain:1'/><x><y></y></x>",
			ERROR_REFUSED, "several <annex:far>"},
		{"<annex:size unit='MiB'>512<", "<annex:size unit='MiB'>513<", ERROR_REFUSED,
			"multiple of 16 MiB"},
		{"<annex:size unit='MiB'>512<", "<annex:size unit='MiB'>0<", ERROR_REFUSED,
			"number above 0"},
		{"<annex:size unit='MiB'>512<", "<annex:size unit='furlong'>512<", ERROR_REFUSED,
			"unit attribute"},
		{"<annex:size unit='MiB'>512<", "<annex:size unit='GiB'>99999999999999<",
			ERROR_REFUSED, "<annex:size>"},
		{"<annex:size unit='MiB'>512<", "<annex:size unit='MiB'>2048<", ERROR_REFUSED,
			"holds, 1 GiB"},
		{"<annex:size unit='MiB'>512</annex:size>", "", ERROR_REFUSED, "no <annex:size>"},
		{"<annex:server>s1</annex:server>", "", ERROR_REFUSED, "no <annex:server>"},
		{"<annex:server>s1<", "<annex:server>nobody<", ERROR_NOT_FOUND,
			"Known: s1, s2, s3"},
		{"<annex:server>s1<", "<annex:server>s1</annex:server><annex:server>s1<",
			ERROR_REFUSED, "named twice"},
		{"<annex:server>s1<", "<annex:server>s3<", ERROR_REFUSED, "not in the network"},
		{"10.77.0.2/24", "10.77.0.1/24", ERROR_REFUSED, "is the address of server 's1'"},
		{"10.77.0.2/24", "10.77.0.2", ERROR_REFUSED, "A.B.C.D/PREFIX"},
		{"10.77.0.2/24", "10.77.0.255/24", ERROR_REFUSED, "A.B.C.D/PREFIX"},
		{"10.77.0.2/24", "fe80::1/64", ERROR_REFUSED, "IPv6"},
		{"10.77.0.2/24", "dhcp", ERROR_REFUSED, "DHCP"},
		{"<annex:address>10.77.0.2/24</annex:address>", "", ERROR_REFUSED,
			"no <annex:address>"},
		{"<annex:mtu>9000", "<annex:mtu>900", ERROR_REFUSED, "1500 to 9216"},
		{"<annex:mtu>9000</annex:mtu>", "<annex:wakeup>init</annex:wakeup>", ERROR_REFUSED,
			"sipi or mailbox"},
		{"<annex:mtu>9000</annex:mtu>", "<annex:prefetch>33</annex:prefetch>",
			ERROR_REFUSED, "0 (none) to 32"},
		{"<annex:mtu>9000</annex:mtu>", "<annex:speed>9</annex:speed>", ERROR_REFUSED,
			"<annex:speed> is not known"},
		{"<annex:mtu>9000</annex:mtu>", "<speed>9</speed>", ERROR_REFUSED,
			"not in the namespace"},
		{"<annex:mtu>9000</annex:mtu>", "<annex:size>16384</annex:size>", ERROR_REFUSED,
			"two <annex:size>"},
		{"<annex:mtu>9000</annex:mtu>", "<annex:gateway>10.9.9.9</annex:gateway>",
			ERROR_REFUSED, "<annex:gateway> 10.9.9.9"},
		{"<annex:mtu>9000</annex:mtu>", "<annex:log>loud</annex:log>", ERROR_REFUSED,
			"warning, info or debug"},
		{"<annex:mtu>9000</annex:mtu>", "<annex:model>rtl8139</annex:model>", ERROR_REFUSED,
			"Give virtio or e1000"},
		{"<annex:mtu>9000</annex:mtu>", "<annex:service-core>maybe</annex:service-core>",
			ERROR_REFUSED, "Give yes or no"},
		{"<annex:mtu>9000</annex:mtu>", "<annex:wish/>", ERROR_REFUSED,
			"lacks vcpu or kernel"},
		{"<memory unit='MiB'>384<", "<memory unit='MiB'>300<", ERROR_REFUSED,
			"288 MiB pinned"},
		{"<memory unit='MiB'>384</memory>", "", ERROR_REFUSED, "no readable <memory>"},
		{"<vcpu>1<", "<vcpu>17<", ERROR_REFUSED, "a guest can have 16 CPUs"},
		{"<vcpu>1</vcpu>", "<vcpu>1</vcpu><vcpus><vcpu id='0' enabled='yes'/></vcpus>",
			ERROR_REFUSED, "<vcpus>"},
		{"<annex:mtu>9000</annex:mtu>", "<annex:pcache unit='KiB'>1</annex:pcache>",
			ERROR_REFUSED, "<annex:pcache>"},
		{"<annex:mtu>9000</annex:mtu>", "<annex:pin>4096</annex:pin>", ERROR_REFUSED,
			"with nothing in it"},
		{"<annex:mtu>9000</annex:mtu>", "<annex:pin/>", ERROR_REFUSED, "has no max"},
		{"<annex:mtu>9000</annex:mtu>", "<annex:pin max='6K'/>", ERROR_REFUSED,
			"multiple of 4K"},
		{"<annex:mtu>9000</annex:mtu>", "<annex:pin max='0'/>", ERROR_REFUSED,
			"multiple of 4K"},
		{"<annex:mtu>9000</annex:mtu>", "<annex:pin max='much'/>", ERROR_REFUSED,
			"max='much'"},
		{"<annex:mtu>9000</annex:mtu>",
			"<annex:pcache unit='MiB'>32</annex:pcache><annex:pin max='16388K'/>",
			ERROR_REFUSED,
			"more than half of the page cache, which has 32 MiB. Give "
			"at most 16M, or a larger <annex:pcache>"},
		/* 384 MiB - 288 pinned - 20 of the VMM's leave 76. */
		{"<annex:mtu>9000</annex:mtu>", "<annex:pin max='39M'/>", ERROR_REFUSED,
			"which has 76 MiB. Give at most 38M, or a larger <memory>"},
		{"<vcpu>1</vcpu>", "<vcpu>0</vcpu>", ERROR_REFUSED, "no number"},
		{"<vcpu>1<", "<vcpu current='1'>4<", ERROR_REFUSED, "hot-plug slots"},
		{"<vcpu>1<", "<vcpu>none<", ERROR_REFUSED, "no number"},
		{"machine='q35'", "machine='microvm'", ERROR_REFUSED, "machine 'microvm'"},
		{"arch='x86_64'", "arch='aarch64'", ERROR_REFUSED, "arch 'aarch64'"},
		{"<os>", "<os firmware='efi'>", ERROR_REFUSED, "UEFI"},
		{"<os>", "<os><loader>/x</loader>", ERROR_REFUSED, "UEFI"},
		{"<features>", "<maxMemory slots='2' unit='GiB'>4</maxMemory><features>",
			ERROR_REFUSED, "hot-plug slots"},
		{"<features>", "<cpu><numa><cell id='0'/></numa></cpu><features>", ERROR_REFUSED,
			"<numa>"},
		{"console=ttyS0", "console=ttyS0 mem=1G", ERROR_REFUSED, "mem="},
		{"console=ttyS0", "swiotlb=noforce", ERROR_REFUSED, "swiotlb=force"},
		{"console=ttyS0", "swiotlb=1024", ERROR_REFUSED, "swiotlb=force"},
		{"console=ttyS0", "numa=off", ERROR_REFUSED, "numa="},
		{"console=ttyS0", "numa_balancing=enable", ERROR_REFUSED, "numa_balancing"},
		{"  <devices>", "  <devices><memballoon model='virtio'/>", ERROR_REFUSED,
			"memballoon model virtio is refused"},
		{"  <devices>", "  <devices><memory model='virtio-mem'/>", ERROR_REFUSED,
			"model virtio-mem"},
		{"  <devices>", "  <devices><memory model='virtio-pmem'/>", ERROR_REFUSED,
			"model virtio-pmem"},
		{"  <devices>", "  <devices><memory model='dimm'/>", ERROR_REFUSED, "model dimm"},
		{"  <devices>", "  <devices><hostdev mode='subsystem' type='pci'/>", ERROR_REFUSED,
			"hostdev"},
		{"  <devices>", "  <devices><vsock model='virtio'/>", ERROR_REFUSED, "vsock"},
		{"  <devices>", "  <devices><shmem name='x'/>", ERROR_REFUSED, "shmem is refused"},
		{"  <devices>", "  <devices><iommu model='intel'/>", ERROR_REFUSED, "iommu"},
		{"  <devices>",
			"  <devices><filesystem type='mount'><driver type='virtiofs'/>"
			"</filesystem>",
			ERROR_REFUSED, "virtiofs"},
		{"  <devices>", "  <devices><interface type='vhostuser'/>", ERROR_REFUSED,
			"vhostuser"},
		{"  <devices>", "  <devices><disk type='vhostuser'/>", ERROR_REFUSED, "vhostuser"},
		{"  <devices>", "  <devices><disk type='nvme'/>", ERROR_REFUSED, "nvme"},
		{"  <devices>", "  <devices><disk type='file'><target dev='fda' bus='fdc'/></disk>",
			ERROR_REFUSED, "bus fdc"},
		{"  <devices>", "  <devices><controller type='scsi' model='ibmvscsi'/>",
			ERROR_REFUSED, "ibmvscsi"},
		{"<model type='virtio'/>", "<model type='virtio-transitional'/>", ERROR_REFUSED,
			"virtio-transitional"},
		{"<model type='virtio'/>", "<model type='ne2k_pci'/>", ERROR_REFUSED, "ne2k_pci"},
		{"  <devices>", "  <devices><serial type='pty'/><serial type='pty'/>",
			ERROR_REFUSED, "2 serial ports"},
		{"</domain>", "", ERROR_REFUSED, "is no XML"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *a = example(), *text = replaced(a, cases[i].from, cases[i].to);
		struct domain_plan plan;
		int code = define_text(text, "KVM here does not nest", &plan, NULL);

		if (code != cases[i].code)
			fail_msg("%s: code %d (%s)", cases[i].to, code, error_text());
		if (!strstr(error_text(), cases[i].says))
			fail_msg("%s: '%s' does not say '%s'", cases[i].to, error_text(),
				cases[i].says);
		free(text);
		free(a);
	}
}

static void assert_kernel(const char *path, int code, const char *says)
{
	char *a = example(), *element, *text;
	struct domain_plan plan;

	assert_true(asprintf(&element, "<kernel>%s<", path) >= 0);
	text = replaced(a, "<kernel>", element);
	free(a);
	a = text;
	/* The old path is now text behind the new element: cut it out. */
	text = replaced(a, kernel, "/kernel><x>");
	assert_int_equal(define_text(text, NULL, &plan, NULL), ERROR_REFUSED);
	free(text);
	free(a);
	a = replaced(template, "INITRD", initrd);
	text = replaced(a, "KERNEL", path);
	assert_int_equal(define_text(text, NULL, &plan, NULL), code);
	assert_non_null(strstr(error_text(), says));
	free(text);
	free(a);
	free(element);
}

static void test_kernel_files(void **state)
{
	char *a = example(), *text;
	struct domain_plan plan;

	assert_kernel("/nowhere/vmlinuz", ERROR_NOT_FOUND, "/nowhere/vmlinuz");
	assert_kernel("vmlinuz", ERROR_REFUSED, "absolute path");
	assert_kernel(text_file, ERROR_REFUSED, "no Linux bzImage");
	text = replaced(a, initrd, "/nowhere/initrd");
	assert_int_equal(define_text(text, NULL, &plan, NULL), ERROR_NOT_FOUND);
	assert_non_null(strstr(error_text(), "initrd /nowhere/initrd"));
	free(text);
	text = replaced(a, "<kernel>", "<x>");
	free(a);
	a = replaced(text, "</kernel>", "</x>");
	assert_int_equal(define_text(a, NULL, &plan, NULL), ERROR_REFUSED);
	assert_non_null(strstr(error_text(), "<initrd> but no <kernel>"));
	free(text);
	free(a);
}

/* <os> with nothing but the machine's type. */
static char *own_boot(void)
{
	char *a = replaced(template, "<kernel>KERNEL</kernel><initrd>INITRD</initrd>", "");
	char *b = replaced(a, "<cmdline>root=/dev/vda console=ttyS0</cmdline>", "");

	free(a);
	return b;
}

static void test_boots_from_its_disk(void **state)
{
	char *text = own_boot(), *out, *other, error[200];
	struct domain_plan plan;
	struct config config;

	out = define_good(text, &plan);
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
	other = define_good(out, &plan);
	assert_string_equal(other, out);
	assert_null(plan.wish.kernel);
	domain_free(&plan);
	xmlFree(other);
	xmlFree(out);
	other = replaced(text, "device='disk'", "device='cdrom'");
	assert_int_equal(define_text(other, NULL, &plan, NULL), ERROR_REFUSED);
	assert_non_null(strstr(error_text(), "no disk to boot from"));
	free(other);
	free(text);
}

static void test_warns_of_little_pinned(void **state)
{
	char *a = example(),
	     *text = replaced(a, "<annex:pinned unit='MiB'>288<", "<annex:pinned unit='MiB'>128<");
	struct domain_plan plan;

	xmlFree(define_good(text, &plan));
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
	char *a = example(), *out;
	char *text = replaced(a, "<model type='virtio'/>",
		"<model type='virtio'/><address type='pci' domain='0' bus='0x00' slot='0x10' "
		"function='0'/>");
	struct domain_plan plan;
	xmlDoc *doc;
	const xmlNode *fabric;

	out = define_good(text, &plan);
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
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_kernel_files),
		cmocka_unit_test(test_boots_from_its_disk),
		cmocka_unit_test(test_warns_of_little_pinned),
		cmocka_unit_test(test_free_slot),
		cmocka_unit_test(test_derived_names),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
