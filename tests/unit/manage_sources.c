/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include "fabric/session.h"
#include "machine/clock.h"
#include "tests/unit/manage_sources.h"
#include "virt/virt.h"

uint64_t clock_now(void)
{
	return UINT64_MAX / 2;
}

struct far_counters far_totals;
struct fabric_counters fabric_totals;
struct far_histograms times;
unsigned virt_rows = 4;

void far_states(const struct far *far, struct far_states *states)
{
	*states = (struct far_states){.zero = 1,
		.remote = 2,
		.filling = 3,
		.resident = 4,
		.unsettled = 5,
		.victim_clean = 6,
		.victim_dirty = 7,
		.cleaning = 8,
		.moving = 9};
}

void far_frames(
	const struct far *far, uint32_t *total, uint32_t *free, uint32_t *low, uint32_t *high)
{
	*total = 1000, *free = 100, *low = 10, *high = 20;
}

void far_extents(const struct far *far, uint32_t *total, uint32_t *leased, uint32_t *lost)
{
	*total = 64, *leased = 32, *lost = 1;
}

const struct far_counters *far_counters(const struct far *far)
{
	return &far_totals;
}

void far_pins(const struct far *far, struct far_pins *pins)
{
	*pins = (struct far_pins){.pinned = 5, .pinning = 6, .budget = 7, .queued = 8};
}

enum far_hint_result far_hint(
	struct far *far, enum far_hint hint, const struct far_hint_range *range, unsigned count)
{
	return FAR_HINT_OK;
}

void far_hint_forget(struct far *far)
{
}

unsigned far_samples(struct far *far, uint64_t *gpa, unsigned max)
{
	return 0;
}

const struct far_histograms *far_histograms(const struct far *far)
{
	return &times;
}

const struct fabric_counters *fabric_counters(const struct fabric *fabric)
{
	return &fabric_totals;
}

void session_info(const struct session *s, struct session_info *info)
{
	memset(info, 0, sizeof(*info));
	info->state = SESSION_READY;
	info->mtu = 4096;
	info->rtt = 500000;
}

const char *session_state_name(enum session_state state)
{
	return state == SESSION_READY ? "ready" : "idle";
}

bool virt_counter(unsigned index, const char **name, uint64_t *value)
{
	static char names[100][40];

	if (index < virt_rows)
		snprintf(names[index], sizeof(names[index]), "exit_with_a_rather_long_name_%u",
			index);
	*name = index < virt_rows ? names[index] : NULL;
	*value = UINT64_MAX;
	return index < virt_rows;
}
