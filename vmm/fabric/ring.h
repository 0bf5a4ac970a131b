/* SPDX-License-Identifier: MIT */
/* What the files of the queue pair share and nobody else needs. */
#ifndef ANNEX_RING_H
#define ANNEX_RING_H

#include "fabric/qp.h"

#define RING_NEVER      UINT64_MAX
#define RING_WINDOW_MAX (SESSION_READS + SESSION_WRITES)
#define RING_NO_REQUEST UINT32_MAX

static inline struct qp_request *ring_slot(struct qp *q, unsigned index)
{
	return &q->ring[index % QP_REQUESTS];
}

static inline const struct qp_request *ring_slot_const(const struct qp *q, unsigned index)
{
	return &q->ring[index % QP_REQUESTS];
}

static inline uint32_t ring_packet_length(
	const struct qp *q, const struct qp_request *r, unsigned packet)
{
	uint32_t from = packet * q->mtu;

	return r->length - from < q->mtu ? r->length - from : q->mtu;
}

static inline void ring_die(struct qp *q, const char *why)
{
	if (q->death == NULL)
		q->death = why;
}

#endif
