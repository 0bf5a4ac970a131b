/* SPDX-License-Identifier: MIT */
/*
 * The guest's performance counters (APM vol. 2 13.2.1). The guest alone programs them; here is only
 * asked whether one has overflowed. A counter that is to interrupt is set to minus its period, so its
 * top bit is clear from the overflow on until the guest's handler sets it anew.
 */
#include "machine/apic.h"
#include "machine/x86.h"
#include "virt/svm/svm.h"

#define MSR_SELECT          0xc0010000u
#define MSR_COUNTER         0xc0010004u
#define MSR_EXTENDED_SELECT 0xc0010200u /* select and counter in turn */

#define SELECT_INTERRUPT (1ull << 20)
#define SELECT_ENABLE    (1ull << 22)
#define SELECT_BOTH      (SELECT_INTERRUPT | SELECT_ENABLE)
#define COUNTER_TOP      (1ull << 47)

bool svm_counters_overflowed(struct vcpu *v)
{
	bool extended = svm_features.counters_extended;

	(void)v;
	if (!apic_counters_nmi())
		return false;
	for (unsigned i = 0; i < (extended ? 6 : 4); i++) {
		uint32_t select = extended ? MSR_EXTENDED_SELECT + 2 * i : MSR_SELECT + i;
		uint32_t counter = extended ? select + 1 : MSR_COUNTER + i;

		if ((rdmsr(select) & SELECT_BOTH) == SELECT_BOTH && !(rdmsr(counter) & COUNTER_TOP))
			return true;
	}
	return false;
}
