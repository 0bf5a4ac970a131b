/* SPDX-License-Identifier: MIT */
/* Where things of the guest's agent lie. */
#ifndef ANNEX_AGENT_PATHS_H
#define ANNEX_AGENT_PATHS_H

#define PATHS_CONFIG "/etc/annex/agent.conf"
#define PATHS_RUN    "/run/annex-agent" /* root's, 0755 */
#define PATHS_LOCK   PATHS_RUN "/lock" /* locked (flock) while an agent runs; holds its pid */
#define PATHS_SOCKET PATHS_RUN "/socket" /* 0666: whom it serves is decided by SO_PEERCRED */
#define PATHS_CGROUP "/sys/fs/cgroup"

#endif
