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
#define SAMPLE_TRIES  20u

static uint16_t pm_port;
static uint64_t tsc_start;
static uint64_t tsc_hz;
static uint64_t ns_per_tick; /* 32.32 fixed point */
static uint64_t ticks_per_ns; /* 32.32 fixed point */

struct clock_sample clock_sample(uint32_t (*read)(void))
{
	struct clock_sample best = {0};
	uint64_t tightest = UINT64_MAX;

	for (unsigned i = 0; i < SAMPLE_TRIES; i++) {
		uint64_t before = rdtsc();
		uint32_t value = read();
		uint64_t took = rdtsc() - before;

		if (took < tightest) {
			tightest = took;
			best = (struct clock_sample){before + took / 2, value};
		}
	}
	return best;
}

static uint32_t pm_timer(void)
{
	return in32(pm_port) & PM_TIMER_MASK;
}

/* 0 if the timer stands still. Shorter than the 4.6 s after which its 24 bits come round. */
static uint64_t measure_pm_timer(void)
{
	uint32_t want = PM_TIMER_HZ / 1000 * MEASURE_MS, passed;
	struct clock_sample begin = clock_sample(pm_timer), end;

	for (unsigned limit = 0; ((pm_timer() - begin.value) & PM_TIMER_MASK) < want; limit++)
		if (limit > 10000000)
			return 0;
	end = clock_sample(pm_timer);
	passed = (end.value - begin.value) & PM_TIMER_MASK;
	return (end.tsc - begin.tsc) * PM_TIMER_HZ / passed;
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
	const char *source = "ACPI PM timer";

	pm_port = acpi_pm_timer();
	if (pm_port)
		tsc_hz = measure_pm_timer();
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
