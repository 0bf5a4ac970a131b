/* SPDX-License-Identifier: MIT */
#include "lib/text.h"
#include "machine/idt.h"
#include "machine/layout.h"
#include "machine/memory.h"
#include "machine/registers.h"
#include "machine/x86.h"
#include "slat/npt.h"
#include "virt/insn.h"
#include "virt/ports.h"
#include "virt/step.h"
#include "virt/svm/svm.h"
#include "virt/vendor.h"
#include "virt/virt.h"

#define MSR_VM_CR    0xc0010114u
#define MSR_VM_HSAVE 0xc0010117u
#define VM_CR_SVMDIS (1u << 4)

#define DR6_HIT 0xfull

#define VECTOR_GP 13u

/*
 * The host runs with the guest's choice of PSE, PGE, SMEP and SMAP where it can: emulated CPUs throw
 * all translations away whenever one of them changes.
 */
#define CR4_MIRROR (CR4_PSE | CR4_PGE | CR4_SMEP | CR4_SMAP)

#define IOPM_BYTES  0x3000u
#define MSRPM_BYTES 0x2000u

struct svm_features svm_features;
static uint8_t *io_map, *msr_map;

static const char *missing(void)
{
	struct cpuid leaf;

	if (!(cpuid(0x80000001, 0).ecx >> 2 & 1))
		return "SVM (AMD virtualisation; under QEMU: -cpu max or host)";
	if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS)
		return "SVM (switched off by the firmware)";
	leaf = cpuid(0x8000000a, 0);
	if (!(leaf.edx & 1))
		return "nested paging";
	svm_features.asids = leaf.ebx;
	svm_features.next_rip = leaf.edx >> 3 & 1;
	svm_features.flush_by_asid = leaf.edx >> 6 & 1;
	svm_features.counters_extended = cpuid(0x80000001, 0).ecx >> 23 & 1;
	idt_set(2, svm_nmi);
	return NULL;
}

static bool giant(void)
{
	return cpuid(0x80000001, 0).edx >> 26 & 1;
}

static void prepare(void)
{
	io_map = memory_take(IOPM_BYTES, 4096, "I/O permission map");
	msr_map = memory_take(MSRPM_BYTES, 4096, "MSR permission map");
	ports_close(virt_cpus(), io_map);
	svm_msr_prepare(msr_map);
}

static void cpu_init_svm(unsigned cpu)
{
	static uint8_t save[LAYOUT_CPUS][4096] __attribute__((aligned(4096)));

	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE, (uintptr_t)save[cpu]);
}

static void make(struct vcpu *v)
{
	struct svm *s = memory_take(sizeof(*s), 64, "vCPU");

	s->vmcb = memory_take(4096, 4096, "VMCB");
	v->vendor = s;
}

static void segment(struct vmcb_segment *s, uint16_t selector, uint16_t attributes, uint32_t limit)
{
	*s = (struct vmcb_segment){selector, attributes, limit, 0};
}

/* What is the same however this CPU begins. */
static struct vmcb *fresh(struct vcpu *v)
{
	struct svm *s = svm_of(v);
	struct vmcb *m = s->vmcb;

	*m = (struct vmcb){
		.intercept3 = VMCB_NMI | VMCB_CPUID | VMCB_INVD | VMCB_INVLPGA | VMCB_IOIO |
			      VMCB_MSR | VMCB_SHUTDOWN,
		.intercept4 = VMCB_SVM_INSNS | VMCB_MONITORS,
		.iopm = (uintptr_t)io_map,
		.msrpm = (uintptr_t)msr_map,
		.asid = 1,
		.nested_paging = 1,
		.nested_cr3 = (uintptr_t)virt_slat.root,
		.dr6 = DR6_RESET,
		.dr7 = DR7_RESET,
		.pat = PAT_RESET,
	};
	segment(&m->ldtr, 0, VMCB_ATTR_LDT, 0xffff);
	segment(&m->tr, 0, VMCB_ATTR_TSS, 0xffff);
	segment(&m->idtr, 0, 0, 0);
	segment(&m->gdtr, 0, 0, 0xffff);
	s->host_cr4 = read_cr4();
	s->nmi_blocked = s->iret_reached = s->iret_stepped = false;
	v->step = STEP_NONE;
	v->rflags = 2;
	for (unsigned i = 0; i < 16; i++)
		v->gpr[i] = 0;
	svm_window_close(v);
	return m;
}

static void begin(struct vcpu *v, const struct virt_entry *entry)
{
	struct vmcb *m = fresh(v);

	segment(&m->cs, 0x10, VMCB_ATTR_CODE64, UINT32_MAX);
	segment(&m->ds, 0x18, VMCB_ATTR_DATA32, UINT32_MAX);
	m->es = m->ss = m->fs = m->gs = m->ds;
	m->gdtr.base = entry->gdt;
	m->gdtr.limit = entry->gdt_limit;
	m->cr0 = CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_PE;
	m->cr3 = entry->cr3;
	m->cr4 = CR4_PAE;
	m->efer = EFER_SVME | EFER_LME | EFER_LMA;
	v->rip = entry->rip;
	v->gpr[GPR_RSI] = entry->rsi;
	svm_load((uintptr_t)m);
}

/* The state after INIT and SIPI (APM vol. 2 14.1.3, 15.28; vol. 3 for EDX). */
static void startup(struct vcpu *v, uint8_t page)
{
	struct vmcb *m = fresh(v);

	segment(&m->ds, 0, VMCB_ATTR_DATA16, 0xffff);
	m->es = m->ss = m->fs = m->gs = m->ds;
	segment(&m->cs, page << 8, VMCB_ATTR_CODE16, 0xffff);
	m->cs.base = (uint64_t)page << 12;
	segment(&m->idtr, 0, 0, 0xffff);
	m->cr0 = CR0_CD | CR0_NW | CR0_ET;
	m->efer = EFER_SVME;
	v->rip = 0;
	v->gpr[GPR_RDX] = cpuid(1, 0).eax;
	svm_load((uintptr_t)m);
}

static void mirror_cr4(struct svm *s)
{
	uint64_t cr4 = (s->host_cr4 & ~CR4_MIRROR) | (s->vmcb->cr4 & CR4_MIRROR);

	if (cr4 != s->host_cr4) {
		write_cr4(cr4);
		s->host_cr4 = cr4;
	}
}

/*
 * CPUs answer these with #GP. QEMU's emulation lets the guest do it, and then VMRUN would refuse the
 * whole guest (15.5.1).
 */
static void mend(struct vcpu *v)
{
	struct vmcb *m = vmcb_of(v);

	if ((m->cr0 & (CR0_NW | CR0_CD)) != CR0_NW && !((m->dr6 | m->dr7) >> 32))
		return;
	if (!(m->cr0 & CR0_CD))
		m->cr0 &= ~CR0_NW;
	m->dr6 &= UINT32_MAX;
	m->dr7 &= UINT32_MAX;
	if (!(m->event & VMCB_EVENT_VALID))
		svm_inject(v, VECTOR_GP, true, 0);
}

static void run(struct vcpu *v, bool flush)
{
	struct svm *s = svm_of(v);
	struct vmcb *m = s->vmcb;

	mend(v);
	svm_event_entry(v);
	mirror_cr4(s);
	m->rax = v->gpr[GPR_RAX];
	m->rsp = v->gpr[GPR_RSP];
	m->rip = v->rip;
	m->rflags = v->rflags;
	m->tsc_offset = v->tsc_offset;
	m->clean = 0;
	m->tlb_control = !flush                       ? VMCB_TLB_NOTHING
			 : svm_features.flush_by_asid ? VMCB_TLB_GUEST
						      : VMCB_TLB_ALL;
	svm_enter((uintptr_t)m, v->gpr);
	v->gpr[GPR_RAX] = m->rax;
	v->gpr[GPR_RSP] = m->rsp;
	v->rip = m->rip;
	v->rflags = m->rflags;
}

void svm_inject(struct vcpu *v, unsigned vector, bool has_error, uint32_t error)
{
	vmcb_of(v)->event = VMCB_EVENT_VALID | VMCB_EVENT_EXCEPTION | vector |
			    (has_error ? VMCB_EVENT_ERROR | (uint64_t)error << 32 : 0);
}

void svm_advance(struct vcpu *v, unsigned length)
{
	struct vmcb *m = vmcb_of(v);

	v->rip += length;
	if (!(m->cs.attributes & VMCB_ATTR_LONG && m->efer & EFER_LMA))
		v->rip = (uint32_t)v->rip;
	m->interrupt_shadow &= ~(uint64_t)VMCB_SHADOW;
	if (v->step != STEP_NONE)
		step_end(v);
	/* The guest itself is stepping: it gets the trap that the instruction would have ended in. */
	if (v->rflags & FLAG_TF) {
		m->dr6 |= DR6_BS;
		svm_inject(v, 1, false, 0);
	}
}

bool svm_length(const struct vcpu *v, unsigned opcode, unsigned *length)
{
	if (!svm_features.next_rip)
		return insn_length(v, opcode, length);
	*length = (unsigned)(vmcb_of(v)->next_rip - v->rip);
	return true;
}

static void step(struct vcpu *v, bool on)
{
	struct svm *s = svm_of(v);
	struct vmcb *m = s->vmcb;

	if (on) {
		if (s->iret_stepped) {
			s->iret_stepped = false;
			v->rflags &= ~FLAG_TF;
		}
		s->saved_flags = v->rflags & (FLAG_TF | FLAG_IF);
		s->saved_dr6 = m->dr6;
		m->dr6 &= ~DR6_HIT; /* they stay until somebody clears them */
		v->rflags = (v->rflags & ~FLAG_IF) | FLAG_TF;
		m->intercept_exceptions = VMCB_ALL_EXCEPTIONS;
		m->nested_cr3 = (uintptr_t)v->detour.level[3];
		return;
	}
	v->rflags = (v->rflags & ~(FLAG_TF | FLAG_IF)) | s->saved_flags;
	m->dr6 = s->saved_dr6;
	m->intercept_exceptions = 0;
	m->nested_cr3 = (uintptr_t)virt_slat.root;
}

static bool delivering(const struct vcpu *v, unsigned *vector)
{
	const struct vmcb *m = vmcb_of(v);

	*vector = m->exit_event & 0xff;
	return m->exit_event & VMCB_EVENT_VALID;
}

static void paging(const struct vcpu *v, struct virt_paging *p)
{
	const struct vmcb *m = vmcb_of(v);

	p->cr0 = m->cr0;
	p->cr3 = m->cr3;
	p->cr4 = m->cr4;
	p->long_mode = m->efer & EFER_LMA;
	p->code64 = p->long_mode && (m->cs.attributes & VMCB_ATTR_LONG);
	p->cs_base = p->code64 ? 0 : m->cs.base;
	p->breakpoints = m->dr7 & DR7_ENABLED;
}

static uint64_t describe(
	const struct vcpu *v, struct virt_shown *shown, char *buffer, uint64_t size)
{
	const struct vmcb *m = vmcb_of(v);

	*shown = (struct virt_shown){m->cs.selector, m->cr0, m->cr2, m->cr3, m->cr4, m->efer};
	return text_format(buffer, size, "%s (0x%lx) info 0x%lx 0x%lx event 0x%lx",
		svm_exit_name(m->exit_code), m->exit_code, m->exit_info1, m->exit_info2,
		m->exit_event);
}

const struct virt_vendor svm_vendor = {
	.name = "AMD SVM with nested paging",
	.tables = &npt_tables,
	.missing = missing,
	.giant = giant,
	.prepare = prepare,
	.cpu_init = cpu_init_svm,
	.make = make,
	.begin = begin,
	.startup = startup,
	.close = svm_close,
	.open = svm_open,
	.run = run,
	.handle = svm_handle,
	.sleep = svm_sleep,
	.advance = svm_advance,
	.inject = svm_inject,
	.step = step,
	.delivering = delivering,
	.paging = paging,
	.overflowed = svm_counters_overflowed,
	.counter = svm_counter,
	.describe = describe,
};
