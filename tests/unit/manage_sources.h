/* SPDX-License-Identifier: MIT */
/* What the reports ask: fixed answers, as large as they can be where that matters. */
#ifndef ANNEX_TESTS_MANAGE_SOURCES_H
#define ANNEX_TESTS_MANAGE_SOURCES_H

#include "far/far.h"
#include "fabric/fabric.h"

extern struct far_counters far_totals;
extern struct fabric_counters fabric_totals;
extern struct far_histograms times;
extern unsigned virt_rows; /* exits that have a counter */

#endif
