/* SPDX-License-Identifier: MIT */
/*
 * The guest's MSRs are the machine's, except these. Outside the ranges of the bitmap every access
 * exits and gets #GP: KVM's and Hyper-V's MSRs lie there.
 */
#include "lib/panic.h"
#include "machine/x86.h"
#include "virt/apic_trap.h"
#include "virt/vmx/access.h"
#include "virt/vmx/vmx.h"

#define MSR_TSC             0x10u
#define MSR_KVM_WALL        0x11u
#define MSR_KVM_CLOCK       0x12u
#define MSR_FEATURE_CONTROL 0x3au
#define MSR_TSC_ADJUST      0x3bu
#define MSR_MICROCODE       0x79u
#define MSR_SMM_MONITOR     0x9bu
#define MSR_VMX_FIRST       0x480u
#define MSR_VMX_LAST        0x493u
#define MSR_TRACE_FIRST     0x560u
#define MSR_TRACE_LAST      0x587u
#define MSR_TSC_DEADLINE    0x6e0u
#define MSR_X2_ICR          0x830u
#define MSR_X2_COUNTERS     0x834u

#define FEATURE_LOCKED 1ull
#define FEATURE_VMX    6ull

#define X2_ICR_STATUS        0x1000ull /* no meaning there */
#define X2_ICR_RESERVED      0xfff32000ull
#define X2_COUNTERS_RESERVED ~0x107ffull

#define VECTOR_GP 13u

enum {
	READS = 1,
	WRITES = 2,
};

/* False: #GP. */
typedef bool access(struct vcpu *v, bool write, uint64_t *value);

static void map_close(uint8_t *map, uint32_t msr, unsigned what);

/* As on a CPU whose firmware has switched VMX off and locked that. */
static bool feature_control(struct vcpu *v, bool write, uint64_t *value)
{
	(void)v;
	*value = (rdmsr(MSR_FEATURE_CONTROL) & ~FEATURE_VMX) | FEATURE_LOCKED;
	return !write;
}

static bool absent(struct vcpu *v, bool write, uint64_t *value)
{
	(void)v, (void)write, (void)value;
	return false;
}

/* A microcode update by a guest is not taken; its revision shows that. */
static bool ignored(struct vcpu *v, bool write, uint64_t *value)
{
	(void)v, (void)value;
	return write;
}

/* Kicks come by the APIC: it stays where it is and on. */
static bool apic_base(struct vcpu *v, bool write, uint64_t *value)
{
	uint64_t now = rdmsr(MSR_APIC_BASE);

	(void)v;
	if (!write)
		*value = now;
	return !write || *value == now;
}

/* The machine's counter is the VMM's clock; the guest's own differs by an offset. */
static void move_tsc(struct vcpu *v, uint64_t by)
{
	struct vmx *x = vmx_of(v);

	x->tsc_offset += by;
	x->tsc_adjust += by;
	vmwrite(VMCS_TSC_OFFSET, x->tsc_offset);
	/* The timer's deadline is in the machine's time. */
	if (x->tsc_offset)
		map_close(x->msr_map, MSR_TSC_DEADLINE, READS | WRITES);
}

static bool tsc(struct vcpu *v, bool write, uint64_t *value)
{
	uint64_t now = rdtsc() + vmx_of(v)->tsc_offset;

	if (write)
		move_tsc(v, *value - now);
	else
		*value = now;
	return true;
}

static bool tsc_adjust(struct vcpu *v, bool write, uint64_t *value)
{
	if (!(cpuid(7, 0).ebx & 2))
		return false;
	if (write)
		move_tsc(v, *value - vmx_of(v)->tsc_adjust);
	else
		*value = vmx_of(v)->tsc_adjust;
	return true;
}

/* 0 is "off" in both times. */
static bool tsc_deadline(struct vcpu *v, bool write, uint64_t *value)
{
	uint64_t offset = vmx_of(v)->tsc_offset;

	if (!(cpuid(1, 0).ecx >> 24 & 1))
		return false;
	if (write) {
		wrmsr(MSR_TSC_DEADLINE, *value ? *value - offset : 0);
	} else {
		*value = rdmsr(MSR_TSC_DEADLINE);
		*value += *value ? offset : 0;
	}
	return true;
}

static bool x2_icr(struct vcpu *v, bool write, uint64_t *value)
{
	if (!apic_trap_x2())
		return false;
	if (!write)
		*value = rdmsr(MSR_X2_ICR);
	else if (*value & X2_ICR_RESERVED)
		return false;
	else
		apic_trap_write_x2(v, *value & ~X2_ICR_STATUS);
	return true;
}

static bool x2_counters(struct vcpu *v, bool write, uint64_t *value)
{
	if (!apic_trap_x2() || (write && *value & X2_COUNTERS_RESERVED))
		return false;
	if (write) {
		wrmsr(MSR_X2_COUNTERS, *value);
		apic_trap_counters(v, (uint32_t)*value);
	} else {
		*value = rdmsr(MSR_X2_COUNTERS);
	}
	return true;
}

static const struct row {
	uint32_t first, last;
	uint32_t what; /* READS, WRITES: intercepted */
	access *access;
} rows[] = {
	{MSR_TSC, MSR_TSC, WRITES, tsc},
	{MSR_KVM_WALL, MSR_KVM_CLOCK, READS | WRITES, absent},
	{MSR_APIC_BASE, MSR_APIC_BASE, WRITES, apic_base},
	{MSR_FEATURE_CONTROL, MSR_FEATURE_CONTROL, READS | WRITES, feature_control},
	{MSR_TSC_ADJUST, MSR_TSC_ADJUST, READS | WRITES, tsc_adjust},
	{MSR_MICROCODE, MSR_MICROCODE, READS | WRITES, ignored},
	{MSR_SMM_MONITOR, MSR_SMM_MONITOR, READS | WRITES, absent},
	{MSR_VMX_FIRST, MSR_VMX_LAST, READS | WRITES, absent},
	/* Processor trace writes to physical addresses. */
	{MSR_TRACE_FIRST, MSR_TRACE_LAST, READS | WRITES, absent},
	{MSR_TSC_DEADLINE, MSR_TSC_DEADLINE, 0, tsc_deadline},
	{MSR_X2_ICR, MSR_X2_ICR, WRITES, x2_icr},
	{MSR_X2_COUNTERS, MSR_X2_COUNTERS, WRITES, x2_counters},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* One bit per MSR: reads of 0..0x1fff and of 0xc0000000.., then writes (25.6.9). */
static void map_close(uint8_t *map, uint32_t msr, unsigned what)
{
	check(msr < 0x2000);
	if (what & READS)
		map[msr / 8] |= 1u << msr % 8;
	if (what & WRITES)
		map[2048 + msr / 8] |= 1u << msr % 8;
}

void vmx_msr_prepare(uint8_t *map)
{
	for (unsigned i = 0; i < ROWS; i++) {
		for (uint32_t msr = rows[i].first; msr <= rows[i].last; msr++)
			map_close(map, msr, rows[i].what);
	}
}

static bool touch(struct vcpu *v, bool write, uint64_t *value)
{
	uint32_t msr = (uint32_t)v->gpr[GPR_RCX];

	for (unsigned i = 0; i < ROWS; i++) {
		if (msr >= rows[i].first && msr <= rows[i].last)
			return rows[i].access(v, write, value);
	}
	return false;
}

void vmx_msr_read(struct vcpu *v)
{
	uint64_t value = 0;

	if (!touch(v, false, &value)) {
		vmx_inject(v, VECTOR_GP, true, 0);
		return;
	}
	v->gpr[GPR_RAX] = (uint32_t)value;
	v->gpr[GPR_RDX] = value >> 32;
	vmx_advance(v, (unsigned)vmread(VMCS_LENGTH));
}

void vmx_msr_write(struct vcpu *v)
{
	uint64_t value = v->gpr[GPR_RDX] << 32 | (uint32_t)v->gpr[GPR_RAX];

	if (!touch(v, true, &value)) {
		vmx_inject(v, VECTOR_GP, true, 0);
		return;
	}
	vmx_advance(v, (unsigned)vmread(VMCS_LENGTH));
}
