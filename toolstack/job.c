/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "toolstack/error.h"
#include "toolstack/job.h"

#define ANSWER_LIMIT (256u << 10)

static int write_all(const char *data, size_t size, void *context)
{
	const int *fd = context;

	while (size) {
		ssize_t n = write(*fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

static int answer_fd = -1; /* in a child */

void job_tell(json_t *answer)
{
	json_dump_callback(answer, write_all, &answer_fd, JSON_COMPACT);
	json_decref(answer);
}

static _Noreturn void child(int fd, pid_t parent, void (*work)(void *context), void *context)
{
	sigset_t none;

	/* It is not to outlive its parent, not even one that ended just now. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	answer_fd = fd;
	work(context);
	_exit(0); /* what the parent has in stdio's buffers is its own to write */
}

bool job_start(struct job *job, void (*work)(void *context), void *context)
{
	pid_t parent = getpid();
	int ends[2];

	*job = (struct job){.fd = -1};
	if (pipe2(ends, O_CLOEXEC) < 0) {
		error_set(ERROR_FAILED, "cannot make a pipe: %s", strerror(errno));
		return false;
	}
	job->pid = fork();
	if (job->pid == 0)
		child(ends[1], parent, work, context);
	close(ends[1]);
	if (job->pid < 0) {
		job->pid = 0;
		close(ends[0]);
		error_set(ERROR_FAILED, "cannot start a process: %s", strerror(errno));
		return false;
	}
	job->fd = ends[0];
	fcntl(job->fd, F_SETFL, O_NONBLOCK);
	return true;
}

bool job_turn(struct job *job)
{
	char part[4096];
	ssize_t n;

	while (job->fd >= 0 && (n = read(job->fd, part, sizeof(part))) != 0) {
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return false;
		if (n < 0 || job->used + (size_t)n > ANSWER_LIMIT)
			break;
		job->data = error_memory(realloc(job->data, job->used + (size_t)n));
		memcpy(job->data + job->used, part, (size_t)n);
		job->used += (size_t)n;
	}
	return true;
}

/* Whole objects, one behind the other; a last one may be cut off. */
static json_t *parse(const char *data, size_t used)
{
	json_t *all = NULL, *part;
	json_error_t error;

	while (used && (part = json_loadb(data, used, JSON_DISABLE_EOF_CHECK, &error))) {
		if (all)
			json_object_update(all, part);
		else
			all = json_incref(part);
		json_decref(part);
		data += error.position;
		used -= (size_t)error.position;
	}
	if (json_is_object(all))
		return all;
	json_decref(all);
	return NULL;
}

json_t *job_end(struct job *job)
{
	json_t *answer;

	if (job->pid) {
		kill(job->pid, SIGKILL);
		while (waitpid(job->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (job->fd >= 0)
		close(job->fd);
	answer = parse(job->data, job->used);
	free(job->data);
	*job = (struct job){.fd = -1};
	return answer;
}
