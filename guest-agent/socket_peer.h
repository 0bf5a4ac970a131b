/* SPDX-License-Identifier: MIT */
/* Whose memory a client may speak about. */
#ifndef ANNEX_AGENT_SOCKET_PEER_H
#define ANNEX_AGENT_SOCKET_PEER_H

#include <stdint.h>
#include <sys/socket.h>

#include "guest-agent/socket.h"

/*
 * Whether the sender, as the kernel has named it, may hint about process pid; 0 or its own: itself. Then
 * hint->pid, ->starttime and ->uid are set and the result is ANNEX_HINT_OK; else NOT_YOURS or GONE with
 * the reason (SOCKET_REASON_MAX bytes).
 *
 * The target's real, effective, saved and file system ids must all be the sender's, users and groups. That
 * keeps set-user-id programs out, also one that the sender has become since. Another process must be
 * dumpable as well. This is the kernel's own rule for looking at a process (ptrace(2), access mode
 * PTRACE_MODE_READ) without its exception for capabilities: root's way is agent.conf.
 */
enum annex_hint_result socket_peer_check(
	const struct ucred *sender, pid_t pid, struct socket_hint *hint, char *reason);

#endif
