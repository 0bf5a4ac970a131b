/* SPDX-License-Identifier: MIT */
/* annex guest define without libvirt: what is refused, with which code, and what it says. */
#include "tests/unit/domain_fixture.h"

#define MTU "<annex:mtu>9000</annex:mtu>"

/* One change each to the good domain, and what is said of it. */
static const struct {
	const char *from, *to;
	const char *says;
} refusals[] = {
	{"<domain type='qemu'>", "<domain type='xen'>", "type 'xen'"},
	{"<domain type='qemu'>", "<domain type='kvm'>", "does not nest"},
	{"<name>one</name>", "", "no usable <name>"},
	{"<annex:far xmlns:annex='urn:annex:domain:1'>", "<far>", "is no XML"},
	{"'urn:annex:domain:1'", "'urn:annex:domain:2'", "another version"},
	{"'urn:annex:domain:1'", "'urn:other'", "no <annex:far> element"},
	{"  </annex:far>",
		"</annex:far><annex:far xmlns:annex='urn:annex:domain:1'/><x><y></y></x>",
		"several <annex:far>"},
	{"<annex:size unit='MiB'>512<", "<annex:size unit='MiB'>513<", "multiple of 16 MiB"},
	{"<annex:size unit='MiB'>512<", "<annex:size unit='MiB'>0<", "number above 0"},
	{"<annex:size unit='MiB'>512<", "<annex:size unit='furlong'>512<", "unit attribute"},
	{"<annex:size unit='MiB'>512<", "<annex:size unit='GiB'>99999999999999<", "<annex:size>"},
	{"<annex:size unit='MiB'>512<", "<annex:size unit='MiB'>2048<", "holds, 1 GiB"},
	{"<annex:size unit='MiB'>512</annex:size>", "", "no <annex:size>"},
	{"<annex:server>s1</annex:server>", "", "no <annex:server>"},
	{"<annex:server>s1<", "<annex:server>s1</annex:server><annex:server>s1<", "named twice"},
	{"<annex:server>s1<", "<annex:server>s3<", "not in the network"},
	{"10.77.0.2/24", "10.77.0.1/24", "is the address of server 's1'"},
	{"10.77.0.2/24", "10.77.0.2", "A.B.C.D/PREFIX"},
	{"10.77.0.2/24", "10.77.0.255/24", "A.B.C.D/PREFIX"},
	{"10.77.0.2/24", "fe80::1/64", "IPv6"},
	{"10.77.0.2/24", "dhcp", "DHCP"},
	{"<annex:address>10.77.0.2/24</annex:address>", "", "no <annex:address>"},
	{"<annex:mtu>9000", "<annex:mtu>900", "1500 to 9216"},
	{MTU, "<annex:wakeup>init</annex:wakeup>", "sipi or mailbox"},
	{MTU, "<annex:prefetch>33</annex:prefetch>", "0 (none) to 32"},
	{MTU, "<annex:speed>9</annex:speed>", "<annex:speed> is not known"},
	{MTU, "<speed>9</speed>", "not in the namespace"},
	{MTU, "<annex:size>16384</annex:size>", "two <annex:size>"},
	{MTU, "<annex:gateway>10.9.9.9</annex:gateway>", "<annex:gateway> 10.9.9.9"},
	{MTU, "<annex:log>loud</annex:log>", "warning, info or debug"},
	{MTU, "<annex:model>rtl8139</annex:model>", "Give virtio or e1000"},
	{MTU, "<annex:service-core>maybe</annex:service-core>", "Give yes or no"},
	{MTU, "<annex:wish/>", "lacks vcpu or kernel"},
	{"<memory unit='MiB'>384<", "<memory unit='MiB'>300<", "288 MiB pinned"},
	{"<memory unit='MiB'>384</memory>", "", "no readable <memory>"},
	{"<vcpu>1<", "<vcpu>17<", "a guest can have 16 CPUs"},
	{"<vcpu>1</vcpu>", "<vcpu>1</vcpu><vcpus><vcpu id='0' enabled='yes'/></vcpus>", "<vcpus>"},
	{MTU, "<annex:pcache unit='KiB'>1</annex:pcache>", "<annex:pcache>"},
	{MTU, "<annex:pin>4096</annex:pin>", "with nothing in it"},
	{MTU, "<annex:pin/>", "has no max"},
	{MTU, "<annex:pin max='6K'/>", "multiple of 4K"},
	{MTU, "<annex:pin max='0'/>", "multiple of 4K"},
	{MTU, "<annex:pin max='much'/>", "max='much'"},
	{MTU, "<annex:pcache unit='MiB'>32</annex:pcache><annex:pin max='16388K'/>",
		"more than half of the page cache, which has 32 MiB. Give "
		"at most 16M, or a larger <annex:pcache>"},
	/* 384 MiB - 288 pinned - 20 of the VMM's leave 76. */
	{MTU, "<annex:pin max='39M'/>", "which has 76 MiB. Give at most 38M, or a larger <memory>"},
	{"<vcpu>1</vcpu>", "<vcpu>0</vcpu>", "no number"},
	{"<vcpu>1<", "<vcpu current='1'>4<", "hot-plug slots"},
	{"<vcpu>1<", "<vcpu>none<", "no number"},
	{"machine='q35'", "machine='microvm'", "machine 'microvm'"},
	{"arch='x86_64'", "arch='aarch64'", "arch 'aarch64'"},
	{"<os>", "<os firmware='efi'>", "UEFI"},
	{"<os>", "<os><loader>/x</loader>", "UEFI"},
	{"<features>", "<maxMemory slots='2' unit='GiB'>4</maxMemory><features>", "hot-plug slots"},
	{"<features>", "<cpu><numa><cell id='0'/></numa></cpu><features>", "<numa>"},
	{"console=ttyS0", "console=ttyS0 mem=1G", "mem="},
	{"console=ttyS0", "swiotlb=noforce", "swiotlb=force"},
	{"console=ttyS0", "swiotlb=1024", "swiotlb=force"},
	{"console=ttyS0", "numa=off", "numa="},
	{"console=ttyS0", "numa_balancing=enable", "numa_balancing"},
	{"  <devices>", "  <devices><memballoon model='virtio'/>",
		"memballoon model virtio is refused"},
	{"  <devices>", "  <devices><memory model='virtio-mem'/>", "model virtio-mem"},
	{"  <devices>", "  <devices><memory model='virtio-pmem'/>", "model virtio-pmem"},
	{"  <devices>", "  <devices><memory model='dimm'/>", "model dimm"},
	{"  <devices>", "  <devices><hostdev mode='subsystem' type='pci'/>", "hostdev"},
	{"  <devices>", "  <devices><vsock model='virtio'/>", "vsock"},
	{"  <devices>", "  <devices><shmem name='x'/>", "shmem is refused"},
	{"  <devices>", "  <devices><iommu model='intel'/>", "iommu"},
	{"  <devices>",
		"  <devices><filesystem type='mount'><driver type='virtiofs'/></filesystem>",
		"virtiofs"},
	{"  <devices>", "  <devices><interface type='vhostuser'/>", "vhostuser"},
	{"  <devices>", "  <devices><disk type='vhostuser'/>", "vhostuser"},
	{"  <devices>", "  <devices><disk type='nvme'/>", "nvme"},
	{"  <devices>", "  <devices><disk type='file'><target dev='fda' bus='fdc'/></disk>",
		"bus fdc"},
	{"  <devices>", "  <devices><controller type='scsi' model='ibmvscsi'/>", "ibmvscsi"},
	{"<model type='virtio'/>", "<model type='virtio-transitional'/>", "virtio-transitional"},
	{"<model type='virtio'/>", "<model type='ne2k_pci'/>", "ne2k_pci"},
	{"  <devices>", "  <devices><serial type='pty'/><serial type='pty'/>", "2 serial ports"},
	{"</domain>", "", "is no XML"},
};

static void assert_refused(const char *from, const char *to, int want, const char *says)
{
	char *a = fixture_example(), *text = fixture_replaced(a, from, to);
	struct domain_plan plan;
	int code = fixture_define(text, "KVM here does not nest", &plan, NULL);

	if (code != want)
		fail_msg("%s: code %d (%s)", to, code, error_text());
	if (!strstr(error_text(), says))
		fail_msg("%s: '%s' does not say '%s'", to, error_text(), says);
	free(text);
	free(a);
}

static void test_refusals(void **state)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		assert_refused(refusals[i].from, refusals[i].to, ERROR_REFUSED, refusals[i].says);
	assert_refused(
		"<annex:server>s1<", "<annex:server>nobody<", ERROR_NOT_FOUND, "Known: s1, s2, s3");
}

static void assert_kernel(const char *path, int code, const char *says)
{
	char *a = fixture_example(), *element, *text;
	struct domain_plan plan;

	assert_true(asprintf(&element, "<kernel>%s<", path) >= 0);
	text = fixture_replaced(a, "<kernel>", element);
	free(a);
	a = text;
	/* The old path is now text behind the new element: cut it out. */
	text = fixture_replaced(a, fixture_kernel, "/kernel><x>");
	assert_int_equal(fixture_define(text, NULL, &plan, NULL), ERROR_REFUSED);
	free(text);
	free(a);
	a = fixture_replaced(fixture_template, "INITRD", fixture_initrd);
	text = fixture_replaced(a, "KERNEL", path);
	assert_int_equal(fixture_define(text, NULL, &plan, NULL), code);
	assert_non_null(strstr(error_text(), says));
	free(text);
	free(a);
	free(element);
}

static void test_kernel_files(void **state)
{
	char *a = fixture_example(), *text;
	struct domain_plan plan;

	assert_kernel("/nowhere/vmlinuz", ERROR_NOT_FOUND, "/nowhere/vmlinuz");
	assert_kernel("vmlinuz", ERROR_REFUSED, "absolute path");
	assert_kernel(fixture_text, ERROR_REFUSED, "no Linux bzImage");
	text = fixture_replaced(a, fixture_initrd, "/nowhere/initrd");
	assert_int_equal(fixture_define(text, NULL, &plan, NULL), ERROR_NOT_FOUND);
	assert_non_null(strstr(error_text(), "initrd /nowhere/initrd"));
	free(text);
	text = fixture_replaced(a, "<kernel>", "<x>");
	free(a);
	a = fixture_replaced(text, "</kernel>", "</x>");
	assert_int_equal(fixture_define(a, NULL, &plan, NULL), ERROR_REFUSED);
	assert_non_null(strstr(error_text(), "<initrd> but no <kernel>"));
	free(text);
	free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_kernel_files),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
