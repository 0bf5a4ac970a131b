/* SPDX-License-Identifier: MIT */
#include "lib/crc.h"
#include "machine/apic.h"
#include "machine/registers.h"
#include "machine/x86.h"
#include "service/core.h"

#define CPUID_1_ECX_RDRAND (1u << 30)

static void own_cpu(void)
{
	uint64_t cr0 = (read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP;

	__asm__ volatile("mov %0, %%cr0" ::"r"(cr0) : "memory");
	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
	apic_enable();
	apic_refuse_exceptions();
}

void core_prepare(bool shared)
{
	if (!shared)
		own_cpu();
	crc_init(!shared);
}

static bool rdrand(uint64_t *value)
{
	bool good;

	__asm__ volatile("rdrand %0" : "=r"(*value), "=@ccc"(good));
	return good;
}

uint64_t core_random(void)
{
	static uint64_t state;
	uint64_t drawn = 0;

	if (cpuid(1, 0).ecx & CPUID_1_ECX_RDRAND)
		for (unsigned i = 0; i < 10 && !rdrand(&drawn); i++)
			continue;
	/* A step of splitmix64 spreads what the TSC's low bits have. */
	state += 0x9e3779b97f4a7c15ull ^ drawn ^ rdtsc();
	drawn = (state ^ state >> 30) * 0xbf58476d1ce4e5b9ull;
	drawn = (drawn ^ drawn >> 27) * 0x94d049bb133111ebull;
	return drawn ^ drawn >> 31;
}

void core_halt(void)
{
	/* STI takes effect behind the next instruction: no interrupt fits between the two. */
	__asm__ volatile("sti; hlt; cli" ::: "memory");
}
