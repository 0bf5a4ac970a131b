/* SPDX-License-Identifier: MIT */
#include "guest-agent/socket_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool read_at(int directory, const char *name, char *text, size_t size)
{
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, size - 1);

	close(fd);
	text[n > 0 ? n : 0] = 0;
	return n > 0;
}

/* "Uid:\t0\t0\t0\t0": whether all are `id`. The process' name, further up, cannot contain a newline. */
static bool ids_are(const char *status, const char *name, unsigned id)
{
	const char *line = strstr(status, name);
	unsigned real, effective, saved, files;

	return line && line[-1] == '\n' &&
	       sscanf(line + strlen(name), "%u %u %u %u", &real, &effective, &saved, &files) == 4 &&
	       real == id && effective == id && saved == id && files == id;
}

static bool is_leader(const char *status, pid_t pid)
{
	const char *line = strstr(status, "\nTgid:");
	int leader;

	return line && sscanf(line, "\nTgid: %d", &leader) == 1 && leader == pid;
}

static bool start_time(int directory, uint64_t *start)
{
	char text[1024];
	unsigned long long value;

	if (!read_at(directory, "stat", text, sizeof(text)))
		return false;
	const char *p = strrchr(text, ')');

	if (!p || sscanf(p + 1,
			  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
			  "%*d %*d %llu",
			  &value) != 1)
		return false;
	*start = value;
	return true;
}

/* The kernel gives the files of a process that is not dumpable to root. */
static bool dumpable(int directory, const struct ucred *sender)
{
	struct stat st;

	return fstatat(directory, "pagemap", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_uid == sender->uid && st.st_gid == sender->gid;
}

/* The directory stays with its process: another one with the same number would not be read through it. */
static enum annex_hint_result check(
	int directory, const struct ucred *sender, pid_t pid, uint64_t *start, char *reason)
{
	char status[2048];

	if (!read_at(directory, "status", status, sizeof(status)) ||
		!start_time(directory, start) || !is_leader(status, pid)) {
		snprintf(reason, SOCKET_REASON_MAX, "there is no process %d", (int)pid);
		return ANNEX_HINT_GONE;
	}
	if (!ids_are(status, "Uid:", sender->uid) || !ids_are(status, "Gid:", sender->gid)) {
		snprintf(reason, SOCKET_REASON_MAX,
			"process %d does not have user %u and group %u alone", (int)pid,
			sender->uid, sender->gid);
		return ANNEX_HINT_NOT_YOURS;
	}
	if (pid != sender->pid && !dumpable(directory, sender)) {
		snprintf(reason, SOCKET_REASON_MAX,
			"process %d may not be looked at by others (PR_SET_DUMPABLE, prctl(2))",
			(int)pid);
		return ANNEX_HINT_NOT_YOURS;
	}
	return ANNEX_HINT_OK;
}

enum annex_hint_result socket_peer_check(
	const struct ucred *sender, pid_t pid, struct socket_hint *hint, char *reason)
{
	char path[32];

	if (sender->pid <= 0) {
		snprintf(reason, SOCKET_REASON_MAX,
			"the agent does not see this process: it is in another PID namespace");
		return ANNEX_HINT_NOT_YOURS;
	}
	hint->pid = pid ? pid : sender->pid;
	hint->uid = sender->uid;
	snprintf(path, sizeof(path), "/proc/%d", (int)hint->pid);
	int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (directory < 0) {
		snprintf(reason, SOCKET_REASON_MAX, "there is no process %d", (int)hint->pid);
		return ANNEX_HINT_GONE;
	}
	enum annex_hint_result result =
		check(directory, sender, hint->pid, &hint->starttime, reason);

	close(directory);
	return result;
}
