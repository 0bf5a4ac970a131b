/* SPDX-License-Identifier: MIT */
/*
 * The table of the guest's processes, as /proc tells, with bounded work per turn: a machine with more
 * than PROCESSES_TURN of them is seen whole every few seconds only. Kernel threads are left out.
 */
#ifndef ANNEX_AGENT_PROCESSES_H
#define ANNEX_AGENT_PROCESSES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESSES_TURN 2048u /* looked at per turn */
#define PROCESSES_COMM 16u

struct process {
	pid_t pid;
	uint64_t start; /* its start time, in clock ticks: with pid it names a process for ever */
	uid_t user; /* effective */
	char state; /* of /proc/PID/stat: R, S, D, T, t, Z, ... */
	char comm[PROCESSES_COMM];
	char *cgroup; /* below the mount of cgroup v2, "/system.slice/redis.service"; "" unknown */
	char *exe; /* "" unknown */
	uint64_t seen; /* the pass that saw it last */
	struct process *next;
};

struct processes;

/* proc: "/proc" but in tests. */
struct processes *processes_open(const char *proc);
void processes_close(struct processes *p);

/* A part of a pass over /proc; at its end processes that were not seen are forgotten. */
void processes_turn(struct processes *p);

/* How many passes are complete. */
uint64_t processes_passes(const struct processes *p);

/* Looks at this one now. NULL: no such process, or a kernel thread. */
const struct process *processes_look(struct processes *p, pid_t pid);

/* The same, but user, cgroup and file only if they are not known. */
const struct process *processes_glance(struct processes *p, pid_t pid);

/* What the table has. NULL: nothing. */
const struct process *processes_find(const struct processes *p, pid_t pid);

/* All of the table, in no order: NULL begins, NULL is the end. No turn or look in between. */
const struct process *processes_next(const struct processes *p, const struct process *before);

unsigned processes_count(const struct processes *p);

#endif
