/* SPDX-License-Identifier: MIT */
/*
 * What /proc and /sys say, read below a root directory: "" for the running system, another one in tests.
 * The content is the kernel's or, in tests, anything.
 */
#ifndef ANNEX_AGENT_TREE_H
#define ANNEX_AGENT_TREE_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TREE_PATH 512u

/*
 * Reads at most size - 1 bytes of root/path into text, and ends it with a zero. Returns the length up to
 * the first zero, or -1 with errno.
 */
int tree_read(const char *root, const char *path, char *text, size_t size);

/* As tree_read, of a path made by printf's rules (at most TREE_PATH bytes). */
int tree_readf(const char *root, char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The decimal number that a file begins with. False: no such file or number, or too large. */
bool tree_number(const char *root, const char *path, uint64_t *value);

/* To be closed with closedir; NULL with errno. */
DIR *tree_list(const char *root, const char *path);

/* The last component of the symbolic link root/path. False: there is none, or it is too long. */
bool tree_link(const char *root, const char *path, char *name, size_t size);

/* If name is prefix followed by a decimal number and nothing else, that number. */
bool tree_numbered(const char *name, const char *prefix, uint64_t *number);

/* The value of a line `NAME VALUE` of text; name without the space. False: no such line. */
bool tree_field(const char *text, const char *name, uint64_t *value);

#endif
