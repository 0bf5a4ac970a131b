/* SPDX-License-Identifier: MIT */
#include "guest-agent/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool join(char path[TREE_PATH], const char *root, const char *below)
{
	int n = snprintf(path, TREE_PATH, "%s/%s", root, below[0] == '/' ? below + 1 : below);

	if (n >= 0 && (size_t)n < TREE_PATH)
		return true;
	errno = ENAMETOOLONG;
	return false;
}

int tree_read(const char *root, const char *path, char *text, size_t size)
{
	char full[TREE_PATH];
	size_t length = 0;

	text[0] = 0;
	if (!join(full, root, path))
		return -1;
	/* A FIFO in place of a file must not hold us. */
	int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -1;
	while (length < size - 1) {
		ssize_t n = read(fd, text + length, size - 1 - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int error = errno;

			close(fd);
			text[0] = 0;
			errno = error;
			return -1;
		}
		if (n == 0)
			break;
		length += (size_t)n;
	}
	close(fd);
	text[length] = 0;
	return (int)strlen(text);
}

int tree_readf(const char *root, char *text, size_t size, const char *format, ...)
{
	char path[TREE_PATH];
	va_list arguments;

	va_start(arguments, format);
	int n = vsnprintf(path, sizeof(path), format, arguments);

	va_end(arguments);
	text[0] = 0;
	if (n < 0 || (size_t)n >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return tree_read(root, path, text, size);
}

/* Only digits: strtoull would take a sign and other things. */
static const char *digits(const char *text, uint64_t *value)
{
	uint64_t v = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (v > (UINT64_MAX - digit) / 10)
			return NULL;
		v = v * 10 + digit;
	}
	if (p == text)
		return NULL;
	*value = v;
	return p;
}

bool tree_number(const char *root, const char *path, uint64_t *value)
{
	char text[64];

	return tree_read(root, path, text, sizeof(text)) > 0 && digits(text, value);
}

DIR *tree_list(const char *root, const char *path)
{
	char full[TREE_PATH];

	return join(full, root, path) ? opendir(full) : NULL;
}

bool tree_link(const char *root, const char *path, char *name, size_t size)
{
	char full[TREE_PATH], target[TREE_PATH];

	if (!join(full, root, path))
		return false;
	ssize_t n = readlink(full, target, sizeof(target) - 1);

	if (n <= 0)
		return false;
	target[n] = 0;
	const char *slash = strrchr(target, '/');
	const char *last = slash ? slash + 1 : target;

	if (!*last || strlen(last) >= size)
		return false;
	memcpy(name, last, strlen(last) + 1);
	return true;
}

bool tree_numbered(const char *name, const char *prefix, uint64_t *number)
{
	size_t length = strlen(prefix);
	const char *end;

	if (strncmp(name, prefix, length) != 0)
		return false;
	end = digits(name + length, number);
	return end && !*end;
}

bool tree_field(const char *text, const char *name, uint64_t *value)
{
	size_t length = strlen(name);

	for (const char *line = text; line && *line;) {
		if (strncmp(line, name, length) == 0 &&
			(line[length] == ' ' || line[length] == '\t')) {
			const char *p = line + length + strspn(line + length, " \t");

			return digits(p, value) != NULL;
		}
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	return false;
}
