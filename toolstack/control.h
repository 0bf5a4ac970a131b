/* SPDX-License-Identifier: MIT */
/* The control port of a provisioned memory server's domain (appliance_init_control.c answers there). */
#ifndef ANNEX_CONTROL_H
#define ANNEX_CONTROL_H

#include <jansson.h>
#include "toolstack/annex.h"
#include "toolstack/registry.h"

/*
 * Has the appliance's init carry out a command. *runs false, and nothing was asked, when the domain is
 * off or gone. Returns 0 with *result (one reference for the caller; NULL if nothing was asked), or
 * an error_code.
 */
int control_ask(struct annex *annex, const struct registry_server *server, const char *command,
	json_t **result, bool *runs);

#endif
