/* SPDX-License-Identifier: MIT */
/* The VMM's own RAM (layout.own), handed out once and never taken back. Boot only; by any CPU. */
#ifndef ANNEX_MEMORY_H
#define ANNEX_MEMORY_H

#include <stddef.h>

/* Zeroed memory, aligned to a power of two. Stops the boot, naming `what`, when there is none left. */
void *memory_take(size_t bytes, size_t align, const char *what);

/* Bytes handed out so far, image included (the VMM's budget; docs/ has the sum). */
size_t memory_taken(void);

#endif
