/* SPDX-License-Identifier: MIT */
/* Where things of the guest's agent lie. */
#ifndef ANNEX_AGENT_PATHS_H
#define ANNEX_AGENT_PATHS_H

#define PATHS_CONFIG "/etc/annex/agent.conf"
#define PATHS_RUN    "/run/annex" /* root's, 0755; the applications' socket is there too */
#define PATHS_LOCK   PATHS_RUN "/agent.lock" /* locked (flock) while an agent runs; its pid */
#define PATHS_CGROUP "/sys/fs/cgroup"

#endif
