/* SPDX-License-Identifier: MIT */
/*
 * A gzipped newc archive, as Linux unpacks at boot (Documentation/driver-api/early-userspace/
 * buffer-format). The same calls give the same bytes: no times, no owners.
 */
#ifndef ANNEX_CPIO_H
#define ANNEX_CPIO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cpio;

/* Creates the file. NULL with the error recorded. */
struct cpio *cpio_open(const char *path);

/* Paths are absolute; the directories above are added where missing. Errors show in cpio_close(). */
void cpio_directory(struct cpio *cpio, const char *path);
void cpio_file(struct cpio *cpio, const char *path, mode_t mode, const void *data, size_t length);
void cpio_device(struct cpio *cpio, const char *path, mode_t mode, unsigned major, unsigned minor);

/* Writes the trailer. Returns 0, or an error_code if anything failed since cpio_open(). */
int cpio_close(struct cpio *cpio);

#endif
