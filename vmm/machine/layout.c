/* SPDX-License-Identifier: MIT */
/*
 * RAM, from the bottom: the first 2 MiB and everything from 16 MiB up to the configured size is
 * pinned memory; the rest is the VMM's: first the tables that grow with the window and the pcache,
 * then the frames.
 */
#include <stdbool.h>
#include "lib/log.h"
#include "lib/panic.h"
#include "machine/layout.h"
#include "machine/memmap.h"

#define PAGE 4096ull
#define MIB  (1ull << 20)
#define GIB  (1ull << 30)

#define FRAMES_RANGES    (sizeof(layout.frames) / sizeof(layout.frames[0]))
#define FRAME_TABLE      32ull /* bytes per frame */
#define SPARE            MIB /* besides what is left of 2..16 MiB */
#define PINNED_MIN       (64 * MIB)
#define CONVENTIONAL_END 0xa0000ull
#define TRAMPOLINE_MIN   0x8000ull /* below lie what is left of real mode, and habits of firmware */
#define PCI64_DEFAULT    (32 * GIB) /* q35's 64-bit PCI window, just above RAM */
#define HYPERTRANSPORT   0xfd00000000ull /* AMD: 12 GiB below 1 TiB take no RAM; nor does QEMU */
#define HYPERTRANSPORT_N 0x10000000000ull

struct layout layout;

static uint64_t align_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

static uint64_t align_down(uint64_t value, uint64_t align)
{
	return value & ~(align - 1);
}

static void add(struct layout_range *range, unsigned *count, uint64_t start, uint64_t end)
{
	if (start >= end)
		return;
	if (*count && range[*count - 1].start + range[*count - 1].bytes == start) {
		range[*count - 1].bytes += end - start;
		return;
	}
	if (*count == LAYOUT_RANGES)
		panic_boot("RAM is in more than %u pieces", LAYOUT_RANGES);
	range[(*count)++] = (struct layout_range){start, end - start};
}

static uint64_t sum(const struct layout_range *range, unsigned count)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < count; i++)
		bytes += range[i].bytes;
	return bytes;
}

/* One piece of RAM at or above LAYOUT_LOW_END: pinned as far as `want` goes, the rest our own. */
static void divide(uint64_t start, uint64_t end, uint64_t want)
{
	uint64_t have = sum(layout.pinned, layout.pinned_count);
	uint64_t cut = start;

	if (have < want) {
		/* Whole 2 MiB, so that both sides map with large pages. */
		cut = align_up(start + (want - have), 2 * MIB);
		if (cut > end)
			cut = end;
	}
	add(layout.pinned, &layout.pinned_count, start, cut);
	add(layout.own, &layout.own_count, cut, end);
}

/* The part of a row that is RAM in whole pages and lies in low..high. */
static struct layout_range part(const struct memmap_row *r, uint64_t low, uint64_t high)
{
	uint64_t start = align_up(r->start, PAGE), end = align_down(r->end, PAGE);

	start = start > low ? start : low;
	end = end < high ? end : high;
	if (r->type != MEMMAP_RAM || start >= end)
		return (struct layout_range){low, 0};
	return (struct layout_range){start, end - start};
}

static void place_trampoline(const struct memmap *map)
{
	for (unsigned i = 0; i < map->rows; i++) {
		struct layout_range r = part(&map->row[i], TRAMPOLINE_MIN, CONVENTIONAL_END);

		if (r.bytes) {
			layout.trampoline = r.start;
			return;
		}
	}
	panic_boot("no RAM at 32..640 KiB, where this machine's CPUs could start");
}

/* The highest place above the image. */
static void place_hand_off(const struct memmap *map)
{
	bool image = false;

	layout.hand_off = (struct layout_range){0, LAYOUT_HAND_OFF_BYTES};
	for (unsigned i = 0; i < map->rows; i++) {
		struct layout_range r = part(&map->row[i], LAYOUT_LOW_START, LAYOUT_LOW_END);
		uint64_t end = r.start + r.bytes;

		if (r.bytes && r.start == LAYOUT_LOW_START && end >= LAYOUT_IMAGE_END)
			image = true;
		if (r.bytes >= LAYOUT_HAND_OFF_BYTES &&
			end - LAYOUT_HAND_OFF_BYTES >= LAYOUT_IMAGE_END)
			layout.hand_off.start = end - LAYOUT_HAND_OFF_BYTES;
	}
	if (!image || !layout.hand_off.start)
		panic_boot("the VMM needs RAM at 2..6 MiB, and %lu KiB in one piece at 6..16 MiB, "
			   "which this machine's map lacks",
			(unsigned long)(LAYOUT_HAND_OFF_BYTES >> 10));
}

static void divide_low(struct layout_range r)
{
	uint64_t end = r.start + r.bytes, hand_off = layout.hand_off.start;

	if (hand_off < r.start || hand_off >= end) {
		add(layout.own, &layout.own_count, r.start, end);
		return;
	}
	add(layout.own, &layout.own_count, r.start, hand_off);
	add(layout.pinned, &layout.pinned_count, hand_off, hand_off + LAYOUT_HAND_OFF_BYTES);
	add(layout.own, &layout.own_count, hand_off + LAYOUT_HAND_OFF_BYTES, end);
}

static void divide_ram(const struct memmap *map, uint64_t want)
{
	for (unsigned i = 0; i < map->rows; i++) {
		struct layout_range r = part(&map->row[i], 0, LAYOUT_LOW_START);

		add(layout.pinned, &layout.pinned_count, r.start, r.start + r.bytes);
		divide_low(part(&map->row[i], LAYOUT_LOW_START, LAYOUT_LOW_END));
		r = part(&map->row[i], LAYOUT_LOW_END, UINT64_MAX);
		divide(r.start, r.start + r.bytes, want);
		if (map->row[i].type == MEMMAP_RAM)
			layout.ram_end = align_down(map->row[i].end, PAGE);
	}
}

static bool low(struct layout_range r)
{
	return r.start < LAYOUT_LOW_END;
}

/* One of our largest pieces above 16 MiB: as many as can hold frames. */
static bool for_frames(unsigned index)
{
	unsigned larger = 0;

	for (unsigned i = 0; i < layout.own_count; i++) {
		if (!low(layout.own[i]) &&
			(layout.own[i].bytes > layout.own[index].bytes ||
				(layout.own[i].bytes == layout.own[index].bytes && i < index)))
			larger++;
	}
	return !low(layout.own[index]) && larger < FRAMES_RANGES;
}

/* Frames fill our own RAM above 16 MiB; the growing tables lie at the start of its largest piece. */
static void place_frames(uint64_t pages, uint64_t cap)
{
	uint64_t fixed =
		align_up(pages * 8 + pages / 512 * 8 + pages / 512 / 512 * 4096, MIB) + SPARE;
	uint64_t total = 0, frames, tables;
	unsigned largest = layout.own_count;

	for (unsigned i = 0; i < layout.own_count; i++) {
		if (!for_frames(i))
			continue;
		total += layout.own[i].bytes;
		if (largest == layout.own_count || layout.own[i].bytes > layout.own[largest].bytes)
			largest = i;
	}
	frames = total > fixed ? (total - fixed) / (PAGE + FRAME_TABLE) : 0;
	if (cap && frames > cap / PAGE)
		frames = cap / PAGE;
	tables = align_up(fixed + frames * FRAME_TABLE, PAGE);
	if (largest == layout.own_count || layout.own[largest].bytes < tables + PAGE || !frames)
		panic_boot("local memory is too small: pinned %lu MiB leave %lu MiB, but tables "
			   "alone take %lu MiB; give the machine more memory or set a smaller "
			   "`pinned` or `far`",
			(unsigned long)(sum(layout.pinned, layout.pinned_count) / MIB),
			(unsigned long)(total / MIB), (unsigned long)(tables / MIB + 1));
	for (unsigned i = 0; i < layout.own_count && frames; i++) {
		struct layout_range r = layout.own[i];

		if (!for_frames(i))
			continue;
		if (i == largest) {
			r.start += tables;
			r.bytes -= tables;
		}
		if (r.bytes > frames * PAGE)
			r.bytes = frames * PAGE;
		frames -= r.bytes / PAGE;
		layout.frames[layout.frames_count++] = r;
	}
}

static bool overlaps(uint64_t start, uint64_t bytes, uint64_t other, uint64_t other_end)
{
	return start < other_end && other < start + bytes;
}

/* The end of something that lies in start..start+bytes, or 0. */
static uint64_t in_the_way(const struct layout_request *q, uint64_t start, uint64_t bytes)
{
	for (unsigned i = 0; i < q->map->rows; i++) {
		if (overlaps(start, bytes, q->map->row[i].start, q->map->row[i].end))
			return q->map->row[i].end;
	}
	for (unsigned i = 0; i < q->busy_count; i++) {
		if (overlaps(start, bytes, q->busy[i].start, q->busy[i].start + q->busy[i].bytes))
			return q->busy[i].start + q->busy[i].bytes;
	}
	if (overlaps(start, bytes, HYPERTRANSPORT, HYPERTRANSPORT_N))
		return HYPERTRANSPORT_N;
	return 0;
}

/*
 * The lowest place that nothing uses or may come to use: above RAM and the PCI window that
 * machines without a word on it put there, away from every BAR, bridge window and 64-bit window of
 * the firmware's tables, below what the CPU can address. Low, because kernels size their direct map
 * by the highest address.
 */
static void place_window(const struct layout_request *q)
{
	uint64_t base, end;

	base = layout.ram_end > 4 * GIB ? layout.ram_end : 4 * GIB;
	base = align_up(base, GIB) + PCI64_DEFAULT;
	if (base + q->far > q->address_limit)
		base = align_up(layout.ram_end > 4 * GIB ? layout.ram_end : 4 * GIB, GIB);
	/* Whole GiB: the SLAT's tables of what lies beside it are of that size. */
	while ((end = in_the_way(q, base, align_up(q->far, GIB))) && base < q->address_limit)
		base = align_up(end, GIB);
	if (q->far > q->address_limit || base > q->address_limit - q->far)
		panic_boot("no room for a far window of %lu MiB: RAM and PCI end at %lx, the CPU "
			   "addresses %lx; set a smaller `far`",
			(unsigned long)(q->far / MIB), (unsigned long)base,
			(unsigned long)q->address_limit);
	layout.far_base = base;
	layout.far_bytes = q->far;
}

/* Makes room at its place among ascending ranges, and joins those that touch. */
static void insert_high(uint64_t start, uint64_t end)
{
	unsigned kept = 0, at = 0;

	for (unsigned i = 0; i < layout.high_count; i++) {
		struct layout_range r = layout.high[i];

		if (r.start <= end && start <= r.start + r.bytes) {
			start = r.start < start ? r.start : start;
			end = r.start + r.bytes > end ? r.start + r.bytes : end;
		} else {
			layout.high[kept++] = r;
		}
	}
	layout.high_count = kept;
	if (kept == LAYOUT_RANGES)
		panic_boot("more than %u pieces of devices above the far window", LAYOUT_RANGES);
	while (at < kept && layout.high[at].start < start)
		at++;
	for (unsigned i = kept; i > at; i--)
		layout.high[i] = layout.high[i - 1];
	layout.high[at] = (struct layout_range){start, end - start};
	layout.high_count++;
}

/* UEFI puts the 64-bit PCI window near the end of what the CPU addresses. */
static void find_high(const struct layout_request *q)
{
	uint64_t above = layout.far_base + layout.far_bytes;

	layout.high_count = 0;
	for (unsigned i = 0; i < q->busy_count; i++) {
		uint64_t start = align_down(q->busy[i].start, 2 * MIB);
		uint64_t end = align_up(q->busy[i].start + q->busy[i].bytes, 2 * MIB);

		start = start > above ? start : above;
		end = end < q->address_limit ? end : q->address_limit;
		if (start < end)
			insert_high(start, end);
	}
}

void layout_make(const struct layout_request *q)
{
	layout.pinned_count = layout.own_count = layout.frames_count = 0;
	layout.ram_end = 0;
	layout.address_limit = q->address_limit;
	if (q->pinned < PINNED_MIN)
		panic_boot("pinned = %lu MiB: a Linux kernel needs at least %lu MiB",
			(unsigned long)(q->pinned / MIB), (unsigned long)(PINNED_MIN / MIB));
	place_trampoline(q->map);
	place_hand_off(q->map);
	divide_ram(q->map, q->pinned);
	place_frames(q->far / PAGE, q->pcache);
	place_window(q);
	find_high(q);
	log_info("layout: %lu MiB pinned, %lu MiB of frames, far window %lx-%lx (%lu MiB)",
		(unsigned long)(sum(layout.pinned, layout.pinned_count) / MIB),
		(unsigned long)(sum(layout.frames, layout.frames_count) / MIB),
		(unsigned long)layout.far_base,
		(unsigned long)(layout.far_base + layout.far_bytes - 1),
		(unsigned long)(layout.far_bytes / MIB));
}
