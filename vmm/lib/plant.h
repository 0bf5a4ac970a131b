/* SPDX-License-Identifier: MIT */
/*
 * Where a planted fault would act: false, and gone from the program. The simulation's build finds
 * its own lib/plant.h first (tests/sim/plant), where it is a variable.
 */
#ifndef ANNEX_PLANT_H
#define ANNEX_PLANT_H

#include <stdbool.h>
#include "lib/plants.h"

static inline bool planted(enum plant plant)
{
	(void)plant;
	return false;
}

#endif
