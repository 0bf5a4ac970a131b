/* SPDX-License-Identifier: MIT */
/* The vCPU's side of the doorbell (annex/doorbell.h). */
#ifndef ANNEX_BELL_H
#define ANNEX_BELL_H

#include <stdbool.h>
#include <stdint.h>
#include "virt/vcpu.h"

/*
 * The guest's IN: true if it was a request, which the service core has answered in its registers.
 * False: like any other hidden port. Whether the guest's program may use the port at all, its CPU has
 * looked at before: IOPL and the TSS's bit map come before the intercept (APM vol. 2 15.10.2, SDM
 * vol. 3C 26.1.1).
 */
bool bell_in(struct vcpu *v, uint16_t port, unsigned bytes);

#endif
