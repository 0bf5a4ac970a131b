/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "machine/layout.h"
#include "machine/memmap.h"
#include "tests/host/host.h"

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define GIB (1ull << 30)

/* q35 with 1 GiB: everything below 4 GiB. */
static const struct memmap small = {
	.row = {{0, 0x9fc00, MEMMAP_RAM}, {0x9fc00, 0xa0000, MEMMAP_RESERVED},
		{0xf0000, 0x100000, MEMMAP_RESERVED}, {0x100000, 0x3ffe0000, MEMMAP_RAM},
		{0x3ffe0000, 0x40000000, MEMMAP_RESERVED},
		{0xb0000000, 0xc0000000, MEMMAP_RESERVED},
		{0xfd00000000, 0x10000000000, MEMMAP_RESERVED}},
	.rows = 7,
};

/* q35 with 6 GiB: 2 GiB below the hole, 4 GiB above. */
static const struct memmap split = {
	.row = {{0, 0x9fc00, MEMMAP_RAM}, {0xf0000, 0x100000, MEMMAP_RESERVED},
		{0x100000, 0x7ffe0000, MEMMAP_RAM}, {0x7ffe0000, 0x80000000, MEMMAP_RESERVED},
		{0x100000000, 0x200000000, MEMMAP_RAM}},
	.rows = 5,
};

/* OVMF with 512 MiB, as GRUB tells it: the firmware keeps pieces of 2..16 MiB. */
static const struct memmap uefi = {
	.row = {{0, 0xa0000, MEMMAP_RAM}, {0x100000, 0x800000, MEMMAP_RAM},
		{0x800000, 0x808000, MEMMAP_NVS}, {0x808000, 0x80b000, MEMMAP_RAM},
		{0x80b000, 0x80c000, MEMMAP_NVS}, {0x80c000, 0x810000, MEMMAP_RAM},
		{0x810000, 0x900000, MEMMAP_NVS}, {0x900000, 0x1eea4000, MEMMAP_RAM},
		{0x1eea4000, 0x1ef65000, MEMMAP_RESERVED}, {0x1ef65000, 0x1f8ed000, MEMMAP_RAM},
		{0x1f8ed000, 0x1fb6d000, MEMMAP_RESERVED}, {0x1fb6d000, 0x1fb7f000, MEMMAP_ACPI},
		{0x1fb7f000, 0x1fbff000, MEMMAP_NVS}, {0x1fbff000, 0x1ff50000, MEMMAP_RAM},
		{0xb0000000, 0xc0000000, MEMMAP_RESERVED}},
	.rows = 15,
};

static struct layout_request request(const struct memmap *map, uint64_t pinned, uint64_t far)
{
	return (struct layout_request){
		.map = map, .pinned = pinned, .far = far, .address_limit = 1ull << 40};
}

static uint64_t sum(const struct layout_range *range, unsigned count)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < count; i++)
		bytes += range[i].bytes;
	return bytes;
}

static bool inside(struct layout_range r, const struct layout_range *range, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (r.start >= range[i].start &&
			r.start + r.bytes <= range[i].start + range[i].bytes)
			return true;
	}
	return false;
}

/* What must hold of every layout: nothing belongs to two, nothing is lost, frames fit their tables. */
static void assert_sound(const struct memmap *map)
{
	uint64_t ram = 0, frames = sum(layout.frames, layout.frames_count) / 4096;
	uint64_t own = sum(layout.own, layout.own_count);

	for (unsigned i = 0; i < map->rows; i++) {
		if (map->row[i].type == MEMMAP_RAM)
			ram += (map->row[i].end & ~4095ull) - map->row[i].start;
	}
	assert_true(sum(layout.pinned, layout.pinned_count) + own == ram);
	for (unsigned i = 0; i < layout.pinned_count; i++) {
		for (unsigned k = 0; k < layout.own_count; k++)
			assert_true(layout.pinned[i].start + layout.pinned[i].bytes <=
					    layout.own[k].start ||
				    layout.own[k].start + layout.own[k].bytes <=
					    layout.pinned[i].start);
	}
	for (unsigned i = 0; i < layout.frames_count; i++) {
		assert_true(inside(layout.frames[i], layout.own, layout.own_count));
		assert_int_equal(layout.frames[i].start % 4096, 0);
		assert_int_equal(layout.frames[i].bytes % 4096, 0);
	}
	/* The budget: 32 bytes per frame, 8 per far page, the rest within 16 MiB. */
	assert_true(own - frames * 4096 >= frames * 32 + layout.far_bytes / 4096 * 8);
	assert_int_equal(layout.far_base % GIB, 0);
	assert_true(layout.far_base >= layout.ram_end && layout.far_base >= 4 * GIB);
	assert_true(layout.far_base + layout.far_bytes <= layout.address_limit);
}

static void one_piece_of_ram(void **state)
{
	struct layout_request q = request(&small, 384 * MIB, GIB);

	layout_make(&q);
	assert_sound(&small);
	assert_int_equal(layout.pinned_count, 3);
	assert_true(layout.pinned[0].start == 0 && layout.pinned[0].bytes == 0x9f000);
	assert_true(layout.pinned[1].start == MIB && layout.pinned[1].bytes == MIB);
	assert_true(layout.pinned[2].start == 0xfe0000);
	assert_true(layout.hand_off.start == 0xfe0000 && layout.trampoline == 0x8000);
	assert_int_equal((layout.pinned[2].start + layout.pinned[2].bytes) % (2 * MIB), 0);
	assert_true(sum(layout.pinned, layout.pinned_count) >= 384 * MIB);
	assert_true(sum(layout.pinned, layout.pinned_count) < 387 * MIB);
	assert_true(layout.own[0].start == LAYOUT_LOW_START);
	assert_true(layout.far_base == 36 * GIB);
	/* All local memory that is left is the pcache's, but for tables within the budget. */
	assert_true(layout.own[1].bytes - layout.frames[0].bytes <
		    layout.frames[0].bytes / 4096 * 32 + 2 * MIB + 3 * MIB);
}

static void pinned_across_the_hole(void **state)
{
	struct layout_request q = request(&split, 3 * GIB, 8 * GIB);

	layout_make(&q);
	assert_sound(&split);
	assert_int_equal(layout.pinned_count, 4);
	assert_true(layout.pinned[3].start == 4 * GIB);
	assert_int_equal(layout.own_count, 2);
	assert_int_equal(layout.frames_count, 1);
	assert_true(layout.far_base == 40 * GIB);
}

static void frames_on_both_sides_of_the_hole(void **state)
{
	struct layout_request q = request(&split, 512 * MIB, 8 * GIB);

	layout_make(&q);
	assert_sound(&split);
	assert_int_equal(layout.frames_count, 2);
	assert_true(layout.frames[0].start < 4 * GIB && layout.frames[1].start > 4 * GIB);
}

static void pcache_is_capped(void **state)
{
	struct layout_request q = request(&split, 512 * MIB, 8 * GIB);

	q.pcache = 64 * MIB;
	layout_make(&q);
	assert_sound(&split);
	assert_true(sum(layout.frames, layout.frames_count) == 64 * MIB);
}

static void window_avoids_what_is_there(void **state)
{
	const struct layout_range busy[] = {{38 * GIB, 4 * KIB}, {50 * GIB, 10 * GIB}};
	struct layout_request q = request(&small, 384 * MIB, 8 * GIB);

	q.busy = busy;
	q.busy_count = 2;
	layout_make(&q);
	assert_sound(&small);
	assert_true(layout.far_base == 39 * GIB);
	q.far = 16 * GIB;
	layout_make(&q);
	assert_true(layout.far_base == 60 * GIB);
}

/* Tables beside the window map whole GiB: nothing may lie behind it in its last one. */
static void window_has_its_last_gib_alone(void **state)
{
	const struct layout_range busy[] = {{36 * GIB + 1000 * MIB, 4 * KIB}};
	struct layout_request q = request(&small, 384 * MIB, 512 * MIB);

	q.busy = busy;
	q.busy_count = 1;
	layout_make(&q);
	assert_sound(&small);
	assert_true(layout.far_base == 37 * GIB);
}

/* OVMF's 64-bit PCI window, with BARs in it and one beside it: what lies above the far window. */
static void devices_above_the_window(void **state)
{
	const struct layout_range busy[] = {{0xe060000000, 0x4000}, {0xc0000000, 0x1000},
		{0xf800001000, 0x1000}, {0xe000000000, 64 * GIB}, {38 * GIB, 4 * KIB},
		{0xf7ffe00000, 0x200000}};
	struct layout_request q = request(&small, 384 * MIB, GIB);

	q.busy = busy;
	q.busy_count = 6;
	layout_make(&q);
	assert_sound(&small);
	assert_true(layout.far_base == 36 * GIB);
	assert_int_equal(layout.high_count, 3);
	assert_true(layout.high[0].start == 38 * GIB && layout.high[0].bytes == 2 * MIB);
	assert_true(layout.high[1].start == 0xe000000000 && layout.high[1].bytes == 64 * GIB);
	assert_true(layout.high[2].start == 0xf7ffe00000 && layout.high[2].bytes == 4 * MIB);
	q.address_limit = 0xf000000000;
	layout_make(&q);
	assert_int_equal(layout.high_count, 2);
}

/* 12 GiB below 1 TiB are no place, on the emulator as on AMD's own. */
static void window_avoids_hypertransport(void **state)
{
	const struct layout_range busy[] = {{36 * GIB, 970 * GIB}};
	struct layout_request q = request(&small, 512 * MIB, 8 * GIB);

	q.busy = busy;
	q.busy_count = 1;
	q.address_limit = 1ull << 46;
	layout_make(&q);
	assert_true(layout.far_base == 1024 * GIB);
	q.address_limit = 1ull << 40;
	assert_true(host_expect_panic(layout_make(&q)));
	assert_non_null(strstr(host_panic_text(), "no room for a far window of 8192 MiB"));
}

static void small_address_space(void **state)
{
	struct layout_request q = request(&small, 384 * MIB, 8 * GIB);

	q.address_limit = 1ull << 36;
	layout_make(&q);
	assert_true(layout.far_base == 36 * GIB);
	q.far = 30 * GIB;
	layout_make(&q);
	assert_true(layout.far_base == 4 * GIB);
	q.far = 61 * GIB;
	assert_true(host_expect_panic(layout_make(&q)));
	assert_non_null(strstr(host_panic_text(), "set a smaller `far`"));
}

static void firmware_below_16_mib(void **state)
{
	struct layout_request q = request(&uefi, 256 * MIB, 64 * MIB);
	struct memmap map = uefi;

	layout_make(&q);
	assert_sound(&uefi);
	assert_true(layout.hand_off.start == 0xfe0000);
	assert_int_equal(layout.own_count, 7);
	assert_true(layout.own[0].start == 2 * MIB && layout.own[0].bytes == 6 * MIB);
	assert_true(layout.own[3].start == 0x900000 && layout.own[4].start > 256 * MIB);
	assert_int_equal(layout.frames_count, 3);
	/* The hand-off moves to where there is room, the trampoline too. */
	map.row[0] = (struct memmap_row){0x20000, 0x80000, MEMMAP_RAM};
	map.row[7].start = 17 * MIB;
	q = request(&map, 256 * MIB, 64 * MIB);
	layout_make(&q);
	assert_sound(&map);
	assert_true(layout.hand_off.start == 0x7e0000);
	assert_true(inside(layout.hand_off, layout.pinned, layout.pinned_count));
	assert_true(layout.trampoline == 0x20000);
	/* None above the image. */
	map.row[1].end = 0x610000;
	assert_true(host_expect_panic(layout_make(&q)));
	assert_non_null(strstr(host_panic_text(), "RAM at 2..6 MiB"));
	map.row[0].start = 0x9f800;
	assert_true(host_expect_panic(layout_make(&q)));
	assert_non_null(strstr(host_panic_text(), "RAM at 32..640 KiB"));
}

/* More pieces than can hold frames: the largest do. */
static void frames_in_the_largest_pieces(void **state)
{
	struct memmap map = small;
	struct layout_request q = request(&map, 384 * MIB, 64 * MIB);

	map.rows = 4;
	map.row[3].end = 400 * MIB;
	for (unsigned i = 0; i < 6; i++)
		map.row[map.rows++] = (struct memmap_row){GIB + i * 64 * MIB,
			GIB + i * 64 * MIB + (i & 1 ? 1 : 20 + i) * MIB, MEMMAP_RAM};
	layout_make(&q);
	assert_int_equal(layout.frames_count, 4);
	for (unsigned i = 0; i < 3; i++)
		assert_true(inside((struct layout_range){GIB + i * 128 * MIB + 16 * MIB, MIB},
			layout.frames, layout.frames_count));
	assert_sound(&map);
}

static void too_little(void **state)
{
	struct layout_request q = request(&small, 1008 * MIB, 8 * GIB);
	struct memmap holed = small;

	assert_true(host_expect_panic(layout_make(&q)));
	assert_non_null(strstr(host_panic_text(), "local memory is too small"));
	q = request(&small, 4 * GIB, 8 * GIB);
	assert_true(host_expect_panic(layout_make(&q)));
	assert_non_null(strstr(host_panic_text(), "local memory is too small"));
	q = request(&small, 32 * MIB, 8 * GIB);
	assert_true(host_expect_panic(layout_make(&q)));
	assert_non_null(strstr(host_panic_text(), "at least 64 MiB"));
	holed.row[3].start = 0x300000;
	q = request(&holed, 384 * MIB, GIB);
	assert_true(host_expect_panic(layout_make(&q)));
	assert_non_null(strstr(host_panic_text(), "RAM at 2..6 MiB"));
	assert_int_equal(host_panic_kind(), HOST_PANIC_BOOT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_piece_of_ram),
		cmocka_unit_test(pinned_across_the_hole),
		cmocka_unit_test(frames_on_both_sides_of_the_hole),
		cmocka_unit_test(pcache_is_capped),
		cmocka_unit_test(window_avoids_what_is_there),
		cmocka_unit_test(window_has_its_last_gib_alone),
		cmocka_unit_test(devices_above_the_window),
		cmocka_unit_test(window_avoids_hypertransport),
		cmocka_unit_test(small_address_space),
		cmocka_unit_test(firmware_below_16_mib),
		cmocka_unit_test(frames_in_the_largest_pieces),
		cmocka_unit_test(too_little),
	};

	return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
