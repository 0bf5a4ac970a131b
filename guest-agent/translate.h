/* SPDX-License-Identifier: MIT */
/*
 * From a process's addresses, or a file's pages in the page cache, to guest-physical ranges in the
 * far window: by /proc/PID/maps and pagemap (Documentation/admin-guide/mm/pagemap.rst), piece by
 * piece, so that the caller decides how much is done at a time. Nothing reads the memory itself: that
 * would fill what is only asked about.
 */
#ifndef ANNEX_AGENT_TRANSLATE_H
#define ANNEX_AGENT_TRANSLATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "guest-agent/ranges.h"

/* The far window; pages are page frame numbers. */
struct translate_window {
	uint64_t first;
	uint64_t pages;
};

enum translate_state {
	TRANSLATE_MORE, /* work was spent; go on later */
	TRANSLATE_DONE,
	TRANSLATE_GONE, /* the process ended (or execs): what was found is worth nothing */
	TRANSLATE_HIDDEN, /* the kernel shows no page frame numbers: CAP_SYS_ADMIN is missing */
};

struct translate;

/*
 * A walk over the mappings of a process that overlap address..address+length (0, UINT64_MAX: all).
 * It stays with the address space that the process has now. NULL: errno (ESRCH, EACCES, ...).
 */
struct translate *translate_process(pid_t pid, uint64_t address, uint64_t length);

/*
 * A walk over a regular file's pages that are in the page cache now; nothing is read from disk.
 * NULL: errno. EPERM: not allowed to see which they are (mincore's rule).
 */
struct translate *translate_file(const char *path);

/*
 * Looks at up to *work pages and takes what it looked at off *work (at least 1 when it returns
 * TRANSLATE_MORE; unpopulated ones count an eighth). Appends present pages inside the window to out.
 */
enum translate_state translate_step(struct translate *t, const struct translate_window *window,
	uint64_t *work, struct ranges *out);

void translate_close(struct translate *t);

#endif
