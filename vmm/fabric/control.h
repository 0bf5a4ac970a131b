/* SPDX-License-Identifier: MIT */
/*
 * Control messages (include/annex/rpc.h) of one session: what is waiting to be asked, the one that
 * is, and what an answer must look like. LEASE and RELEASE stay in the queue until they are answered,
 * so that they are asked again on the next queue pair.
 */
#ifndef ANNEX_CONTROL_H
#define ANNEX_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "annex/rpc.h"

#define CONTROL_QUEUE 64u /* power of two */

struct control_item {
	uint16_t type; /* RPC_LEASE or RPC_RELEASE */
	uint32_t index;
};

struct control {
	uint16_t version;
	uint16_t asked; /* type that awaits its answer, 0: none */
	uint32_t id;
	uint64_t sent, received; /* counters of this queue pair */
	uint64_t asked_at;
	unsigned head, tail; /* free-running */
	struct control_item item[CONTROL_QUEUE];
};

void control_init(struct control *c);

/* A new queue pair: counters begin anew, the queue stays. */
void control_reset(struct control *c, uint16_t version);

/* Appends; true also when the same is waiting already as the last word on that extent. */
bool control_enqueue(struct control *c, uint16_t type, uint32_t index);

/* The oldest, or NULL. */
const struct control_item *control_first(const struct control *c);
void control_drop(struct control *c);

/* The extent is on its way back: nothing is to be told of it any more. */
bool control_releasing(const struct control *c, uint32_t index);

/* Writes a request into message[RPC_MESSAGE_MAX]; returns its length. Nothing may be asked. */
size_t control_request(struct control *c, uint16_t type, const void *body, size_t length,
	uint8_t *message, uint64_t now);

/*
 * Checks an answer against what was asked. NULL: good, *body, *length and *error (RPC_ERROR_NONE
 * when it is no error) are set and nothing is asked any more; else what is wrong with it.
 */
const char *control_answer(struct control *c, const uint8_t *message, size_t total,
	const uint8_t **body, size_t *length, enum rpc_error *error);

/* Copies text from the wire: stops at its end, everything but printable ASCII becomes '?'. */
void control_text(char *to, size_t size, const char *from, size_t length);

#endif
