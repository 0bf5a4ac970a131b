/* SPDX-License-Identifier: MIT */
/* Monotonic time from the invariant TSC, calibrated once against the ACPI PM timer (or PIT). */
#ifndef ANNEX_CLOCK_H
#define ANNEX_CLOCK_H

#include <stdint.h>

void clock_init(void); /* boot CPU, once */
uint64_t clock_now(void); /* ns since clock_init(); any CPU */
uint64_t clock_tsc(uint64_t ns); /* a duration in TSC ticks */
void clock_wait(uint64_t ns); /* spins */

#endif
