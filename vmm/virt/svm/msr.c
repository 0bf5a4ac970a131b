/* SPDX-License-Identifier: MIT */
/*
 * The guest's MSRs are the machine's, except these. Outside the ranges of the permission map every
 * access exits and gets #GP: KVM's and Hyper-V's MSRs lie there.
 */
#include "lib/panic.h"
#include "machine/x86.h"
#include "virt/apic_trap.h"
#include "virt/svm/svm.h"

#define MSR_TSC        0x10u
#define MSR_KVM_WALL   0x11u
#define MSR_KVM_CLOCK  0x12u
#define MSR_TSC_ADJUST 0x3bu
#define MSR_X2_ICR     0x830u
#define MSR_VM_CR      0xc0010114u
#define MSR_VM_HSAVE   0xc0010117u
#define MSR_SVM_KEY    0xc0010118u

#define VM_CR_LOCK   (1u << 3)
#define VM_CR_SVMDIS (1u << 4)

#define EFER_SCE   (1ull << 0)
#define EFER_LME   (1ull << 8)
#define EFER_LMA   (1ull << 10)
#define EFER_NXE   (1ull << 11)
#define EFER_LMSLE (1ull << 13)
#define EFER_FFXSR (1ull << 14)
#define EFER_TCE   (1ull << 15)
#define EFER_IBRS  (1ull << 21)

#define CR0_PG (1ull << 31)

#define VECTOR_GP 13u

enum {
	READS = 1,
	WRITES = 2,
};

/* False: #GP. */
typedef bool access(struct vcpu *v, bool write, uint64_t *value);

static uint64_t efer_bits(void)
{
	struct cpuid ext = cpuid(0x80000001, 0);
	uint64_t bits = EFER_SCE | EFER_LME | EFER_LMA;

	if (ext.edx >> 20 & 1)
		bits |= EFER_NXE;
	if (ext.edx >> 25 & 1)
		bits |= EFER_FFXSR;
	if (ext.ecx >> 17 & 1)
		bits |= EFER_TCE;
	if (!(cpuid(0x80000008, 0).ebx >> 20 & 1))
		bits |= EFER_LMSLE;
	if (cpuid(0x80000000, 0).eax >= 0x80000021 && cpuid(0x80000021, 0).eax >> 8 & 1)
		bits |= EFER_IBRS;
	return bits;
}

static bool efer(struct vcpu *v, bool write, uint64_t *value)
{
	struct vmcb *m = vmcb_of(v);

	if (!write) {
		*value = m->efer & ~(uint64_t)EFER_SVME;
		return true;
	}
	if (*value & ~efer_bits())
		return false;
	if ((*value ^ m->efer) & EFER_LME && m->cr0 & CR0_PG)
		return false;
	m->efer = (*value & ~EFER_LMA) | (m->efer & EFER_LMA) | EFER_SVME;
	v->flush = true;
	return true;
}

/* As on a CPU whose firmware has switched SVM off and locked that. */
static bool vm_cr(struct vcpu *v, bool write, uint64_t *value)
{
	if (!write)
		*value = VM_CR_SVMDIS | VM_CR_LOCK;
	return true;
}

static bool absent(struct vcpu *v, bool write, uint64_t *value)
{
	return false;
}

/* Kicks come by the APIC: it stays where it is and on. */
static bool apic_base(struct vcpu *v, bool write, uint64_t *value)
{
	uint64_t now = rdmsr(MSR_APIC_BASE);

	if (!write)
		*value = now;
	return !write || *value == now;
}

/* The machine's counter is the VMM's clock; the guest's own differs by an offset. */
static bool tsc(struct vcpu *v, bool write, uint64_t *value)
{
	struct vmcb *m = vmcb_of(v);
	uint64_t offset = *value - rdtsc();

	if (!write) {
		*value = rdtsc() + m->tsc_offset;
	} else {
		svm_of(v)->tsc_adjust += offset - m->tsc_offset;
		m->tsc_offset = offset;
	}
	return true;
}

static bool tsc_adjust(struct vcpu *v, bool write, uint64_t *value)
{
	struct svm *s = svm_of(v);

	if (!(cpuid(7, 0).ebx & 2))
		return false;
	if (!write) {
		*value = s->tsc_adjust;
	} else {
		s->vmcb->tsc_offset += *value - s->tsc_adjust;
		s->tsc_adjust = *value;
	}
	return true;
}

static bool x2_icr(struct vcpu *v, bool write, uint64_t *value)
{
	if (!apic_trap_x2())
		return false;
	if (write)
		apic_trap_write_x2(v, *value);
	else
		*value = rdmsr(MSR_X2_ICR);
	return true;
}

static const struct row {
	uint32_t msr;
	uint32_t what; /* READS, WRITES: intercepted */
	access *access;
} rows[] = {
	{MSR_TSC, READS | WRITES, tsc}, /* QEMU's emulation reads it without the offset */
	{MSR_KVM_WALL, READS | WRITES, absent},
	{MSR_KVM_CLOCK, READS | WRITES, absent},
	{MSR_APIC_BASE, WRITES, apic_base},
	{MSR_TSC_ADJUST, READS | WRITES, tsc_adjust},
	{MSR_X2_ICR, WRITES, x2_icr},
	{MSR_EFER, READS | WRITES, efer},
	{MSR_VM_CR, READS | WRITES, vm_cr},
	{MSR_VM_HSAVE, READS | WRITES, absent},
	{MSR_SVM_KEY, READS | WRITES, absent},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* Two bits per MSR, read and write, in three ranges of 0x2000 (15.11). */
static uint32_t map_bit(uint32_t msr)
{
	uint32_t range = msr >> 16 == 0xc000 ? 1 : msr >> 16 == 0xc001 ? 2 : 0;

	check((msr & 0xffff) < 0x2000 && (range || msr < 0x2000));
	return (range * 0x2000 + (msr & 0x1fff)) * 2;
}

void svm_msr_prepare(uint8_t *map)
{
	for (unsigned i = 0; i < ROWS; i++) {
		uint32_t bit = map_bit(rows[i].msr);

		map[bit / 8] |= rows[i].what << bit % 8;
	}
}

static access *find(uint32_t msr)
{
	for (unsigned i = 0; i < ROWS; i++) {
		if (rows[i].msr == msr)
			return rows[i].access;
	}
	return absent;
}

void svm_msr(struct vcpu *v)
{
	bool write = vmcb_of(v)->exit_info1 & 1;
	uint64_t value = v->gpr[GPR_RDX] << 32 | (uint32_t)v->gpr[GPR_RAX];
	unsigned length;

	if (!svm_length(v, 2, &length))
		return;
	if (!find((uint32_t)v->gpr[GPR_RCX])(v, write, &value)) {
		svm_inject(v, VECTOR_GP, true, 0);
		return;
	}
	if (!write) {
		v->gpr[GPR_RAX] = (uint32_t)value;
		v->gpr[GPR_RDX] = value >> 32;
	}
	svm_advance(v, length);
}
