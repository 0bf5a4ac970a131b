/* SPDX-License-Identifier: MIT */
/* What comes back for our requests (IBTA vol. 1, 9.7.5). For qp.c only. */
#ifndef ANNEX_ACKNOWLEDGE_H
#define ANNEX_ACKNOWLEDGE_H

#include "fabric/qp.h"

/* Ends a request and tells the owner; its record goes when all before it are done. */
void acknowledge_complete(
	struct qp *q, struct qp_request *r, enum session_status status, uint64_t now);

/* A READ response packet. */
void acknowledge_response(struct qp *q, const struct wire_packet *p, uint64_t now);

/* An ACK or NAK. */
void acknowledge_input(struct qp *q, const struct wire_packet *p, uint64_t now);

/* A planted fault's way in: places a response for a record that is no longer alive. */
bool acknowledge_place_late(struct qp *q, const struct wire_packet *p);

#endif
