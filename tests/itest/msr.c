/* SPDX-License-Identifier: MIT */
/* APM vol. 2 appendix A; SDM vol. 4. */
#include "itest.h"

#define FEATURE_CONTROL 0x3au
#define TSC_ADJUST      0x3bu
#define MTRR_CAP        0xfeu
#define MTRR_MASK0      0x201u
#define MTRR_DEFAULT    0x2ffu
#define PAT             0x277u
#define X2_FIRST        0x800u
#define X2_COUNTERS     0x834u
#define X2_SELF         0x83fu
#define VMX_FIRST       0x480u
#define VMX_LAST        0x493u
#define VM_CR           0xc0010114u
#define VM_HSAVE        0xc0010117u
#define SVM_KEY         0xc0010118u
#define TSC_AUX         0xc0000103u
#define FS_BASE         0xc0000100u
#define GS_BASE         0xc0000101u
#define KERNEL_GS       0xc0000102u
#define LSTAR           0xc0000082u

#define ENABLE_VMX 6ull /* of FEATURE_CONTROL, inside and outside SMX */

static void absent(uint32_t msr, const char *name)
{
	uint64_t value;

	same(try_rdmsr(msr, &value), CAUGHT(GP), "RDMSR %s (0x%x): #GP", name, msr);
	same(try_wrmsr(msr, 0), CAUGHT(GP), "WRMSR %s (0x%x): #GP", name, msr);
}

static void of_virtualisation(void)
{
	uint64_t value;
	unsigned r;
	bool none = true;

	/* QEMU reads an MSR that it does not know as 0. */
	for (uint32_t msr = VMX_FIRST; msr <= VMX_LAST; msr++) {
		r = try_rdmsr(msr, &value);
		none = none && (r == CAUGHT(GP) || (!r && !value));
	}
	ok(none, "RDMSR 0x480-0x493: no VMX capabilities");
	r = try_rdmsr(FEATURE_CONTROL, &value);
	ok(r == CAUGHT(GP) || !(value & ENABLE_VMX), "FEATURE_CONTROL does not enable VMX");
	if (machine.amd) {
		ok(!try_rdmsr(VM_CR, &value) && (value & 0x18) == 0x18,
			"VM_CR: SVM is switched off and locked");
		try_wrmsr(VM_CR, 0);
		ok(!try_rdmsr(VM_CR, &value) && (value & 0x18) == 0x18, "VM_CR stays locked");
		absent(VM_HSAVE, "VM_HSAVE_PA");
		absent(SVM_KEY, "SVM_KEY");
	} else {
		same(try_rdmsr(VM_CR, &value), CAUGHT(GP), "RDMSR VM_CR: #GP");
		same(try_rdmsr(VM_HSAVE, &value), CAUGHT(GP), "RDMSR VM_HSAVE_PA: #GP");
	}
}

static void of_hypervisors(void)
{
	static const uint32_t kvm[] = {0x11, 0x12, 0x4b564d00, 0x4b564d01, 0x4b564d02, 0x4b564d03,
		0x4b564d04, 0x4b564d05, 0x4b564d06, 0x4b564d07};
	static const uint32_t hyper_v[] = {0x40000000, 0x40000001, 0x40000002, 0x40000020,
		0x40000021, 0x40000070, 0x40000073, 0x40000080, 0x40000105};

	for (unsigned i = 0; i < sizeof(kvm) / sizeof(kvm[0]); i++)
		absent(kvm[i], "KVM's");
	for (unsigned i = 0; i < sizeof(hyper_v) / sizeof(hyper_v[0]); i++)
		absent(hyper_v[i], "Hyper-V's");
	absent(0xdeadbeef, "nobody's");
}

static void efer(void)
{
	uint64_t was = rdmsr(MSR_EFER);

	ok(!(was & EFER_SVME), "EFER shows no SVME");
	ok(was >> 8 & 1 && was >> 10 & 1, "EFER shows LME and LMA");
	same(try_wrmsr(MSR_EFER, was | EFER_SVME), CAUGHT(GP), "EFER.SVME cannot be set");
	same(try_wrmsr(MSR_EFER, was | 1ull << 1), CAUGHT(GP), "a reserved bit of EFER: #GP");
	same(try_wrmsr(MSR_EFER, was | 1ull << 63), CAUGHT(GP), "the top bit of EFER: #GP");
	same(try_wrmsr(MSR_EFER, was & ~EFER_LME), CAUGHT(GP), "EFER.LME while paging is on: #GP");
	same(try_wrmsr(MSR_EFER, was & ~EFER_SCE), 0, "EFER.SCE can be cleared");
	same(rdmsr(MSR_EFER), was & ~EFER_SCE, "EFER.SCE is cleared");
	wrmsr(MSR_EFER, was);
	same(rdmsr(MSR_EFER), was, "EFER is as before");
}

/* The VMM does the writes of two registers itself: those refuse what the APIC would. */
static void x2apic(void)
{
	uint32_t before = seen[VECTOR_IPI].count;
	uint64_t value;

	ok(cpuid(1, 0).ecx & 1u << 21, "CPUID shows x2APIC");
	same(cpuid(0xb, 0).edx, rdmsr(X2_FIRST + APIC_ID / 16), "CPUID and x2APIC have one id");
	same(cpuid(1, 0).ebx >> 24, apic_id() & 0xff, "and the old leaf has its low byte");
	same(try_wrmsr(X2_FIRST + APIC_ID / 16, 5), CAUGHT(GP), "x2APIC's id cannot be written");
	same(try_rdmsr(X2_FIRST + APIC_ICR2 / 16, &value), CAUGHT(GP), "x2APIC has no second ICR");
	same(try_wrmsr(X2_FIRST + APIC_EOI / 16, 1), CAUGHT(GP), "x2APIC's EOI is 0");
	same(try_wrmsr(X2_FIRST + APIC_ICR / 16, 1u << 13), CAUGHT(GP),
		"reserved bits of ICR: #GP");
	same(try_wrmsr(X2_COUNTERS, 1u << 11), CAUGHT(GP),
		"reserved bits of the counters' LVT: #GP");
	same(try_wrmsr(X2_COUNTERS, 0x10000 | VECTOR_IPI), 0, "the counters' LVT can be written");
	same(rdmsr(X2_COUNTERS), 0x10000 | VECTOR_IPI, "and read");
	__asm__ volatile("sti");
	wrmsr(X2_SELF, VECTOR_IPI);
	for (unsigned i = 0; i < 50000 && seen[VECTOR_IPI].count == before; i++)
		apic_wait_us(10);
	__asm__ volatile("cli");
	same(seen[VECTOR_IPI].count, before + 1, "SELF IPI comes");
}

static void apic_base(void)
{
	uint64_t was = rdmsr(MSR_APIC_BASE), value;

	ok(was & 1u << 11, "the APIC is on");
	ok(was & 1u << 8, "this is the boot CPU");
	same(try_wrmsr(MSR_APIC_BASE, was & ~(1ull << 11)), CAUGHT(GP), "the APIC stays on");
	same(try_wrmsr(MSR_APIC_BASE, was ^ 0x100000), CAUGHT(GP), "the APIC stays where it is");
	same(try_wrmsr(MSR_APIC_BASE, was ^ 1u << 10), CAUGHT(GP), "the APIC's mode stays");
	same(try_wrmsr(MSR_APIC_BASE, was), 0, "APIC_BASE may be written as it is");
	same(rdmsr(MSR_APIC_BASE), was, "APIC_BASE has not changed");
	/* QEMU reads an MSR that it does not know as 0. */
	if (was & 1u << 10) {
		x2apic();
	} else {
		unsigned r = try_rdmsr(X2_FIRST + APIC_ICR / 16, &value);

		ok(r == CAUGHT(GP) || (!r && !value), "x2APIC's registers are not there");
	}
}

static void memory_types(void)
{
	uint64_t pat = rdmsr(PAT), cap = rdmsr(MTRR_CAP), def = rdmsr(MTRR_DEFAULT), mask;

	ok((cap & 0xff) >= 1 && (cap & 0xff) <= 32, "MTRRs: some variable ones");
	same(try_wrmsr(MTRR_DEFAULT, def), 0, "MTRR default type may be written as it is");
	same(rdmsr(MTRR_DEFAULT), def, "MTRR default type has not changed");
	mask = rdmsr(MTRR_MASK0);
	same(try_wrmsr(MTRR_MASK0, mask), 0, "a variable MTRR may be written");
	same(rdmsr(MTRR_MASK0), mask, "a variable MTRR has not changed");
	same(try_wrmsr(PAT, 0x0407050600070106ull), 0, "PAT may be written");
	same(rdmsr(PAT), 0x0407050600070106ull, "PAT is what was written");
	(void)cpuid(0, 0);
	same(rdmsr(PAT), 0x0407050600070106ull, "PAT is kept over an exit");
	wrmsr(PAT, pat);
	same(rdmsr(PAT), pat, "PAT is as before");
}

static uint64_t near(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static void time_stamp(void)
{
	const uint64_t much = 1ull << 40, slack = 1ull << 36;
	uint64_t before = rdtsc(), now, adjust = 0;
	bool has_adjust = cpuid(7, 0).ebx & 2;
	uint32_t low, high, aux;

	ok(rdtsc() >= before && rdtsc() >= before, "RDTSC does not go back");
	if (has_adjust)
		adjust = rdmsr(TSC_ADJUST);
	same(try_wrmsr(MSR_TSC, before + much), 0, "the TSC may be written");
	now = rdtsc();
	ok(near(now, before + much) < slack, "RDTSC follows");
	ok(near(rdmsr(MSR_TSC), now) < slack, "RDMSR follows");
	if (has_adjust) {
		ok(near(rdmsr(TSC_ADJUST) - adjust, much) < slack, "TSC_ADJUST follows");
		wrmsr(TSC_ADJUST, adjust);
		ok(near(rdtsc(), before) < slack, "the TSC follows TSC_ADJUST");
	} else {
		skip("TSC_ADJUST", "not on this CPU");
		wrmsr(MSR_TSC, before);
	}
	(void)cpuid(0, 0);
	ok(near(rdtsc(), before) < slack, "the TSC is kept over an exit");
	if (cpuid(0x80000001, 0).edx >> 27 & 1) {
		wrmsr(TSC_AUX, 0x1234);
		__asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
		same(aux, 0x1234, "RDTSCP gives TSC_AUX");
		ok(near((uint64_t)high << 32 | low, before) < slack, "RDTSCP gives the TSC");
	} else {
		skip("RDTSCP", "not on this CPU");
	}
}

static void kept(uint32_t msr, uint64_t value, const char *name)
{
	uint64_t was = rdmsr(msr);

	wrmsr(msr, value);
	(void)cpuid(0, 0);
	far_push_out();
	same(rdmsr(msr), value, "%s is kept over exits", name);
	wrmsr(msr, was);
}

void test_msr(void)
{
	say("MSRs");
	of_virtualisation();
	of_hypervisors();
	efer();
	apic_base();
	memory_types();
	time_stamp();
	kept(FS_BASE, 0x123456789000, "FS base");
	kept(GS_BASE, 0x234567891000, "GS base");
	kept(KERNEL_GS, 0x345678912000, "kernel GS base");
	kept(LSTAR, 0x456789123000, "LSTAR");
	kept(0x176, 0x1000000, "SYSENTER's RIP");
}
