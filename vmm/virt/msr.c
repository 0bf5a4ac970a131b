/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include "machine/apic.h"
#include "machine/x86.h"
#include "virt/apic_trap.h"
#include "virt/msr.h"

#define MSR_TSC         0x10u
#define MSR_KVM_WALL    0x11u
#define MSR_KVM_CLOCK   0x12u
#define MSR_TSC_ADJUST  0x3bu
#define MSR_X2_ICR      0x830u
#define MSR_X2_COUNTERS 0x834u

#define X2_ICR_STATUS        0x1000ull /* no meaning there */
#define X2_ICR_RESERVED      0xfff32000ull
#define X2_COUNTERS_RESERVED ~0x107ffull

bool msr_absent(struct vcpu *v, bool write, uint64_t *value)
{
	(void)v, (void)write, (void)value;
	return false;
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
	v->tsc_offset += by;
	v->tsc_adjust += by;
}

static bool tsc(struct vcpu *v, bool write, uint64_t *value)
{
	uint64_t now = rdtsc() + v->tsc_offset;

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
		move_tsc(v, *value - v->tsc_adjust);
	else
		*value = v->tsc_adjust;
	return true;
}

static bool x2_icr(struct vcpu *v, bool write, uint64_t *value)
{
	if (!apic_x2() || (write && *value & X2_ICR_RESERVED))
		return false;
	if (write)
		apic_trap_write_x2(v, *value & ~X2_ICR_STATUS);
	else
		*value = rdmsr(MSR_X2_ICR);
	return true;
}

static bool x2_counters(struct vcpu *v, bool write, uint64_t *value)
{
	if (!apic_x2() || (write && *value & X2_COUNTERS_RESERVED))
		return false;
	if (write) {
		wrmsr(MSR_X2_COUNTERS, *value);
		apic_trap_counters(v, (uint32_t)*value);
	} else {
		*value = rdmsr(MSR_X2_COUNTERS);
	}
	return true;
}

static const struct msr_row common[] = {
	/* Reads too: QEMU's emulation does them without the offset. */
	{MSR_TSC, MSR_TSC, MSR_READS | MSR_WRITES, tsc},
	{MSR_KVM_WALL, MSR_KVM_CLOCK, MSR_READS | MSR_WRITES, msr_absent},
	{MSR_APIC_BASE, MSR_APIC_BASE, MSR_WRITES, apic_base},
	{MSR_TSC_ADJUST, MSR_TSC_ADJUST, MSR_READS | MSR_WRITES, tsc_adjust},
	{MSR_X2_ICR, MSR_X2_ICR, MSR_WRITES, x2_icr},
	{MSR_X2_COUNTERS, MSR_X2_COUNTERS, MSR_WRITES, x2_counters},
};

#define COMMON (sizeof(common) / sizeof(common[0]))

static const struct msr_row *row_of(const struct msr_row *own, unsigned count, unsigned i)
{
	return i < count ? &own[i] : &common[i - count];
}

void msr_prepare(const struct msr_row *own, unsigned count,
	void (*close)(uint8_t *map, uint32_t msr, unsigned what), uint8_t *map)
{
	for (unsigned i = 0; i < count + COMMON; i++) {
		const struct msr_row *row = row_of(own, count, i);

		for (uint32_t msr = row->first; msr <= row->last; msr++)
			close(map, msr, row->what);
	}
}

bool msr_touch(struct vcpu *v, const struct msr_row *own, unsigned count, bool write)
{
	uint64_t value = v->gpr[GPR_RDX] << 32 | (uint32_t)v->gpr[GPR_RAX];
	uint32_t msr = (uint32_t)v->gpr[GPR_RCX];
	const struct msr_row *row = NULL;

	for (unsigned i = 0; i < count + COMMON && !row; i++) {
		row = row_of(own, count, i);
		if (msr < row->first || msr > row->last)
			row = NULL;
	}
	if (!row || !row->access(v, write, &value))
		return false;
	if (!write) {
		v->gpr[GPR_RAX] = (uint32_t)value;
		v->gpr[GPR_RDX] = value >> 32;
	}
	return true;
}
