/* SPDX-License-Identifier: MIT */
/*
 * The administrator's UNIX socket, the only way to change state from outside. One command a line,
 * one answer a line: `ok` or `error TEXT`.
 *
 *   forget TENANT   ends the tenant's sessions and frees its extents; TENANT is 1 to 16
 *                   hexadecimal digits
 */
#ifndef ANNEX_MEMSERVER_ADMIN_H
#define ANNEX_MEMSERVER_ADMIN_H

#include <poll.h>
#include <stdbool.h>
#include "memserver/policy.h"

#define ADMIN_CLIENTS     4u
#define ADMIN_DESCRIPTORS (1u + ADMIN_CLIENTS)

struct admin;

/* Makes the socket, with access for its owner only. Logs why it cannot; then NULL. */
struct admin *admin_open(const char *path, struct policy *policy);

/* Fills ADMIN_DESCRIPTORS entries (unused ones with fd -1), and serves what poll() found. */
void admin_descriptors(const struct admin *a, struct pollfd *fds);
void admin_event(struct admin *a, const struct pollfd *fds);

void admin_close(struct admin *a);

/*
 * The other end: sends one command to a running server and prints its answer. Returns the exit
 * status: 0 for ok, 1 for an error or when no server is there.
 */
int admin_ask(const char *path, const char *line);

#endif
