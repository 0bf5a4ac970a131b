/* SPDX-License-Identifier: MIT */
/* Events that an exit interrupted, and the guest's own NMIs (architecture section 6). */
#include "machine/apic.h"
#include "virt/vendor.h"
#include "virt/vmx/access.h"
#include "virt/vmx/vmx.h"

#define VECTOR_NMI 2u

static void block_nmis(bool on)
{
	uint64_t blocking = vmread(VMCS_GUEST_BLOCKING);

	vmwrite(VMCS_GUEST_BLOCKING, on ? blocking | BLOCKED_NMI : blocking & ~BLOCKED_NMI);
}

/* SDM vol. 3C 28.2.3-4: what an exit kept from being delivered is injected again. */
void vmx_event_exit(struct vcpu *v)
{
	struct vmx *x = vmx_of(v);

	x->event = 0;
	if (x->vectoring & EVENT_VALID) {
		x->event = x->vectoring & EVENT_MASK & ~EVENT_UNBLOCKED;
		if (x->event & EVENT_ERROR)
			x->event_error = (uint32_t)vmread(VMCS_VECTORING_ERROR);
		x->event_length = (uint32_t)vmread(VMCS_LENGTH);
		/* It is not in its handler yet, and would not be injected into one. */
		if ((x->event & EVENT_TYPE) == EVENT_NMI_TYPE)
			block_nmis(false);
	} else if ((x->reason & REASON_MASK) == REASON_EPT &&
		   x->qualification & EPT_QUALIFY_UNBLOCKED) {
		/* An IRET had ended its handler, and will be executed again. */
		block_nmis(true);
	}
}

static void window(bool on)
{
	uint64_t proc = vmread(VMCS_PROC);
	uint64_t wanted = on ? proc | PROC_NMI_WINDOW : proc & ~(uint64_t)PROC_NMI_WINDOW;

	if (wanted != proc)
		vmwrite(VMCS_PROC, wanted);
}

void vmx_event_entry(struct vcpu *v)
{
	struct vmx *x = vmx_of(v);
	uint64_t blocking = vmread(VMCS_GUEST_BLOCKING);

	/* While it is stepped the guest takes none; that ends with an exit. */
	if (v->nmi_pending && v->step == STEP_NONE && !x->event &&
		!(blocking & (BLOCKED_NMI | BLOCKED_MOV_SS))) {
		/* Some CPUs open the window in STI's shadow and refuse the injection there. */
		if (blocking & BLOCKED_STI)
			vmwrite(VMCS_GUEST_BLOCKING, blocking & ~(uint64_t)BLOCKED_STI);
		x->event = EVENT_VALID | EVENT_NMI_TYPE | VECTOR_NMI;
		v->nmi_pending = false;
	}
	window(v->nmi_pending && v->step == STEP_NONE);
	vmwrite(VMCS_ENTRY_EVENT, x->event);
	if (x->event & EVENT_ERROR)
		vmwrite(VMCS_ENTRY_ERROR, x->event_error);
	if ((x->event & EVENT_TYPE) >= EVENT_SOFTWARE)
		vmwrite(VMCS_ENTRY_LENGTH, x->event_length);
}

void vmx_event_nmi(struct vcpu *v)
{
	(void)v;
	take_nmi();
}

/*
 * The APIC masks the counters' entry when it has sent their NMI (SDM vol. 3A 11.5.1); so one that the
 * guest left open and that is masked now has been sent since.
 */
bool vmx_event_counters(struct vcpu *v)
{
	if (!v->counters_open || !apic_counters_masked())
		return false;
	v->counters_open = false;
	return true;
}
