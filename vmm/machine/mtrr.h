/* SPDX-License-Identifier: MIT */
/*
 * Memory types (SDM vol. 3A 12.11; APM vol. 2 7.7): all CPUs must agree, and INIT leaves a started
 * CPU with what its reset gave it.
 */
#ifndef ANNEX_MTRR_H
#define ANNEX_MTRR_H

#include <stdbool.h>
#include <stdint.h>

/* Boot CPU: remembers what the firmware set. */
void mtrr_save(void);

/* Other CPUs, one at a time, before anything else uses memory types: the same. */
void mtrr_load(void);

/* Memory types by number (SDM vol. 3A table 12-2). */
#define MTRR_UC 0u
#define MTRR_WT 4u
#define MTRR_WB 6u

/*
 * The type of start..start+bytes, which is aligned to bytes, a power of two, as it was saved. False:
 * it has several. Boot, after mtrr_save().
 */
bool mtrr_type(uint64_t start, uint64_t bytes, uint8_t *type);

#endif
