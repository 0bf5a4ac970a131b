/* SPDX-License-Identifier: MIT */
/* What the service loop needs of its own CPU. Service core only. */
#ifndef ANNEX_CORE_H
#define ANNEX_CORE_H

#include <stdint.h>

/* SSE on (it carries no guest state in its registers), checksums chosen, APIC on. */
void core_prepare(void);

/* Random numbers from RDRAND and the TSC: to be fresh at each boot, not to be secret. */
uint64_t core_random(void);

/* Interrupts on, HLT, interrupts off again. One that is pending ends the HLT at once. */
void core_halt(void);

#endif
