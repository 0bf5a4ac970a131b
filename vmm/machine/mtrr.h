/* SPDX-License-Identifier: MIT */
/*
 * Memory types (SDM vol. 3A 12.11; APM vol. 2 7.7): all CPUs must agree, and INIT leaves a started
 * CPU with what its reset gave it.
 */
#ifndef ANNEX_MTRR_H
#define ANNEX_MTRR_H

/* Boot CPU: remembers what the firmware set. */
void mtrr_save(void);

/* Other CPUs, one at a time, before anything else uses memory types: the same. */
void mtrr_load(void);

#endif
