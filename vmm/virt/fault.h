/* SPDX-License-Identifier: MIT */
/* Violations of the SLAT: in the far window the service core's, outside it ours. */
#ifndef ANNEX_FAULT_H
#define ANNEX_FAULT_H

#include <stdbool.h>
#include <stdint.h>
#include "virt/vcpu.h"

/*
 * The guest touched gpa and the SLAT refused. On return the guest may go on: a far page is there, or
 * the access is to be replayed against what it gets (step.h).
 */
void fault_handle(struct vcpu *v, uint64_t gpa, bool write);

#endif
