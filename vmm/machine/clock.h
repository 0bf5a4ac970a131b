/* SPDX-License-Identifier: MIT */
/* Monotonic time from the invariant TSC, calibrated once against the ACPI PM timer (or PIT). */
#ifndef ANNEX_CLOCK_H
#define ANNEX_CLOCK_H

#include <stdint.h>

void clock_init(void); /* boot CPU, once */
uint64_t clock_now(void); /* ns since clock_init(); any CPU */
uint64_t clock_tsc(uint64_t ns); /* a duration in TSC ticks */
void clock_wait(uint64_t ns); /* spins */

/*
 * A counter and the TSC at one moment: the tightest of several readings, because on an emulated or
 * loaded machine any time can pass between two instructions.
 */
struct clock_sample {
	uint64_t tsc;
	uint32_t value;
};

struct clock_sample clock_sample(uint32_t (*read)(void));

#endif
