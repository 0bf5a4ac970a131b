/* SPDX-License-Identifier: MIT */
/* What the guest sees of a CPU that has everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "annex/doorbell.h"
#include "machine/apic.h"
#include "machine/x86.h"
#include "virt/leaves.h"
#include "virt/vendor.h"
#include "virt/virt.h"

#define ALL     UINT32_MAX
#define OSXSAVE (1ull << 18) /* CR4's */
#define PKE     (1ull << 22)
#define PG      (1ull << 31) /* CR0's */

static struct vcpu v;
static bool x2;
static uint64_t cr0, looked_at;
static unsigned looks;

struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	return (struct cpuid){ALL, ALL, ALL, ALL};
}

bool apic_x2(void)
{
	return x2;
}

static void paging(const struct vcpu *vcpu, struct virt_paging *p)
{
	*p = (struct virt_paging){.cr0 = cr0};
}

static const struct virt_vendor vendor = {.paging = paging};
const struct virt_vendor *virt_vendor = &vendor;

static struct cpuid seen(uint32_t leaf, uint32_t sub, uint64_t cr4)
{
	v.gpr[GPR_RAX] = leaf;
	v.gpr[GPR_RCX] = sub;
	leaves_cpuid(&v, cr4);
	return (struct cpuid){(uint32_t)v.gpr[GPR_RAX], (uint32_t)v.gpr[GPR_RBX],
		(uint32_t)v.gpr[GPR_RCX], (uint32_t)v.gpr[GPR_RDX]};
}

/* The bits that are missing, and no others; both of CR4's mirrors are on. */
static const struct {
	uint32_t leaf, sub;
	struct cpuid hidden;
	const char *what;
} rows[] = {
	{0, 0, {0}, "the basic leaves' number"},
	{1, 0, {.ecx = 0x7c | 1u << 21, .edx = 1u << 21},
		"DTES64, MONITOR, DS-CPL, VMX, SMX; x2APIC; debug store"},
	{5, 0, {ALL, ALL, ALL, ALL}, "MONITOR"},
	{6, 0, {.eax = 1u << 19 | 1u << 23}, "hardware feedback, thread director"},
	{7, 0, {.ebx = 1u << 25}, "processor trace"},
	{7, 1, {0}, "more features"},
	{0xd, 0, {0}, "XSAVE's areas"},
	{0xd, 1, {.ecx = 1u << 8}, "processor trace in XSS"},
	{0x14, 0, {ALL, ALL, ALL, ALL}, "processor trace"},
	{0x80000001, 0, {.ecx = 1u << 2 | 1u << 12}, "SVM, SKINIT"},
	{0x80000008, 0, {.ebx = 1u << 3}, "INVLPGB"},
	{0x8000000a, 0, {ALL, ALL, ALL, ALL}, "SVM"},
	{0x8000001f, 0, {ALL, ALL, ALL, ALL}, "memory encryption"},
	{0x40000002, 0, {ALL, ALL, ALL, ALL}, "another hypervisor"},
	{0x4fffffff, 0, {ALL, ALL, ALL, ALL}, "another hypervisor"},
};

static void only_what_the_vmm_keeps_is_hidden(void **state)
{
	x2 = false;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cpuid r = seen(rows[i].leaf, rows[i].sub, OSXSAVE | PKE);
		const struct cpuid *h = &rows[i].hidden;

		if (r.eax != ~h->eax || r.ebx != ~h->ebx || r.ecx != ~h->ecx || r.edx != ~h->edx)
			fail_msg("leaf 0x%x,%u (%s): %x %x %x %x", rows[i].leaf, rows[i].sub,
				rows[i].what, r.eax, r.ebx, r.ecx, r.edx);
	}
}

static void x2apic_is_there_in_its_mode(void **state)
{
	x2 = true;
	assert_int_equal(seen(1, 0, OSXSAVE).ecx, ~0x7cu);
}

static void cr4_is_mirrored(void **state)
{
	x2 = true;
	assert_int_equal(seen(1, 0, PKE).ecx, ~(0x7cu | 1u << 27));
	assert_int_equal(seen(7, 0, OSXSAVE).ecx, ~(1u << 4));
	assert_int_equal(seen(7, 0, PKE).ecx, ALL);
}

static void the_doorbell_is_told_of(void **state)
{
	struct cpuid r = seen(DOORBELL_LEAF, 0, 0);

	assert_int_equal(r.eax, DOORBELL_LEAF + 1);
	assert_memory_equal(&r.ebx, DOORBELL_SIGNATURE, 12);
	r = seen(DOORBELL_LEAF + 1, 0, 0);
	assert_int_equal(r.eax, DOORBELL_VERSION);
	assert_int_equal(r.ebx, DOORBELL_PORT);
	assert_int_equal(r.ecx | r.edx, 0);
}

static bool look(uint64_t rsi)
{
	looks++;
	looked_at = rsi;
	return looks == 2;
}

/* The kernel's first CPUIDs come before its paging; once it is found nobody looks any more. */
static void the_boot_cpu_is_watched(void **state)
{
	virt_watch(look);
	v.gpr[GPR_RSI] = 0x1234;
	cr0 = PG;
	seen(0, 0, 0);
	assert_int_equal(looks, 0);
	cr0 = 0;
	v.cpu = 1;
	seen(0, 0, 0);
	assert_int_equal(looks, 0);
	v.cpu = 0;
	for (unsigned i = 0; i < 4; i++)
		seen(0, 0, 0);
	assert_int_equal(looks, 2);
	assert_int_equal(looked_at, 0x1234);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_the_vmm_keeps_is_hidden),
		cmocka_unit_test(x2apic_is_there_in_its_mode),
		cmocka_unit_test(cr4_is_mirrored),
		cmocka_unit_test(the_doorbell_is_told_of),
		cmocka_unit_test(the_boot_cpu_is_watched),
	};

	return cmocka_run_group_tests_name("leaves", tests, NULL, NULL);
}
