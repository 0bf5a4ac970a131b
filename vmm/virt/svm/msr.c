/* SPDX-License-Identifier: MIT */
#include "lib/panic.h"
#include "machine/registers.h"
#include "machine/x86.h"
#include "virt/msr.h"
#include "virt/svm/svm.h"

#define MSR_VM_CR    0xc0010114u
#define MSR_VM_HSAVE 0xc0010117u
#define MSR_SVM_KEY  0xc0010118u

#define VM_CR_LOCK   (1u << 3)
#define VM_CR_SVMDIS (1u << 4)

#define VECTOR_GP 13u

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

static const struct msr_row rows[] = {
	{MSR_EFER, MSR_EFER, MSR_READS | MSR_WRITES, efer},
	{MSR_VM_CR, MSR_VM_CR, MSR_READS | MSR_WRITES, vm_cr},
	{MSR_VM_HSAVE, MSR_SVM_KEY, MSR_READS | MSR_WRITES, msr_absent},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* Two bits per MSR, read and write, in three ranges of 0x2000 (15.11). */
static void map_close(uint8_t *map, uint32_t msr, unsigned what)
{
	uint32_t range = msr >> 16 == 0xc000 ? 1 : msr >> 16 == 0xc001 ? 2 : 0;
	uint32_t bit = (range * 0x2000 + (msr & 0x1fff)) * 2;

	check((msr & 0xffff) < 0x2000 && (range || msr < 0x2000));
	map[bit / 8] |= what << bit % 8;
}

void svm_msr_prepare(uint8_t *map)
{
	msr_prepare(rows, ROWS, map_close, map);
}

void svm_msr(struct vcpu *v)
{
	unsigned length;

	if (!svm_length(v, 2, &length))
		return;
	if (msr_touch(v, rows, ROWS, vmcb_of(v)->exit_info1 & 1))
		svm_advance(v, length);
	else
		svm_inject(v, VECTOR_GP, true, 0);
}
