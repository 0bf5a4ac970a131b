/* SPDX-License-Identifier: MIT */
/* Extended page tables (SDM vol. 3C 29.3.2, 29.3.7). */
#ifndef ANNEX_EPT_H
#define ANNEX_EPT_H

#include "slat/slat.h"

/* Constant once ept_choose() was called. */
extern struct slat_tables ept_tables;

/* Boot: whether the CPU keeps accessed and dirty bits in them (SDM vol. 3C 29.3.5). */
void ept_choose(bool accessed_dirty);

/* The EPT pointer for a root. */
uint64_t ept_pointer(const void *root);

#endif
