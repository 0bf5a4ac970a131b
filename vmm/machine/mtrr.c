/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include "machine/mtrr.h"
#include "machine/x86.h"

#define MSR_CAP          0xfeu
#define MSR_VARIABLE     0x200u
#define MSR_DEFAULT_TYPE 0x2ffu
#define CAP_VARIABLE     0xffu
#define CAP_FIXED        0x100u
#define TYPE_ENABLED     0x800ull
#define VARIABLE_MAX     16u
#define CPUID_MTRR       (1u << 12)
#define CR0_CACHE_OFF    (1ull << 30)

static const uint16_t fixed[] = {
	0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f};

#define FIXED (sizeof(fixed) / sizeof(fixed[0]))

static struct {
	bool there;
	bool has_fixed;
	unsigned variables;
	uint64_t type;
	uint64_t fixed[FIXED];
	uint64_t variable[2 * VARIABLE_MAX];
} saved;

void mtrr_save(void)
{
	uint64_t cap;

	saved.there = cpuid(1, 0).edx & CPUID_MTRR;
	if (!saved.there)
		return;
	cap = rdmsr(MSR_CAP);
	saved.has_fixed = cap & CAP_FIXED;
	saved.variables = cap & CAP_VARIABLE;
	if (saved.variables > VARIABLE_MAX)
		saved.variables = VARIABLE_MAX;
	saved.type = rdmsr(MSR_DEFAULT_TYPE);
	for (unsigned i = 0; i < FIXED && saved.has_fixed; i++)
		saved.fixed[i] = rdmsr(fixed[i]);
	for (unsigned i = 0; i < 2 * saved.variables; i++)
		saved.variable[i] = rdmsr(MSR_VARIABLE + i);
}

static void write_cr0(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr0" ::"r"(value) : "memory");
}

/* SDM vol. 3A 12.11.8, for one CPU: caches off and empty, MTRRs off, written, and all on again. */
void mtrr_load(void)
{
	uint64_t cr0 = read_cr0();

	if (!saved.there)
		return;
	write_cr0(cr0 | CR0_CACHE_OFF);
	__asm__ volatile("wbinvd" ::: "memory");
	wrmsr(MSR_DEFAULT_TYPE, saved.type & ~TYPE_ENABLED);
	for (unsigned i = 0; i < FIXED && saved.has_fixed; i++)
		wrmsr(fixed[i], saved.fixed[i]);
	for (unsigned i = 0; i < 2 * saved.variables; i++)
		wrmsr(MSR_VARIABLE + i, saved.variable[i]);
	wrmsr(MSR_DEFAULT_TYPE, saved.type);
	__asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3; wbinvd" ::: "rax", "memory");
	write_cr0(cr0);
}
