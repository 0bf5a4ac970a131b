/* SPDX-License-Identifier: MIT */
/* The queue pair's sending side: packets, window, going back. For qp.c and acknowledge.c only. */
#ifndef ANNEX_TRANSMIT_H
#define ANNEX_TRANSMIT_H

#include "fabric/qp.h"

/* Copies the message into its send buffer, the ICRC of each packet behind its payload (R7). */
void transmit_fill(struct qp *q, const struct qp_request *r, const uint8_t *from);

/* Sends what window, receiver and ring allow. */
void transmit_push(struct qp *q, uint64_t now);

/* Halves the window; it grows again with time. */
void transmit_slow_down(struct qp *q, uint64_t now);

/* Everything not acknowledged is to be sent again, oldest first, at the next push. */
void transmit_go_back(struct qp *q);

#endif
