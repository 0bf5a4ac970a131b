/* SPDX-License-Identifier: MIT */
/*
 * Replaying one instruction that the SLAT refused outside the far window, without decoding it: the
 * vCPU runs it alone, with TF set, interrupts masked, every exception intercepted, and a root of its
 * own in which the page leads to a scratch page. Absent memory gives ones and swallows writes, as on
 * a machine; a write to the APIC's page is then looked at and done (apic_trap.h).
 */
#ifndef ANNEX_STEP_H
#define ANNEX_STEP_H

#include "virt/vcpu.h"

void step_begin(struct vcpu *v, enum step_kind kind, uint64_t gpa);

/*
 * The same for INS and OUTS on a hidden port, whose memory side only the CPU can do: one iteration
 * runs with DX naming a port that nobody has.
 */
void step_begin_port(struct vcpu *v);

/* The instruction is through (trap), or the VMM has done it itself. */
void step_end(struct vcpu *v);

/* Breakpoints that it hit: B0..B3 of DR6 may also stand for ones that DR7 has off. */
static inline uint64_t step_hits(uint64_t dr6, uint64_t dr7)
{
	uint64_t hits = 0;

	for (unsigned i = 0; i < 4; i++)
		hits |= dr6 & (dr7 >> 2 * i & 3 ? 1ull << i : 0);
	return hits;
}

/* It raised an exception instead: nothing has happened, the guest gets the exception. */
void step_cancel(struct vcpu *v);

#endif
