/* SPDX-License-Identifier: MIT */
#include "machine/apic.h"
#include "machine/clock.h"
#include "service/service.h"
#include "virt/idle.h"
#include "virt/vendor.h"

/* An 8259's interrupt does not show in the APIC, so the guest looks itself: HLT may end early. */
#define LONGEST_NS 4000000ull
/* Between looks at the APIC, whose registers cost an emulator its big lock. */
#define LOOK_NS 20000ull

bool idle_halt(struct vcpu *v, bool interrupts)
{
	uint64_t now = clock_now(), end = now + LONGEST_NS, look = now;

	for (;;) {
		service_turn();
		now = clock_now();
		if (now < look)
			continue;
		look = now + LOOK_NS;
		virt_vendor->open();
		virt_sort_nmis(v);
		if (v->nmi_pending)
			return false;
		if (interrupts && apic_pending())
			return true;
		/* Who halts with interrupts off waits for an NMI or for the end. */
		if (interrupts && now >= end)
			return false;
	}
}
