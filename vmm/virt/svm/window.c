/* SPDX-License-Identifier: MIT */
/*
 * A machine with one CPU: interrupts give the service loop its turns, and stay the guest's. They are
 * intercepted, which leaves them pending in the APIC; the next stay in the guest has the window open,
 * that is, takes them without an exit. A virtual interrupt, which comes behind physical ones (APM vol.
 * 2 15.21), exits as soon as the guest could take another one, and the window is closed again.
 * QEMU's emulation drops the virtual interrupt when it takes a physical one; so the IRET that ends
 * the handler exits too.
 */
#include "machine/layout.h"
#include "virt/idle.h"
#include "virt/svm/svm.h"

void svm_window_close(struct vcpu *v)
{
	struct vmcb *m = vmcb_of(v);

	if (!layout_one_cpu())
		return;
	m->intercept3 = (m->intercept3 & ~(VMCB_VINTR | VMCB_IRET)) | VMCB_INTR | VMCB_HLT;
	if (svm_event_wants_iret(v))
		m->intercept3 |= VMCB_IRET;
	m->virtual_interrupt &= VMCB_VIRTUAL_TPR;
}

void svm_window_open(struct vcpu *v)
{
	struct vmcb *m = vmcb_of(v);

	m->intercept3 = (m->intercept3 & ~VMCB_INTR) | VMCB_VINTR | VMCB_IRET;
	m->virtual_interrupt |= VMCB_VIRTUAL_IRQ | VMCB_VIRTUAL_NO_TPR;
}

void svm_window_halt(struct vcpu *v)
{
	unsigned length;

	if (!svm_length(v, 1, &length))
		return;
	svm_advance(v, length);
	if (idle_halt(v, v->rflags & FLAG_IF))
		svm_window_open(v);
}
