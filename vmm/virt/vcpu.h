/* SPDX-License-Identifier: MIT */
/* One of the guest's CPUs. Its fields are its own CPU's, except the atomic ones. */
#ifndef ANNEX_VCPU_H
#define ANNEX_VCPU_H

#include <stdbool.h>
#include <stdint.h>
#include "slat/slat.h"
#include "virt/kick.h"

enum gpr {
	GPR_RAX,
	GPR_RCX,
	GPR_RDX,
	GPR_RBX,
	GPR_RSP,
	GPR_RBP,
	GPR_RSI,
	GPR_RDI,
};

/* How an access outside the far window is being replayed (step.h). */
enum step_kind {
	STEP_NONE,
	STEP_ABSENT, /* reads give ones, writes are ignored */
	STEP_APIC, /* the write is looked at, then done (apic_trap.h) */
	STEP_PORT, /* INS or OUTS on a hidden port: done on a port that is absent */
};

#define FLAG_TF (1ull << 8)
#define FLAG_IF (1ull << 9)
#define FLAG_RF (1ull << 16)

#define DR6_BS      (1ull << 14)
#define DR7_ENABLED 0xffull

#define VCPU_SIPI 0x100u /* with the start page in bits 0-7 */

struct vcpu {
	/* Guest registers while the VMM runs; entry.S knows that gpr[] comes first. */
	uint64_t gpr[16];
	uint64_t rip;
	uint64_t rflags;

	unsigned cpu;
	uint32_t apic_id;
	void *vendor; /* the vendor's part */
	bool flush; /* the next entry must flush, whatever the epoch says */
	bool nmi_pending; /* the guest is owed an NMI */

	uint64_t tsc_offset; /* the guest's counter minus the machine's */
	uint64_t tsc_adjust; /* its IA32_TSC_ADJUST */

	/* Replay of one instruction. */
	enum step_kind step;
	uint64_t step_gpa;
	uint64_t step_rdx; /* the guest's, while a port is replaced */
	uint8_t *step_page; /* what the detour leads to */
	struct slat_detour detour;

	/* What the guest's APIC is addressed by (logical mode), as far as its writes were seen. */
	uint32_t apic_ldr;
	uint32_t apic_dfr;
	bool counters_open; /* it has set its counters' entry to send NMIs */

	/* Sleep: the VMM wakes this CPU when *word is no longer value. */
	const _Atomic uint32_t *word;
	uint32_t value;
	_Atomic uint32_t asleep;

	/* NMIs: the gate counts arrivals. */
	struct kick kick;
	_Atomic uint32_t nmi_arrived;
	_Atomic uint32_t nmi_asked; /* another vCPU sent the guest an NMI */

	_Atomic uint32_t init_asked;
	_Atomic uint32_t waiting; /* for SIPI */
	_Atomic uint32_t sipi; /* VCPU_SIPI | page */
};

#endif
