/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "toolstack/error.h"
#include "toolstack/files.h"

char *files_path(const char *format, ...)
{
	va_list args;
	char *path;

	va_start(args, format);
	if (vasprintf(&path, format, args) < 0)
		path = NULL;
	va_end(args);
	return error_memory(path);
}

static int read_all(int fd, const char *path, size_t limit, char **data, size_t *length)
{
	size_t room = 64 * 1024, used = 0;
	char *buffer = error_memory(malloc(room + 1));

	for (;;) {
		ssize_t n = read(fd, buffer + used, room - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			free(buffer);
			return error_set(ERROR_FAILED, "cannot read %s: %m", path);
		}
		if (n == 0)
			break;
		used += (size_t)n;
		if (used > limit) {
			free(buffer);
			return error_set(ERROR_FAILED,
				"%s is larger than %zu bytes, too large for "
				"what it should be",
				path, limit);
		}
		if (used == room) {
			room *= 2;
			buffer = error_memory(realloc(buffer, room + 1));
		}
	}
	buffer[used] = '\0';
	*data = buffer;
	*length = used;
	return 0;
}

int files_read(const char *path, size_t limit, char **data, size_t *length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), code;

	if (fd < 0)
		return error_set(errno == ENOENT ? ERROR_NOT_FOUND : ERROR_FAILED,
			"cannot open %s: %m", path);
	code = read_all(fd, path, limit, data, length);
	close(fd);
	return code;
}

int files_directory(const char *path)
{
	char *copy = error_memory(strdup(path));
	int code = 0;

	for (char *p = copy + 1; !code && *p; p++) {
		if (*p != '/' && p[1])
			continue;
		if (*p == '/')
			*p = '\0';
		if (mkdir(copy, 0755) && errno != EEXIST)
			code = error_set(ERROR_FAILED,
				"cannot make %s: %m. Run annex as a user that may, or name another "
				"directory with --state",
				copy);
		if (p[0] == '\0')
			*p = '/';
	}
	free(copy);
	return code;
}

static int write_all(int fd, const char *data, size_t length)
{
	while (length) {
		ssize_t n = write(fd, data, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		data += n;
		length -= (size_t)n;
	}
	return 0;
}

static int make_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *parent;
	int code;

	if (!slash || slash == path)
		return 0;
	parent = error_memory(strndup(path, (size_t)(slash - path)));
	code = files_directory(parent);
	free(parent);
	return code;
}

int files_write(const char *path, const void *data, size_t length, mode_t mode)
{
	char *beside;
	int fd, code = make_parent(path);

	if (code)
		return code;
	beside = files_path("%s.new", path);
	fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	if (fd < 0 || fchmod(fd, mode) || write_all(fd, data, length) || fsync(fd)) {
		code = error_set(ERROR_FAILED, "cannot write %s: %m", beside);
		unlink(beside);
	}
	if (fd >= 0)
		close(fd);
	if (!code && rename(beside, path))
		code = error_set(ERROR_FAILED, "cannot write %s: %m", path);
	free(beside);
	return code;
}

int files_remove(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	if (!directory && errno == ENOENT)
		return 0;
	if (!directory)
		return error_set(ERROR_FAILED, "cannot open %s: %m", path);
	while ((entry = readdir(directory)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			unlinkat(dirfd(directory), entry->d_name, 0);
	closedir(directory);
	if (rmdir(path))
		return error_set(ERROR_FAILED, "cannot remove %s: %m", path);
	return 0;
}

char *files_absolute(const char *path, const char *what, const char *advice)
{
	char *absolute = realpath(path, NULL);

	if (!absolute || access(absolute, R_OK)) {
		error_set(errno == ENOENT ? ERROR_NOT_FOUND : ERROR_FAILED,
			"cannot read %s %s: %m. %s", what, path, advice);
		free(absolute);
		return NULL;
	}
	return absolute;
}

char *files_beside(const char *name, const char *installed)
{
	char self[4096], *slash, *path;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	path = files_path("%.*s/%s", slash ? (int)(slash - self) : 0, self, name);
	if (access(path, R_OK) == 0)
		return path;
	free(path);
	return error_memory(strdup(installed));
}
