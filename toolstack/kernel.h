/* SPDX-License-Identifier: MIT */
/* Linux kernel images: is it one, which version, and where are its modules. */
#ifndef ANNEX_KERNEL_H
#define ANNEX_KERNEL_H

#include <stddef.h>

/* The file is a readable bzImage with a 64-bit entry. Returns 0 or an error_code. */
int kernel_check(const char *path);

/* The file is readable and not empty. */
int kernel_check_initrd(const char *path);

/* The version in a bzImage's header ("6.1.0-9-amd64"), or an error_code. */
int kernel_version(const char *path, char *version, size_t size);

#endif
