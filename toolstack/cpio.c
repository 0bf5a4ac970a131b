/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>
#include "toolstack/cpio.h"
#include "toolstack/error.h"

struct cpio {
	gzFile out;
	char *path;
	char **directory; /* those written so far */
	size_t directories;
	unsigned inode;
	size_t written;
	bool failed;
};

struct cpio *cpio_open(const char *path)
{
	struct cpio *cpio = error_memory(calloc(1, sizeof(*cpio)));

	cpio->out = gzopen(path, "wb1");
	if (!cpio->out) {
		error_set(ERROR_FAILED, "cannot write %s: %m", path);
		free(cpio);
		return NULL;
	}
	cpio->path = error_memory(strdup(path));
	return cpio;
}

static void put(struct cpio *cpio, const void *data, size_t length)
{
	if (length && gzfwrite(data, length, 1, cpio->out) != 1)
		cpio->failed = true;
	cpio->written += length;
}

/* Names and contents end at multiples of 4, counted from the start of the archive. */
static void pad(struct cpio *cpio)
{
	static const char zeros[4];

	put(cpio, zeros, -cpio->written & 3);
}

static void record(struct cpio *cpio, const char *name, mode_t mode, unsigned major, unsigned minor,
	const void *data, size_t length)
{
	char header[111];
	unsigned inode = strcmp(name, "TRAILER!!!") ? ++cpio->inode : 0;

	if (length > UINT32_MAX) {
		cpio->failed = true;
		return;
	}
	snprintf(header, sizeof(header),
		"070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", inode, mode, 0, 0, 1,
		0, (unsigned)length, 0, 0, major, minor, (unsigned)strlen(name) + 1, 0);
	put(cpio, header, 110);
	put(cpio, name, strlen(name) + 1);
	pad(cpio);
	put(cpio, data, length);
	pad(cpio);
}

static bool known(const struct cpio *cpio, const char *name)
{
	for (size_t i = 0; i < cpio->directories; i++)
		if (!strcmp(cpio->directory[i], name))
			return true;
	return false;
}

void cpio_directory(struct cpio *cpio, const char *path)
{
	char *name = error_memory(strdup(path + (path[0] == '/')));

	for (char *p = name; *p; p++) {
		bool last = !p[1];

		if (*p != '/' && !last)
			continue;
		if (*p == '/')
			*p = '\0';
		if (*name && !known(cpio, name)) {
			record(cpio, name, S_IFDIR | 0755, 0, 0, NULL, 0);
			cpio->directory = error_memory(realloc(cpio->directory,
				(cpio->directories + 1) * sizeof(*cpio->directory)));
			cpio->directory[cpio->directories++] = error_memory(strdup(name));
		}
		if (!last)
			*p = '/';
		else
			break;
	}
	free(name);
}

static void parents(struct cpio *cpio, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *parent;

	if (!slash || slash == path)
		return;
	parent = error_memory(strndup(path, (size_t)(slash - path)));
	cpio_directory(cpio, parent);
	free(parent);
}

void cpio_file(struct cpio *cpio, const char *path, mode_t mode, const void *data, size_t length)
{
	parents(cpio, path);
	record(cpio, path + (path[0] == '/'), S_IFREG | mode, 0, 0, data, length);
}

void cpio_device(struct cpio *cpio, const char *path, mode_t mode, unsigned major, unsigned minor)
{
	parents(cpio, path);
	record(cpio, path + (path[0] == '/'), mode, major, minor, NULL, 0);
}

int cpio_close(struct cpio *cpio)
{
	int code = 0;

	record(cpio, "TRAILER!!!", 0, 0, 0, NULL, 0);
	if (gzclose(cpio->out) != Z_OK)
		cpio->failed = true;
	if (cpio->failed)
		code = error_set(ERROR_FAILED, "cannot write %s. Is the disk full?", cpio->path);
	for (size_t i = 0; i < cpio->directories; i++)
		free(cpio->directory[i]);
	free(cpio->directory);
	free(cpio->path);
	free(cpio);
	return code;
}
