/* SPDX-License-Identifier: MIT */
/* The management channel of a VMM that has stopped. */
#ifndef ANNEX_STOPPED_H
#define ANNEX_STOPPED_H

#include <stdbool.h>

/*
 * On the CPU that stopped the others, interrupts off: answers `status` with this state ("refused",
 * "stopped") and reason, and `log`, for ever. Uses port, clock, log and its own memory only. may_halt:
 * the CPU's APIC is the VMM's (no guest has run on it); otherwise it spins.
 */
_Noreturn void stopped_run(const char *state, const char *reason, bool may_halt);

#endif
