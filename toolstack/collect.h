/* SPDX-License-Identifier: MIT */
/*
 * The numbers of all guests, at once and in bounded time: a child lists them, then one child for each
 * that runs asks its VMM (toolstack/job.h). What has not answered at the deadline counts as silent.
 * Never waits; the caller polls.
 */
#ifndef ANNEX_COLLECT_H
#define ANNEX_COLLECT_H

#include <jansson.h>
#include <poll.h>
#include "toolstack/annex.h"

#define COLLECT_PARALLEL 64u

struct collect;

/* Never NULL. */
struct collect *collect_start(const struct annex *annex, double seconds);
void collect_free(struct collect *collect);

/* What to poll, at most COLLECT_PARALLEL; and for how long at most, in ms. */
unsigned collect_descriptors(const struct collect *collect, struct pollfd *fds);
int collect_timeout(const struct collect *collect);

/* Takes what has come. True when there is nothing more to wait for. */
bool collect_turn(struct collect *collect);

/*
 * {"seconds":N,"libvirt":B,"guests":[...]}, each guest as metrics_guest() reads it. The reference stays
 * with the collection.
 */
const json_t *collect_result(struct collect *collect);

#endif
