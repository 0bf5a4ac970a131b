/* SPDX-License-Identifier: MIT */
/* AMD APM vol. 3 appendix E; Intel SDM vol. 2A, CPUID. */
#include <string.h>
#include "annex/doorbell.h"
#include "itest.h"

#define LEAF1_MONITOR (1u << 3)
#define LEAF1_VMX     (1u << 5)
#define LEAF1_SMX     (1u << 6)
#define LEAF1_X2APIC  (1u << 21)
#define LEAF1_XSAVE   (1u << 26)
#define LEAF1_OSXSAVE (1u << 27)

static bool empty(uint32_t leaf)
{
	struct cpuid r = cpuid(leaf, 0);

	return !(r.eax | r.ebx | r.ecx | r.edx);
}

static void mirrors(void)
{
	uint64_t cr4 = read_cr4();

	if (cpuid(1, 0).ecx & LEAF1_XSAVE) {
		write_cr4(cr4 | CR4_OSXSAVE);
		ok(cpuid(1, 0).ecx & LEAF1_OSXSAVE, "CPUID shows OSXSAVE while CR4 has it");
		write_cr4(cr4 & ~CR4_OSXSAVE);
		ok(!(cpuid(1, 0).ecx & LEAF1_OSXSAVE), "CPUID shows no OSXSAVE while CR4 has not");
	} else {
		skip("OSXSAVE", "no XSAVE on this CPU");
	}
	if (cpuid(7, 0).ecx & 1u << 3) {
		write_cr4(cr4 | CR4_PKE);
		ok(cpuid(7, 0).ecx & 1u << 4, "CPUID shows OSPKE while CR4 has PKE");
		write_cr4(cr4 & ~CR4_PKE);
		ok(!(cpuid(7, 0).ecx & 1u << 4), "CPUID shows no OSPKE while CR4 has no PKE");
	} else {
		skip("OSPKE", "no protection keys on this CPU");
	}
	write_cr4(cr4);
}

static void outer_leaves(void)
{
	static const char signature[] = DOORBELL_SIGNATURE;
	struct cpuid first = cpuid(DOORBELL_LEAF, 0), second = cpuid(DOORBELL_LEAF + 1, 0);
	uint32_t words[3] = {first.ebx, first.ecx, first.edx};
	bool all = true;

	same(first.eax, DOORBELL_LEAF + 1, "CPUID 0x40000000 counts the VMM's leaves");
	ok(!memcmp(words, signature, sizeof(words)), "CPUID 0x40000000 is signed by Annex");
	same(second.eax, DOORBELL_VERSION, "CPUID 0x40000001 has the doorbell's version");
	same(second.ebx, DOORBELL_PORT, "CPUID 0x40000001 has the doorbell's port");
	ok(!second.ecx && !second.edx, "CPUID 0x40000001 has nothing else");
	for (uint32_t i = 2; i < 0x20; i++)
		all = all && empty(0x40000000 + i);
	/* Where guests look for one hypervisor behind another. */
	for (uint32_t i = 0x100; i < 0x10000; i += 0x100)
		all = all && empty(0x40000000 + i) && empty(0x40000001 + i);
	ok(all, "CPUID 0x40000002-0x4000ff01: an outer hypervisor's leaves are empty");
	ok(empty(0x4fffffff), "CPUID 0x4fffffff is empty");
}

void test_cpuid(void)
{
	struct cpuid one = cpuid(1, 0), ext = cpuid(0x80000001, 0), far = cpuid(0x80000000, 0);

	say("CPUID");
	ok(!(one.ecx & LEAF1_VMX), "CPUID hides VMX");
	ok(!(one.ecx & LEAF1_SMX), "CPUID hides SMX");
	ok(!(one.ecx & LEAF1_MONITOR), "CPUID hides MONITOR");
	ok(!(ext.ecx & 1u << 2), "CPUID hides SVM");
	ok(!(ext.ecx & 1u << 12), "CPUID hides SKINIT");
	ok(empty(5), "CPUID 5 (MONITOR) is empty");
	ok(!machine.amd || empty(0x8000000a), "CPUID 0x8000000a (SVM) is empty");
	ok(!machine.amd || empty(0x8000001f), "CPUID 0x8000001f (memory encryption) is empty");
	outer_leaves();
	ok(cpuid(0, 0).eax >= 7 && cpuid(0, 0).eax < 0x100, "CPUID 0 counts the basic leaves");
	ok(far.eax >= 0x80000008 && far.eax < 0x80000100, "CPUID 0x80000000 counts the others");
	same(one.ebx >> 24, machine.apic_id[0], "CPUID 1 has this CPU's APIC id");
	same(one.ebx >> 24, apic_id(), "CPUID 1 and the APIC agree on its id");
	ok(!(one.ecx & LEAF1_X2APIC) || rdmsr(MSR_APIC_BASE) & 1u << 10,
		"CPUID shows x2APIC only where it is in use");
	ok((cpuid(0x80000008, 0).eax & 0xff) >= 36, "CPUID 0x80000008 has the address bits");
	ok(ext.edx >> 29 & 1, "CPUID shows long mode");
	mirrors();
}
