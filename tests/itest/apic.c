/* SPDX-License-Identifier: MIT */
#include "itest.h"

#define BASE_X2   (1u << 10)
#define BASE_MASK 0x000ffffffffff000ull
#define MSR_X2    0x800u

#define SVR_ON       0x100u
#define DIVIDE_BY_1  0x0bu
#define ICR_BUSY     0x1000u
#define TICKS_PER_US 1000u /* of the TSC, at least on the emulators; only for pauses */

static bool x2(void)
{
	return rdmsr(MSR_APIC_BASE) & BASE_X2;
}

static volatile uint32_t *reg(unsigned r)
{
	return (volatile uint32_t *)((rdmsr(MSR_APIC_BASE) & BASE_MASK) + r);
}

uint32_t apic_read(unsigned r)
{
	return x2() ? (uint32_t)rdmsr(MSR_X2 + r / 16) : *reg(r);
}

void apic_write(unsigned r, uint32_t value)
{
	if (x2())
		wrmsr(MSR_X2 + r / 16, value);
	else
		*reg(r) = value;
}

void apic_send(uint32_t to, uint32_t command)
{
	if (x2()) {
		wrmsr(MSR_X2 + APIC_ICR / 16, (uint64_t)to << 32 | command);
		return;
	}
	apic_write(APIC_ICR2, to << 24);
	apic_write(APIC_ICR, command);
	while (apic_read(APIC_ICR) & ICR_BUSY)
		cpu_relax();
}

uint32_t apic_id(void)
{
	return x2() ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
}

void apic_init(void)
{
	apic_write(APIC_SVR, SVR_ON | VECTOR_SPURIOUS);
	apic_write(APIC_DIVIDE, DIVIDE_BY_1);
	apic_write(APIC_TIMER, VECTOR_TIMER);
}

void apic_timer(uint32_t ticks)
{
	apic_write(APIC_INITIAL, ticks);
}

void apic_wait_us(unsigned us)
{
	uint64_t end = rdtsc() + (uint64_t)us * TICKS_PER_US;

	while (rdtsc() < end)
		cpu_relax();
}
