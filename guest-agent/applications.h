/* SPDX-License-Identifier: MIT */
/* Between the applications' socket and the hints. */
#ifndef ANNEX_AGENT_APPLICATIONS_H
#define ANNEX_AGENT_APPLICATIONS_H

#include <stddef.h>
#include "guest-agent/socket.h"

/* socket.h: struct socket_config's hint and status; context: struct agent. */
void applications_hint(void *context, const struct socket_hint *hint, struct socket_answer *answer);
size_t applications_status(void *context, char *text, size_t size);

#endif
