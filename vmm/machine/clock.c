/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include "lib/log.h"
#include "lib/panic.h"
#include "machine/acpi.h"
#include "machine/clock.h"
#include "machine/x86.h"

#define PM_TIMER_HZ   3579545u /* ACPI 6.4, 4.8.3.3 */
#define PM_TIMER_MASK 0xffffffu
#define PIT_HZ        1193182u
#define MEASURE_MS    20u

static uint64_t tsc_start;
static uint64_t tsc_hz;
static uint64_t ns_per_tick; /* 32.32 fixed point */
static uint64_t ticks_per_ns; /* 32.32 fixed point */

/* 0 if the timer stands still. */
static uint64_t measure_pm_timer(uint16_t port)
{
	uint32_t want = PM_TIMER_HZ / 1000 * MEASURE_MS, passed = 0, last, now;
	uint64_t begin, limit = 0;

	last = in32(port) & PM_TIMER_MASK;
	begin = rdtsc();
	while (passed < want) {
		now = in32(port) & PM_TIMER_MASK;
		passed += (now - last) & PM_TIMER_MASK;
		last = now;
		if (++limit > 10000000)
			return 0;
	}
	return (rdtsc() - begin) * PM_TIMER_HZ / passed;
}

/* Channel 2 in mode 0, gate by port 0x61 (8254 data sheet). */
static uint64_t measure_pit(void)
{
	uint32_t count = PIT_HZ / 1000 * MEASURE_MS;
	uint8_t gate = in8(0x61);
	uint64_t begin, ticks, limit = 0;

	out8(0x61, (gate & ~2u) | 1u);
	out8(0x43, 0xb0);
	out8(0x42, count & 0xff);
	out8(0x42, (uint8_t)(count >> 8));
	begin = rdtsc();
	while (!(in8(0x61) & 0x20)) {
		if (++limit > 100000000)
			panic_boot("neither the ACPI PM timer nor the PIT runs: no clock");
	}
	ticks = rdtsc() - begin;
	out8(0x61, gate);
	return ticks * PIT_HZ / count;
}

void clock_init(void)
{
	uint16_t port = acpi_pm_timer();
	const char *source = "ACPI PM timer";

	if (port)
		tsc_hz = measure_pm_timer(port);
	if (!tsc_hz) {
		source = "PIT";
		tsc_hz = measure_pit();
	}
	if (tsc_hz < 1000000)
		panic_boot("the TSC runs at %lu Hz, too slow to be a clock", (unsigned long)tsc_hz);
	ns_per_tick = (1000000000ull << 32) / tsc_hz;
	ticks_per_ns = (tsc_hz << 30) / 1000000000u << 2;
	tsc_start = rdtsc();
	log_info("clock: TSC at %lu kHz by the %s", (unsigned long)(tsc_hz / 1000), source);
}

uint64_t clock_now(void)
{
	return (unsigned __int128)(rdtsc() - tsc_start) * ns_per_tick >> 32;
}

uint64_t clock_tsc(uint64_t ns)
{
	return (unsigned __int128)ns * ticks_per_ns >> 32;
}

void clock_wait(uint64_t ns)
{
	uint64_t end = rdtsc() + clock_tsc(ns);

	while (rdtsc() < end)
		cpu_relax();
}
