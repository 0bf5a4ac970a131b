/* SPDX-License-Identifier: MIT */
/*
 * The guest's end of the doorbell (annex/doorbell.h): finding it by CPUID, getting the port from the
 * kernel, and one IN per request. `call` is a member so that the rest can be tested where there is
 * no Annex below.
 */
#ifndef ANNEX_AGENT_DOORBELL_H
#define ANNEX_AGENT_DOORBELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "annex/doorbell.h"

struct doorbell {
	/*
	 * Rings: words in are the request's, words out the result's. Any value that is not an enum
	 * doorbell_result comes from something that is no doorbell.
	 */
	uint32_t (*call)(struct doorbell *d, enum doorbell_request request, uint64_t session,
		uint64_t words[DOORBELL_WORDS]);
	uint16_t port;
};

enum doorbell_open {
	DOORBELL_OPENED,
	DOORBELL_ABSENT, /* CPUID names no Annex */
	DOORBELL_OTHER_VERSION, /* of the VMM: *version */
	DOORBELL_NOT_ROOT, /* CAP_SYS_RAWIO is missing */
	DOORBELL_LOCKED_DOWN, /* the kernel's lockdown forbids I/O ports */
	DOORBELL_NO_PORT, /* ioperm failed otherwise: errno */
};

/* Looks only: DOORBELL_OPENED, DOORBELL_ABSENT or DOORBELL_OTHER_VERSION. Anyone may call it. */
enum doorbell_open doorbell_find(uint16_t *port, uint32_t *version);

/* For the calling thread (ioperm's rule). */
enum doorbell_open doorbell_open(struct doorbell *d, uint32_t *version);

/* The `call` of an open doorbell: one IN from d->port. */
uint32_t doorbell_ring(struct doorbell *d, enum doorbell_request request, uint64_t session,
	uint64_t words[DOORBELL_WORDS]);

/* What is wrong and what to do about it; never NULL. */
const char *doorbell_open_text(enum doorbell_open result);

uint32_t doorbell_call(struct doorbell *d, enum doorbell_request request, uint64_t session,
	uint64_t words[DOORBELL_WORDS]);

/* "over budget": for people. */
const char *doorbell_result_text(uint32_t result);

#endif
