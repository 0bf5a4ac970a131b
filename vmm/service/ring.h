/* SPDX-License-Identifier: MIT */
/*
 * How a request at the doorbell (annex/doorbell.h) reaches the service core: one per vCPU, with the
 * states and the order of far/mailbox.h. The vCPU writes the request first, the state last; the answer
 * stands in the same words.
 */
#ifndef ANNEX_RING_H
#define ANNEX_RING_H

#include <stdint.h>
#include "annex/doorbell.h"
#include "far/mailbox.h"

struct ring {
	_Atomic uint32_t state; /* enum mailbox_state */
	uint32_t result; /* enum doorbell_result */
	uint64_t request; /* enum doorbell_request, or anything else */
	uint64_t session;
	uint64_t word[DOORBELL_WORDS]; /* arguments; then results */
} __attribute__((aligned(64)));

#endif
