/* SPDX-License-Identifier: MIT */
/*
 * A message to the agent in a guest, and its reply: management commands `tell` and `reply`. The VMM
 * carries both unread.
 *
 *   message  one line: ping, check, stat, policies, pin|unpin|prefetch|cold SELECTOR... [max=SIZE],
 *            policy add LINE, policy remove N
 *   reply    lines; the first begins with "ok" or "error: ", those of `check` are its own
 */
#ifndef ANNEX_MESSAGE_H
#define ANNEX_MESSAGE_H

#include <libvirt/libvirt.h>
#include <stdbool.h>
#include <stdint.h>
#include "toolstack/agent.h"

#define MESSAGE_PATIENCE 5u /* s that a reply is waited for */

/* Whether the text can be sent: 1 to DOORBELL_MESSAGE_MAX bytes, printable, one line. 0 or ERROR_USAGE. */
int message_check(const char *what, const char *text);

/*
 * Builds "VERB KEY=VALUE... [max=SIZE]" in out[DOORBELL_MESSAGE_MAX + 1]. max 0: none. ERROR_USAGE, with
 * what is allowed, for an unknown verb or selector, or a value that cannot be meant. Which selectors go
 * together is the agent's to say.
 */
int message_hint(const char *verb, char *const *selectors, int count, uint64_t max, char *out);

/*
 * 0 when the guest's agent can be spoken to, with *agent filled. ERROR_SILENT when there is none that
 * would answer, with what to do.
 */
int message_ready(virDomainPtr domain, struct agent *agent);

/*
 * Sends it and waits up to `seconds` for the reply: *reply is malloc()ed, printable, without the last
 * \n. Returns 0; ERROR_SILENT when none came; or what manage_ask() returns.
 */
int message_send(virDomainPtr domain, const char *text, uint64_t seconds, char **reply);

/* "error: TEXT": records ERROR_FAILED with TEXT. Something else than "ok...": too. Else 0. */
int message_verdict(const char *guest, const char *reply);

#endif
