/* SPDX-License-Identifier: MIT */
/* What the service loop needs of its CPU. */
#ifndef ANNEX_CORE_H
#define ANNEX_CORE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Checksums chosen. shared: the CPU is a vCPU too, so that its SSE registers and its APIC are the
 * guest's; else SSE on, APIC on.
 */
void core_prepare(bool shared);

/* Random numbers from RDRAND and the TSC: to be fresh at each boot, not to be secret. */
uint64_t core_random(void);

/*
 * Service core only: interrupts on, HLT, interrupts off again. One that is pending ends the HLT at
 * once.
 */
void core_halt(void);

#endif
