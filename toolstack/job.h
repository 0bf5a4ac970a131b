/* SPDX-License-Identifier: MIT */
/*
 * A question that may never be answered, asked by a process of its own: libvirt's calls block, and its
 * event loop serves one at a time. The process is killed when its time is over, whatever it waits for.
 */
#ifndef ANNEX_JOB_H
#define ANNEX_JOB_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

struct job {
	pid_t pid; /* 0: none, or over */
	int fd; /* to poll for POLLIN; -1: none */
	char *data;
	size_t used;
};

/*
 * Runs work(context) in a child, which answers by job_tell(). Returns false, with the error recorded,
 * when there can be no child.
 */
bool job_start(struct job *job, void (*work)(void *context), void *context);

/* In the child: a JSON object, a part of the answer; takes the reference. */
void job_tell(json_t *answer);

/* Takes what has come, without waiting. True when the job is over. */
bool job_turn(struct job *job);

/* Kills what still runs. What it has told, as one JSON object for the caller, or NULL. */
json_t *job_end(struct job *job);

#endif
