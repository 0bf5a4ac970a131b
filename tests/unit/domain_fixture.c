/* SPDX-License-Identifier: MIT */
#include <unistd.h>
#include "tests/unit/domain_fixture.h"

static char directory[] = "/tmp/annex-unit-XXXXXX";
char fixture_kernel[64], fixture_initrd[64], fixture_text[64];

const char fixture_template[] =
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

int fixture_setup(void **state)
{
	struct registry_server s1 = {"s1", 0x0a4d0001, 7471, 7480, false, 1024 * SIZE_MIB, ""};
	struct registry_server s2 = {"s2", 0x0a4d0003, 7500, 7480, false, 0, ""};
	struct registry_server far_away = {"s3", 0x0a4e0001, 7471, 7480, false, 0, ""};
	uint8_t image[1024] = {0};

	assert_non_null(mkdtemp(directory));
	snprintf(fixture_kernel, sizeof(fixture_kernel), "%s/vmlinuz", directory);
	snprintf(fixture_initrd, sizeof(fixture_initrd), "%s/initrd", directory);
	snprintf(fixture_text, sizeof(fixture_text), "%s/text", directory);
	image[0x1fe] = 0x55;
	image[0x1ff] = 0xaa;
	for (unsigned i = 0; i < 4; i++)
		image[0x202 + i] = (uint8_t) "HdrS"[i];
	image[0x206] = 0x0f;
	image[0x207] = 0x02;
	image[0x236] = 1;
	write_file(fixture_kernel, image, sizeof(image));
	write_file(fixture_initrd, "x", 1);
	write_file(fixture_text, "This is no kernel", 17);
	registry_put(&registry, &s1);
	registry_put(&registry, &s2);
	registry_put(&registry, &far_away);
	return 0;
}

int fixture_teardown(void **state)
{
	registry_free(&registry);
	unlink(fixture_kernel);
	unlink(fixture_initrd);
	unlink(fixture_text);
	return rmdir(directory);
}

char *fixture_replaced(const char *text, const char *from, const char *to)
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

char *fixture_example(void)
{
	char *a = fixture_replaced(fixture_template, "KERNEL", fixture_kernel),
	     *b = fixture_replaced(a, "INITRD", fixture_initrd);

	free(a);
	return b;
}

int fixture_define(const char *text, const char *kvm, struct domain_plan *plan, char **out)
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

char *fixture_define_good(const char *text, struct domain_plan *plan)
{
	char *out = NULL;
	int code = fixture_define(text, NULL, plan, &out);

	if (code || !out || !plan->config) {
		fail_msg("code %d: %s", code, error_text());
		abort(); /* fail_msg() does not return, but does not say so */
	}
	return out;
}
