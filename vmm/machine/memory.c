/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include "lib/panic.h"
#include "machine/layout.h"
#include "machine/memory.h"
#include "machine/x86.h"

/* What is left of our own RAM around image and frames, in ascending order. */
struct piece {
	uint64_t next;
	uint64_t end;
};

static struct piece pieces[LAYOUT_RANGES * 2];
static unsigned count;
static size_t taken;
static _Atomic uint32_t lock; /* the service core starts while the boot CPU still builds */

extern const uint8_t image_start[], image_end[];

static void piece_add(uint64_t start, uint64_t end)
{
	if (start < end && count < sizeof(pieces) / sizeof(pieces[0]))
		pieces[count++] = (struct piece){start, end};
}

/* Pieces come from `layout` at the first call: by then boot has made it. */
static void prepare(void)
{
	for (unsigned i = 0; i < layout.own_count; i++) {
		uint64_t start = layout.own[i].start, end = start + layout.own[i].bytes;

		if (start <= (uint64_t)image_start && (uint64_t)image_end <= end)
			start = (uint64_t)image_end;
		for (unsigned f = 0; f < layout.frames_count; f++) {
			const struct layout_range *r = &layout.frames[f];

			if (r->start < layout.own[i].start || r->start >= end)
				continue;
			piece_add(start, r->start);
			start = r->start + r->bytes;
		}
		piece_add(start, end);
	}
	taken = (size_t)(image_end - image_start);
}

/* NULL: no piece has room. */
static void *take(size_t bytes, size_t align)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t at = (pieces[i].next + align - 1) & ~(uint64_t)(align - 1);

		if (at > pieces[i].end || pieces[i].end - at < bytes)
			continue;
		pieces[i].next = at + bytes;
		taken += bytes;
		return (void *)at;
	}
	return NULL;
}

void *memory_take(size_t bytes, size_t align, const char *what)
{
	void *memory;

	check(align && !(align & (align - 1)));
	while (atomic_exchange(&lock, 1))
		cpu_relax();
	if (!count)
		prepare();
	memory = take(bytes, align);
	atomic_store(&lock, 0);
	if (memory)
		return memset(memory, 0, bytes);
	panic_boot("no local memory left for %s (%lu KiB)", what, (unsigned long)(bytes / 1024));
}

size_t memory_taken(void)
{
	return taken;
}
