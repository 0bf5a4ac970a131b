/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>
#include "guest-agent/lock.h"

int lock_take(const char *path, pid_t *holder)
{
	/* Stays open; O_NOFOLLOW: /run may be root's only, but a link there is nobody's wish. */
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644), error;
	char text[16] = "";

	*holder = 0;
	if (fd < 0)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		int length = snprintf(text, sizeof(text), "%d\n", (int)getpid());

		if (ftruncate(fd, 0) == 0 && write(fd, text, (size_t)length) == length)
			return 0;
		error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	error = errno;
	if (read(fd, text, sizeof(text) - 1) > 0)
		*holder = (pid_t)strtol(text, NULL, 10);
	close(fd);
	errno = error;
	return error == EWOULDBLOCK ? 1 : -1;
}
