/* SPDX-License-Identifier: MIT */
/* What the scripted agent of vmm.c reports. */
#ifndef ANNEX_VMM_REPORT_H
#define ANNEX_VMM_REPORT_H

#include <stddef.h>

/* Writes the report of an agent in that mode (see vmm.c); returns its bytes. */
size_t vmm_report(const char *mode, void *out);

#endif
