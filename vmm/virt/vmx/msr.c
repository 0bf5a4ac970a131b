/* SPDX-License-Identifier: MIT */
#include "lib/panic.h"
#include "machine/x86.h"
#include "virt/msr.h"
#include "virt/vmx/access.h"
#include "virt/vmx/vmx.h"

#define MSR_FEATURE_CONTROL 0x3au
#define MSR_MICROCODE       0x79u
#define MSR_SMM_MONITOR     0x9bu
#define MSR_VMX_FIRST       0x480u
#define MSR_VMX_LAST        0x493u
#define MSR_PEBS_ENABLE     0x3f1u
#define MSR_TRACE_FIRST     0x560u
#define MSR_TRACE_LAST      0x587u
#define MSR_DS_AREA         0x600u
#define MSR_TSC_DEADLINE    0x6e0u
#define MSR_XSS             0xda0u
#define MSR_FEEDBACK_FIRST  0x17d0u
#define MSR_FEEDBACK_LAST   0x17d4u

#define FEATURE_LOCKED 1ull
#define FEATURE_VMX    6ull

#define LEAF_D_XSAVES (1u << 3)
#define XSS_TRACE     (1ull << 8)

#define VECTOR_GP 13u

/* As on a CPU whose firmware has switched VMX off and locked that. */
static bool feature_control(struct vcpu *v, bool write, uint64_t *value)
{
	(void)v;
	*value = (rdmsr(MSR_FEATURE_CONTROL) & ~FEATURE_VMX) | FEATURE_LOCKED;
	return !write;
}

/* A microcode update by a guest is not taken; its revision shows that. */
static bool ignored(struct vcpu *v, bool write, uint64_t *value)
{
	(void)v, (void)value;
	return write;
}

/* Intercepted once the guest has moved its TSC: the timer's deadline is in the machine's time; 0: off. */
static bool tsc_deadline(struct vcpu *v, bool write, uint64_t *value)
{
	if (!(cpuid(1, 0).ecx >> 24 & 1))
		return false;
	if (write) {
		wrmsr(MSR_TSC_DEADLINE, *value ? *value - v->tsc_offset : 0);
	} else {
		*value = rdmsr(MSR_TSC_DEADLINE);
		*value += *value ? v->tsc_offset : 0;
	}
	return true;
}

/* Without processor trace, whose registers XRSTORS would load past their interception. */
static bool xss(struct vcpu *v, bool write, uint64_t *value)
{
	struct cpuid leaf = cpuid(0xd, 1);

	(void)v;
	if (!(leaf.eax & LEAF_D_XSAVES))
		return false;
	if (!write)
		*value = rdmsr(MSR_XSS);
	else if (*value & ~(((uint64_t)leaf.edx << 32 | leaf.ecx) & ~XSS_TRACE))
		return false;
	else
		wrmsr(MSR_XSS, *value);
	return true;
}

static const struct msr_row rows[] = {
	{MSR_FEATURE_CONTROL, MSR_FEATURE_CONTROL, MSR_READS | MSR_WRITES, feature_control},
	{MSR_MICROCODE, MSR_MICROCODE, MSR_READS | MSR_WRITES, ignored},
	{MSR_SMM_MONITOR, MSR_SMM_MONITOR, MSR_READS | MSR_WRITES, msr_absent},
	{MSR_VMX_FIRST, MSR_VMX_LAST, MSR_READS | MSR_WRITES, msr_absent},
	/* Processor trace writes to physical addresses. */
	{MSR_TRACE_FIRST, MSR_TRACE_LAST, MSR_READS | MSR_WRITES, msr_absent},
	/* The counters' records go to linear addresses, also while the VMM runs, through its tables. */
	{MSR_PEBS_ENABLE, MSR_PEBS_ENABLE, MSR_READS | MSR_WRITES, msr_absent},
	{MSR_DS_AREA, MSR_DS_AREA, MSR_READS | MSR_WRITES, msr_absent},
	{MSR_TSC_DEADLINE, MSR_TSC_DEADLINE, 0, tsc_deadline},
	{MSR_XSS, MSR_XSS, MSR_WRITES, xss},
	/* Hardware feedback writes its table to a physical address. */
	{MSR_FEEDBACK_FIRST, MSR_FEEDBACK_LAST, MSR_READS | MSR_WRITES, msr_absent},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* One bit per MSR: reads of 0..0x1fff and of 0xc0000000.., then writes (25.6.9). */
static void map_close(uint8_t *map, uint32_t msr, unsigned what)
{
	check(msr < 0x2000);
	if (what & MSR_READS)
		map[msr / 8] |= 1u << msr % 8;
	if (what & MSR_WRITES)
		map[2048 + msr / 8] |= 1u << msr % 8;
}

void vmx_msr_prepare(uint8_t *map)
{
	msr_prepare(rows, ROWS, map_close, map);
}

static void touch(struct vcpu *v, bool write)
{
	uint64_t offset = v->tsc_offset;

	if (!msr_touch(v, rows, ROWS, write)) {
		vmx_inject(v, VECTOR_GP, true, 0);
		return;
	}
	if (v->tsc_offset != offset) {
		vmwrite(VMCS_TSC_OFFSET, v->tsc_offset);
		map_close(vmx_of(v)->msr_map, MSR_TSC_DEADLINE, MSR_READS | MSR_WRITES);
	}
	vmx_advance(v, (unsigned)vmread(VMCS_LENGTH));
}

void vmx_msr_read(struct vcpu *v)
{
	touch(v, false);
}

void vmx_msr_write(struct vcpu *v)
{
	touch(v, true);
}
