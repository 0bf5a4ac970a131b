/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "guest-agent/log.h"
#include "guest-agent/translate.h"

/* Documentation/admin-guide/mm/pagemap.rst */
#define PRESENT (1ull << 63)
#define FRAME   ((1ull << 55) - 1)

#define ENTRIES  4096u /* page table entries in one read */
#define USER_END (1ull << 56) /* five levels; what lies above is the kernel's vsyscall page */

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

struct translate {
	FILE *maps; /* NULL: a walk over a file */
	int pagemap; /* of the process, or our own */
	int file;
	uint64_t low, high; /* a process's addresses, bytes */
	uint64_t at, end; /* what is left of this mapping; of a file: its pages, bytes */
	char *line;
	size_t line_size;
	uint64_t entry[ENTRIES];
	unsigned char resident[ENTRIES];
};

static struct translate *new_walk(void)
{
	struct translate *t = calloc(1, sizeof(*t));

	if (!t)
		log_no_memory();
	t->pagemap = t->file = -1;
	return t;
}

void translate_close(struct translate *t)
{
	if (!t)
		return;
	if (t->maps)
		fclose(t->maps);
	if (t->pagemap >= 0)
		close(t->pagemap);
	if (t->file >= 0)
		close(t->file);
	free(t->line);
	free(t);
}

static struct translate *fail(struct translate *t, int error)
{
	translate_close(t);
	errno = error;
	return NULL;
}

struct translate *translate_process(pid_t pid, uint64_t address, uint64_t length)
{
	struct translate *t = new_walk();
	char path[64];

	t->low = address & ~(RANGES_PAGE - 1);
	t->high = length > USER_END || address > USER_END - length
			  ? USER_END
			  : (address + length + RANGES_PAGE - 1) & ~(RANGES_PAGE - 1);
	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)pid);
	t->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (t->pagemap < 0)
		return fail(t, errno == ENOENT ? ESRCH : errno);
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	t->maps = fopen(path, "re");
	if (!t->maps)
		return fail(t, errno == ENOENT ? ESRCH : errno);
	return t;
}

struct translate *translate_file(const char *path)
{
	struct translate *t = new_walk();
	struct stat status;

	/* Not opened before it is known: opening a device or a pipe can do something. */
	if (stat(path, &status) != 0)
		return fail(t, errno);
	if (!S_ISREG(status.st_mode))
		return fail(t, EINVAL);
	/*
	 * O_NOATIME asks for the owner or CAP_FOWNER, as mincore does: without, it calls every page
	 * resident, and looking at the file would read all of it.
	 */
	t->file = open(path, O_RDONLY | O_CLOEXEC | O_NOATIME | O_NONBLOCK | O_NOCTTY);
	if (t->file < 0 || fstat(t->file, &status) != 0)
		return fail(t, errno);
	if (!S_ISREG(status.st_mode))
		return fail(t, EINVAL);
	t->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (t->pagemap < 0)
		return fail(t, errno);
	t->end = ((uint64_t)status.st_size + RANGES_PAGE - 1) & ~(RANGES_PAGE - 1);
	return t;
}

/* The next mapping that is asked about. False: there is none. */
static bool next_mapping(struct translate *t)
{
	while (getline(&t->line, &t->line_size, t->maps) > 0) {
		uint64_t from, to;
		char access[8];

		if (sscanf(t->line, "%" SCNx64 "-%" SCNx64 " %7s", &from, &to, access) != 3)
			continue;
		if (from >= t->high)
			return false;
		/* What nobody may touch is mostly space that was only set aside. */
		if (to <= t->low || strncmp(access, "---", 3) == 0)
			continue;
		t->at = from > t->low ? from : t->low;
		t->end = to < t->high ? to : t->high;
		return true;
	}
	return false;
}

/*
 * Adds what entry[0..count) says. Returns how many were present; *hidden when one was that has no
 * number.
 */
static unsigned take_entries(const uint64_t *entry, unsigned count,
	const struct translate_window *window, struct ranges *out, bool *hidden)
{
	unsigned present = 0;

	for (unsigned i = 0; i < count; i++) {
		uint64_t frame = entry[i] & FRAME;

		if (!(entry[i] & PRESENT))
			continue;
		present++;
		if (!frame)
			*hidden = true;
		else if (frame - window->first < window->pages && frame >= window->first)
			ranges_add(out, frame, 1);
	}
	return present;
}

static void charge(uint64_t *work, unsigned looked, unsigned present)
{
	uint64_t cost = present + (looked - present) / 8 + 1;

	*work = cost < *work ? *work - cost : 0;
}

/* Entries of our own pagemap or of the process's, from an address on. Returns how many were read. */
static unsigned read_entries(struct translate *t, uint64_t address, uint64_t *entry, unsigned count)
{
	ssize_t got = pread(t->pagemap, entry, count * sizeof(*entry),
		(off_t)(address / RANGES_PAGE * sizeof(*entry)));

	return got > 0 ? (unsigned)((size_t)got / sizeof(*entry)) : 0;
}

static enum translate_state step_process(struct translate *t, const struct translate_window *window,
	uint64_t *work, struct ranges *out)
{
	bool hidden = false;

	while (*work) {
		uint64_t left = (t->end - t->at) / RANGES_PAGE;
		unsigned count = left < ENTRIES ? (unsigned)left : ENTRIES;
		unsigned got, present;

		if (!left) {
			if (next_mapping(t)) {
				charge(work, 0, 0);
				continue;
			}
			/* An address space that is gone has no entries, and no mappings either. */
			return read_entries(t, 0, t->entry, 1) ? TRANSLATE_DONE : TRANSLATE_GONE;
		}
		if (count > *work)
			count = (unsigned)*work;
		got = read_entries(t, t->at, t->entry, count);
		if (!got)
			return TRANSLATE_GONE;
		present = take_entries(t->entry, got, window, out, &hidden);
		if (hidden)
			return TRANSLATE_HIDDEN;
		charge(work, got, present);
		t->at += got * RANGES_PAGE;
	}
	return TRANSLATE_MORE;
}

/* Puts resident pages into our page table, without a touch: their content may be far away. */
static void map_resident(struct translate *t, char *address, size_t size, uint64_t offset)
{
	if (madvise(address, size, MADV_POPULATE_READ) == 0 || errno != EINVAL)
		return;
	/* A kernel that does not know it. What fails here is a page that is not found below. */
	(void)mmap(address, size, PROT_READ, MAP_SHARED | MAP_FIXED | MAP_POPULATE, t->file,
		(off_t)offset);
}

/* A piece of a file of `count` pages, mapped at address. Returns how many of its pages were resident. */
static unsigned take_piece(struct translate *t, char *address, unsigned count,
	const struct translate_window *window, struct ranges *out, bool *hidden)
{
	unsigned present = 0;

	/* No reading ahead; and no access is remembered when the piece is unmapped (Linux 6.3). */
	(void)madvise(address, count * RANGES_PAGE, MADV_RANDOM);
	if (mincore(address, count * RANGES_PAGE, t->resident) != 0)
		return 0;
	for (unsigned i = 0, run; i < count; i += run) {
		char *from = address + i * RANGES_PAGE;

		for (run = 1; i + run < count; run++)
			if ((t->resident[i + run] & 1) != (t->resident[i] & 1))
				break;
		if (!(t->resident[i] & 1))
			continue;
		map_resident(t, from, run * RANGES_PAGE, t->at + i * RANGES_PAGE);
		present += take_entries(t->entry,
			read_entries(t, (uint64_t)(uintptr_t)from, t->entry, run), window, out,
			hidden);
	}
	return present;
}

static enum translate_state step_file(struct translate *t, const struct translate_window *window,
	uint64_t *work, struct ranges *out)
{
	bool hidden = false;

	while (*work && t->at < t->end) {
		uint64_t left = (t->end - t->at) / RANGES_PAGE;
		unsigned count = left < ENTRIES ? (unsigned)left : ENTRIES;
		char *address;

		if (count > *work)
			count = (unsigned)*work;
		address = mmap(
			NULL, count * RANGES_PAGE, PROT_READ, MAP_SHARED, t->file, (off_t)t->at);
		if (address == MAP_FAILED)
			return TRANSLATE_GONE;
		charge(work, count, take_piece(t, address, count, window, out, &hidden));
		munmap(address, count * RANGES_PAGE);
		if (hidden)
			return TRANSLATE_HIDDEN;
		t->at += count * RANGES_PAGE;
	}
	return t->at < t->end ? TRANSLATE_MORE : TRANSLATE_DONE;
}

enum translate_state translate_step(struct translate *t, const struct translate_window *window,
	uint64_t *work, struct ranges *out)
{
	return t->maps ? step_process(t, window, work, out) : step_file(t, window, work, out);
}
