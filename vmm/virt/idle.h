/* SPDX-License-Identifier: MIT */
/* HLT on a machine with one CPU, where the service loop goes on while the guest has nothing to do. */
#ifndef ANNEX_IDLE_H
#define ANNEX_IDLE_H

#include <stdbool.h>
#include "virt/vcpu.h"

/*
 * The vCPU, out of the guest: turns the service loop until the guest is to go on. interrupts: it
 * takes them. True: an interrupt waits for it.
 */
bool idle_halt(struct vcpu *v, bool interrupts);

#endif
