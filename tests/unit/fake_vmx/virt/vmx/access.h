/* SPDX-License-Identifier: MIT */
/* Stands in for the CPU's VMCS: tests/unit/vmx_test.c holds the fields. */
#ifndef ANNEX_VMX_ACCESS_H
#define ANNEX_VMX_ACCESS_H

#include <stdint.h>
#include "virt/vmx/vmcs.h"

uint64_t vmread(enum vmcs_field field);
void vmwrite(enum vmcs_field field, uint64_t value);
void take_nmi(void);

#endif
