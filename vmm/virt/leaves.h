/* SPDX-License-Identifier: MIT */
/* The guest's CPUID: the machine's, without what the VMM keeps. */
#ifndef ANNEX_LEAVES_H
#define ANNEX_LEAVES_H

#include "virt/vcpu.h"

/* Executes CPUID for the guest: RAX, RCX in; RAX..RDX out. cr4 is the guest's. */
void leaves_cpuid(struct vcpu *v, uint64_t cr4);

#endif
