/* SPDX-License-Identifier: MIT */
/*
 * MSRs that are not simply the machine's, as tables of rows: the vendor's own, and those of both.
 * Outside the ranges of a vendor's map every access exits and gets #GP: KVM's and Hyper-V's lie there.
 */
#ifndef ANNEX_MSR_H
#define ANNEX_MSR_H

#include <stdbool.h>
#include <stdint.h>
#include "virt/vcpu.h"

#define MSR_READS  1u
#define MSR_WRITES 2u

struct msr_row {
	uint32_t first, last;
	unsigned what; /* MSR_READS, MSR_WRITES: intercepted */
	/* Reads into or writes from *value; false: #GP. */
	bool (*access)(struct vcpu *v, bool write, uint64_t *value);
};

/* For rows: there is no such MSR. */
bool msr_absent(struct vcpu *v, bool write, uint64_t *value);

/* Calls close for every MSR of the vendor's rows and of the common ones. Boot. */
void msr_prepare(const struct msr_row *own, unsigned count,
	void (*close)(uint8_t *map, uint32_t msr, unsigned what), uint8_t *map);

/* Does the guest's RDMSR or WRMSR, but for the RIP; false: #GP. Moves v->tsc_offset. */
bool msr_touch(struct vcpu *v, const struct msr_row *own, unsigned count, bool write);

#endif
