/* SPDX-License-Identifier: MIT */
/* What systemd wants to know (sd_notify(3)), without its library. Nothing happens without it. */
#ifndef ANNEX_AGENT_NOTIFY_H
#define ANNEX_AGENT_NOTIFY_H

/* "READY=1": lines NAME=VALUE, to the socket that NOTIFY_SOCKET names. */
void notify_send(const char *state);

/* The same with the time of CLOCK_MONOTONIC, which systemd asks for with a reload. */
void notify_reloading(void);

#endif
