/* SPDX-License-Identifier: MIT */
/* The simulation's variant of vmm/lib/plant.h: one fault can be planted. Comes first by -I. */
#ifndef ANNEX_SIM_PLANT_H
#define ANNEX_SIM_PLANT_H

#include <stdbool.h>
#include "lib/plants.h"

extern enum plant plant_active;

static inline bool planted(enum plant plant)
{
	return plant_active == plant;
}

#endif
