/* SPDX-License-Identifier: MIT */
/* VMREAD and VMWRITE on the CPU's current VMCS: its own vCPU's. Tests have their own. */
#ifndef ANNEX_VMX_ACCESS_H
#define ANNEX_VMX_ACCESS_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/panic.h"
#include "virt/vmx/vmcs.h"

static inline uint64_t vmread(enum vmcs_field field)
{
	uint64_t value;

	__asm__ volatile("vmread %1, %0" : "=r"(value) : "r"((uint64_t)field) : "cc");
	return value;
}

static inline void vmwrite(enum vmcs_field field, uint64_t value)
{
	bool failed;

	__asm__ volatile("vmwrite %2, %1"
			 : "=@ccbe"(failed)
			 : "r"((uint64_t)field), "r"(value)
			 : "memory");
	check(!failed);
}

static inline void write_cr2(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr2" ::"r"(value));
}

static inline uint64_t read_dr6(void)
{
	uint64_t value;

	__asm__ volatile("mov %%dr6, %0" : "=r"(value));
	return value;
}

static inline void write_dr6(uint64_t value)
{
	__asm__ volatile("mov %0, %%dr6" ::"r"(value));
}

/* Lets NMIs in again, and counts the one whose exit has kept them out, as their gate does. */
static inline void take_nmi(void)
{
	__asm__ volatile("int $2" ::: "memory");
}

#endif
