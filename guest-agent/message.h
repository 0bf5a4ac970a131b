/* SPDX-License-Identifier: MIT */
/*
 * What the operator says to the agent (annex guest hint, annex guest check), one line:
 *
 *   ping                                       ok, version
 *   check                                      the lines of annex-agent check
 *   stat                                       session, pins, counters, the hints that live
 *   policies                                   numbered
 *   policy add LINE | policy remove N
 *   pin|unpin|prefetch|cold SELECTOR... [max=SIZE]
 *
 * A reply begins with "ok", or is a line "error: ...".
 */
#ifndef ANNEX_AGENT_MESSAGE_H
#define ANNEX_AGENT_MESSAGE_H

#include <stddef.h>

struct agent;

/* Does what line says; the reply is text of whole lines, at most size - 1 bytes. */
void message_answer(struct agent *a, const char *line, char *reply, size_t size);

#endif
