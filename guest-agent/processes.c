/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "guest-agent/log.h"
#include "guest-agent/processes.h"

#define BUCKETS    1024u
#define PF_KTHREAD 0x00200000ul /* include/linux/sched.h, field 9 of stat */
#define DETAIL_PASSES                                                                              \
	8u /* user, cgroup and file of a process that is known are read again after so many */

struct processes {
	char *proc;
	DIR *directory; /* of the pass under way */
	uint64_t passes;
	unsigned count;
	struct process *bucket[BUCKETS];
};

struct processes *processes_open(const char *proc)
{
	struct processes *p = calloc(1, sizeof(*p));

	if (!p || !(p->proc = strdup(proc)))
		log_no_memory();
	return p;
}

static void forget(struct processes *p, struct process **at)
{
	struct process *old = *at;

	*at = old->next;
	free(old->cgroup);
	free(old->exe);
	free(old);
	p->count--;
}

void processes_close(struct processes *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < BUCKETS; i++)
		while (p->bucket[i])
			forget(p, &p->bucket[i]);
	if (p->directory)
		closedir(p->directory);
	free(p->proc);
	free(p);
}

/* Reads a small file of the process; out is "" when there is none. Returns its length. */
static size_t read_small(
	const struct processes *p, pid_t pid, const char *name, char *out, size_t size)
{
	char path[4096];
	ssize_t got;
	int fd;

	out[0] = '\0';
	snprintf(path, sizeof(path), "%s/%d/%s", p->proc, (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	got = read(fd, out, size - 1);
	close(fd);
	if (got < 0)
		got = 0;
	out[got] = '\0';
	return (size_t)got;
}

/* pid (comm) state ppid ...: comm may hold anything, so its end is the last bracket. */
static bool read_stat(const struct processes *p, pid_t pid, struct process *out)
{
	char text[1024], *open_bracket, *close_bracket;
	unsigned long flags;
	size_t length;

	if (!read_small(p, pid, "stat", text, sizeof(text)))
		return false;
	open_bracket = strchr(text, '(');
	close_bracket = strrchr(text, ')');
	if (!open_bracket || !close_bracket || close_bracket < open_bracket)
		return false;
	if (sscanf(close_bracket + 1,
		    " %c %*d %*d %*d %*d %*d %lu %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
		    "%" SCNu64,
		    &out->state, &flags, &out->start) != 3)
		return false;
	length = (size_t)(close_bracket - open_bracket) - 1;
	if (length >= sizeof(out->comm))
		length = sizeof(out->comm) - 1;
	memset(out->comm, 0, sizeof(out->comm));
	memcpy(out->comm, open_bracket + 1, length);
	return !(flags & PF_KTHREAD);
}

static char *copy(const char *text)
{
	char *out = strdup(text);

	if (!out)
		log_no_memory();
	return out;
}

/* The line of cgroup v2 begins with "0::". */
static char *read_cgroup(const struct processes *p, pid_t pid)
{
	char text[8192], *line, *end;

	read_small(p, pid, "cgroup", text, sizeof(text));
	line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	if (!line)
		return copy("");
	line = strchr(line, '/');
	if (!line)
		return copy("");
	end = strchr(line, '\n');
	if (end)
		*end = '\0';
	return copy(line);
}

static char *read_exe(const struct processes *p, pid_t pid)
{
	static const char deleted[] = " (deleted)";
	char path[4096], target[4096];
	ssize_t length;

	snprintf(path, sizeof(path), "%s/%d/exe", p->proc, (int)pid);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		length = 0;
	target[length] = '\0';
	/* A program that was upgraded while it ran is still that program. */
	if ((size_t)length > sizeof(deleted) &&
		strcmp(target + length - (sizeof(deleted) - 1), deleted) == 0)
		target[length - (ssize_t)(sizeof(deleted) - 1)] = '\0';
	return copy(target);
}

static uid_t read_user(const struct processes *p, pid_t pid)
{
	char text[4096], *line;
	unsigned effective;

	read_small(p, pid, "status", text, sizeof(text));
	line = strstr(text, "\nUid:");
	if (!line || sscanf(line, "\nUid: %*u %u", &effective) != 1)
		return (uid_t)-1;
	return effective;
}

static struct process **place(struct processes *p, pid_t pid)
{
	struct process **at = &p->bucket[(unsigned)pid % BUCKETS];

	while (*at && (*at)->pid != pid)
		at = &(*at)->next;
	return at;
}

static void read_details(struct processes *p, struct process *process)
{
	free(process->cgroup);
	free(process->exe);
	process->cgroup = read_cgroup(p, process->pid);
	process->exe = read_exe(p, process->pid);
	process->user = read_user(p, process->pid);
}

/* details: read them also when they are known; pass: it is the pass that comes by. */
static const struct process *look(struct processes *p, pid_t pid, bool details, bool pass)
{
	struct process **at = place(p, pid), now = {.pid = pid}, *known;

	if (!read_stat(p, pid, &now)) {
		if (*at)
			forget(p, at);
		return NULL;
	}
	known = *at;
	if (known && known->start != now.start) {
		forget(p, at);
		at = place(p, pid);
		known = NULL;
	}
	if (!known) {
		known = calloc(1, sizeof(*known));
		if (!known)
			log_no_memory();
		*known = now;
		known->next = *at;
		*at = known;
		p->count++;
		details = pass = true;
	}
	details = details || strcmp(known->comm, now.comm) != 0 ||
		  (p->passes + (uint64_t)pid) % DETAIL_PASSES == 0;
	known->state = now.state;
	memcpy(known->comm, now.comm, sizeof(known->comm));
	/* One that ends behind the pass is not to be kept by who has looked at it before. */
	if (pass)
		known->seen = p->passes;
	if (details)
		read_details(p, known);
	return known;
}

const struct process *processes_look(struct processes *p, pid_t pid)
{
	return look(p, pid, true, false);
}

const struct process *processes_glance(struct processes *p, pid_t pid)
{
	return look(p, pid, false, false);
}

const struct process *processes_find(const struct processes *p, pid_t pid)
{
	const struct process *at = p->bucket[(unsigned)pid % BUCKETS];

	while (at && at->pid != pid)
		at = at->next;
	return at;
}

static void end_pass(struct processes *p)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		struct process **at = &p->bucket[i];

		while (*at) {
			if ((*at)->seen != p->passes)
				forget(p, at);
			else
				at = &(*at)->next;
		}
	}
	closedir(p->directory);
	p->directory = NULL;
	p->passes++;
}

void processes_turn(struct processes *p)
{
	if (!p->directory)
		p->directory = opendir(p->proc);
	if (!p->directory) {
		log_line(LOG_ERR, "%s: %s", p->proc, strerror(errno));
		return;
	}
	for (unsigned i = 0; i < PROCESSES_TURN;) {
		const struct dirent *entry = readdir(p->directory);
		char *end;
		long pid;

		if (!entry) {
			end_pass(p);
			return;
		}
		pid = strtol(entry->d_name, &end, 10);
		if (*end || pid <= 0 || pid > 1 << 22)
			continue;
		look(p, (pid_t)pid, false, true);
		i++;
	}
}

uint64_t processes_passes(const struct processes *p)
{
	return p->passes;
}

const struct process *processes_next(const struct processes *p, const struct process *before)
{
	unsigned i = 0;

	if (before) {
		if (before->next)
			return before->next;
		i = (unsigned)before->pid % BUCKETS + 1;
	}
	for (; i < BUCKETS; i++)
		if (p->bucket[i])
			return p->bucket[i];
	return NULL;
}

unsigned processes_count(const struct processes *p)
{
	return p->count;
}
