/* SPDX-License-Identifier: MIT */
/* Stands in for the machine's MSRs and CPUID: the tests that use it answer. */
#ifndef ANNEX_X86_H
#define ANNEX_X86_H

#include <stdint.h>

#define MSR_APIC_BASE 0x1bu

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

struct cpuid cpuid(uint32_t leaf, uint32_t subleaf);
uint64_t rdmsr(uint32_t msr);
void wrmsr(uint32_t msr, uint64_t value);
uint64_t rdtsc(void);
uint64_t read_cr0(void);

#endif
