/* SPDX-License-Identifier: MIT */
/* Events that an exit interrupted, and the guest's own NMIs (architecture section 6). */
#include "virt/insn.h"
#include "virt/svm/svm.h"
#include "virt/vendor.h"

#define VECTOR_NMI 2u
#define VECTOR_BP  3u
#define VECTOR_OF  4u

/* What to put into EVENTINJ for an interrupted delivery (15.20), or 0. */
static uint64_t again(uint64_t event)
{
	unsigned vector = event & 0xff;

	if (!(event & VMCB_EVENT_VALID))
		return 0;
	switch (event & VMCB_EVENT_TYPE) {
	case VMCB_EVENT_SOFTWARE:
		return 0; /* executed again */
	case VMCB_EVENT_EXCEPTION:
		if (vector == VECTOR_BP || vector == VECTOR_OF)
			return 0;
		/* QEMU's emulation reports interrupts as exceptions; no exception has such numbers. */
		if (vector >= 32)
			return (event & ~(uint64_t)VMCB_EVENT_TYPE) | VMCB_EVENT_INTERRUPT;
		if (vector == VECTOR_NMI)
			return (event & ~(uint64_t)VMCB_EVENT_TYPE) | VMCB_EVENT_NMI;
	}
	return event;
}

void svm_event_exit(struct vcpu *v)
{
	struct svm *s = svm_of(v);

	s->vmcb->event = again(s->vmcb->exit_event);
	if (s->iret_reached && v->rip != s->iret_rip)
		s->nmi_blocked = s->iret_reached = false;
}

void svm_event_entry(struct vcpu *v)
{
	struct svm *s = svm_of(v);
	struct vmcb *m = s->vmcb;

	if (!v->nmi_pending || v->step != STEP_NONE)
		return;
	if (!s->nmi_blocked) {
		if (m->event & VMCB_EVENT_VALID || m->interrupt_shadow & VMCB_SHADOW) {
			/* Its turn comes at the next exit; without one at the kick that makes it. */
			virt_kick(v->cpu);
			return;
		}
		m->event = VMCB_EVENT_VALID | VMCB_EVENT_NMI | VECTOR_NMI;
		m->intercept3 |= VMCB_IRET;
		s->nmi_blocked = true;
		v->nmi_pending = false;
	} else if (s->iret_reached && !s->iret_stepped) {
		/* Its handler is at the IRET: the next NMI comes when that one is through. */
		s->iret_stepped = true;
		v->rflags |= FLAG_TF;
		m->intercept_exceptions = VMCB_ALL_EXCEPTIONS;
	}
}

bool svm_event_wants_iret(const struct vcpu *v)
{
	return svm_of(v)->nmi_blocked && !svm_of(v)->iret_reached;
}

void svm_event_iret(struct vcpu *v)
{
	struct svm *s = svm_of(v);

	/* Else it was of interest to the window only. */
	if (!svm_event_wants_iret(v))
		return;
	s->vmcb->intercept3 &= ~VMCB_IRET;
	s->iret_reached = true;
	s->iret_rip = v->rip;
}

bool svm_event_trap(struct vcpu *v)
{
	struct svm *s = svm_of(v);
	bool trap = s->vmcb->exit_code == 0x41;

	if (!s->iret_stepped)
		return false;
	s->iret_stepped = s->iret_reached = s->nmi_blocked = false;
	s->vmcb->intercept_exceptions = 0;
	if (trap)
		s->vmcb->dr6 &= ~DR6_BS;
	else
		v->rflags &= ~FLAG_TF;
	return trap;
}

void svm_event_nmi(struct vcpu *v)
{
	struct vmcb *m = vmcb_of(v);

	svm_open();
	/*
	 * Between STI and HLT: where the shadow is lost at the entry (QEMU 7.2), an interrupt would
	 * slip in and the HLT sleep over it. A HLT that ends early is legal.
	 */
	if (m->interrupt_shadow & VMCB_SHADOW && insn_is_hlt(v))
		svm_advance(v, 1);
}
