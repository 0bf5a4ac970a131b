/* SPDX-License-Identifier: MIT */
/* The status page of a memory server. */
#ifndef ANNEX_HTTP_H
#define ANNEX_HTTP_H

#include <jansson.h>
#include "toolstack/registry.h"

/* GET /status within 2 s: the JSON object (one reference for the caller), or NULL; no error recorded. */
json_t *http_status(const struct registry_server *server);

#endif
