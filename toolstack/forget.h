/* SPDX-License-Identifier: MIT */
/*
 * Telling a memory server to forget a tenant: its sessions end, what was promised to it and what it
 * held is free. A provisioned server is told through its domain's control port, another one by ssh.
 */
#ifndef ANNEX_FORGET_H
#define ANNEX_FORGET_H

#include "toolstack/annex.h"
#include "toolstack/registry.h"

/*
 * Returns 0, *known false when the server had nothing of the tenant; or an error_code, the text
 * naming what to run by hand. The caller has made sure that no guest of the tenant runs.
 */
int forget_tenant(
	struct annex *annex, const struct registry_server *server, uint64_t tenant, bool *known);

#endif
