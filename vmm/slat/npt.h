/* SPDX-License-Identifier: MIT */
/* Nested page tables: the bits of AMD64 long-mode tables (APM vol. 2 15.25.5, 5.4.1). */
#ifndef ANNEX_NPT_H
#define ANNEX_NPT_H

#include "slat/slat.h"

extern const struct slat_tables npt_tables;

#endif
