/* SPDX-License-Identifier: MIT */
/* Stands in for the machine's MSRs and ports: the tests that use it answer. */
#ifndef ANNEX_X86_H
#define ANNEX_X86_H

#include <stdint.h>

#define MSR_APIC_BASE 0x1bu

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

uint64_t rdmsr(uint32_t msr);
void wrmsr(uint32_t msr, uint64_t value);
uint8_t in8(uint16_t port);
void out8(uint16_t port, uint8_t value);

static inline struct cpuid cpuid(uint32_t leaf, uint32_t sub)
{
	return (struct cpuid){0};
}

static inline void cpu_relax(void)
{
}

#endif
