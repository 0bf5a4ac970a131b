/* SPDX-License-Identifier: MIT */
/* A guest's agent on the terminal and in JSON. */
#ifndef ANNEX_AGENT_SHOW_H
#define ANNEX_AGENT_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include "toolstack/agent.h"

/* {"state","advice","age_ns","pinned","budget","queued",...,"report":{...}|null}; unknown numbers null. */
json_t *agent_show_json(const struct agent *agent);

/* Lines as those of `annex guest show`; top: the processes with the most remote fills too. */
void agent_show_text(const struct agent *agent, bool top);

#endif
