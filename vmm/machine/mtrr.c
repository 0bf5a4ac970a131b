/* SPDX-License-Identifier: MIT */
#include "machine/mtrr.h"
#include "machine/registers.h"
#include "machine/x86.h"

#define MSR_CAP          0xfeu
#define MSR_VARIABLE     0x200u
#define MSR_DEFAULT_TYPE 0x2ffu
#define CAP_VARIABLE     0xffu
#define CAP_FIXED        0x100u
#define TYPE_ENABLED     0x800ull
#define TYPE_FIXED       0x400ull
#define MASK_VALID       0x800ull
#define ADDRESS          0xfffffffff000ull
#define FIXED_END        0x100000ull
#define VARIABLE_MAX     16u
#define CPUID_MTRR       (1u << 12)

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
	write_cr0(cr0 | CR0_CD);
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

/* 64 KiB, 16 KiB and 4 KiB a type, eight types a register (SDM vol. 3A 12.11.2.2). */
static uint8_t fixed_type(uint64_t at)
{
	unsigned n = at < 0x80000   ? (unsigned)(at >> 16)
		     : at < 0xc0000 ? 8 + (unsigned)((at - 0x80000) >> 14)
				    : 24 + (unsigned)((at - 0xc0000) >> 12);

	return saved.fixed[n / 8] >> n % 8 * 8 & 0xff;
}

/* Where several speak: UC wins, then WT over WB; anything else is undefined, so UC (12.11.4.1). */
static uint8_t both(uint8_t a, uint8_t b)
{
	if (a == b)
		return a;
	if ((a == MTRR_WT && b == MTRR_WB) || (a == MTRR_WB && b == MTRR_WT))
		return MTRR_WT;
	return MTRR_UC;
}

static bool variable_type(uint64_t start, uint64_t bytes, uint8_t *type)
{
	bool found = false;

	for (unsigned i = 0; i < saved.variables; i++) {
		uint64_t base = saved.variable[2 * i], mask = saved.variable[2 * i + 1];
		uint64_t inside = mask & ADDRESS & (bytes - 1), above = mask & ADDRESS & ~inside;
		uint8_t own = base & 0xff;

		if (!(mask & MASK_VALID) || ((base ^ start) & above))
			continue;
		if (inside)
			return false;
		*type = found ? both(*type, own) : own;
		found = true;
	}
	if (!found)
		*type = saved.type & 0xff;
	return true;
}

bool mtrr_type(uint64_t start, uint64_t bytes, uint8_t *type)
{
	*type = MTRR_UC;
	if (!saved.there || !(saved.type & TYPE_ENABLED))
		return true;
	if (start < FIXED_END && saved.has_fixed && saved.type & TYPE_FIXED) {
		*type = fixed_type(start);
		return bytes <= 4096;
	}
	return variable_type(start, bytes, type);
}
