/* SPDX-License-Identifier: MIT */
/* One guest's numbers as samples, each with the label guest="NAME". */
#ifndef ANNEX_METRICS_GUEST_H
#define ANNEX_METRICS_GUEST_H

#include <jansson.h>
#include "toolstack/metrics.h"

/*
 * {"name":S,"uuid":S,"running":B} and, as far as they were answered, the VMM's "status", "counters" and
 * "histogram" (annex/manage.h), and "agent" (agent_show_json()). annex_up is 1 when `status` was.
 */
void metrics_guest(struct metrics *metrics, const json_t *guest);

#endif
