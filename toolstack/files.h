/* SPDX-License-Identifier: MIT */
/* Files as annex reads and writes them: whole, and replaced in one step. */
#ifndef ANNEX_FILES_H
#define ANNEX_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Reads a whole file of at most `limit` bytes; *data is malloc()ed, with a NUL behind its *length
 * bytes. Returns 0, or an error_code with the error recorded (ERROR_NOT_FOUND: no such file).
 */
int files_read(const char *path, size_t limit, char **data, size_t *length);

/* Replaces the file: written beside it, synced, renamed. Makes the directories above it. */
int files_write(const char *path, const void *data, size_t length, mode_t mode);

/* The directory and all above it, mode 0755. */
int files_directory(const char *path);

/* Removes the regular files of a directory and the directory itself; a missing one is fine. */
int files_remove(const char *path);

/* malloc()ed "directory/name", printf style. */
char *files_path(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * malloc()ed path of a file that is installed with annex: beside this program if it is there, else
 * `installed`.
 */
char *files_beside(const char *name, const char *installed);

/* malloc()ed absolute path; NULL with the error recorded when the file cannot be read. */
char *files_absolute(const char *path, const char *what, const char *advice);

#endif
