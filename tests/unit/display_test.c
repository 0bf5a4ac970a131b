/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "machine/display.h"

#define SIZE 0x100000u

static uint8_t *memory; /* below 4 GiB */

static int map_memory(void **state)
{
	memory = mmap(
		NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	return memory == MAP_FAILED ? -1 : 0;
}

static void write_text(const char *text)
{
	display_write(text, strlen(text));
}

/* A picture that ends where the mapped memory does: one byte more would fault. */
static struct display pixels(uint32_t width, uint32_t height, uint8_t depth)
{
	struct display d = {
		.kind = DISPLAY_PIXELS,
		.pitch = width * ((depth + 7u) / 8),
		.width = width,
		.height = height,
		.depth = depth,
		.red = {16, 8},
		.green = {8, 8},
		.blue = {0, 8},
	};

	if (depth == 16) {
		d.red = (struct display_color){11, 5};
		d.green = (struct display_color){5, 6};
		d.blue = (struct display_color){0, 5};
	}
	d.base = (uintptr_t)memory + SIZE - d.pitch * height;
	return d;
}

static uint32_t pixel(const struct display *d, unsigned x, unsigned y)
{
	uint32_t value = 0;

	memcpy(&value, (uint8_t *)(uintptr_t)d->base + y * d->pitch + x * (d->depth / 8),
		d->depth / 8);
	return value;
}

static void vga_text(void **state)
{
	struct display d = {.kind = DISPLAY_TEXT,
		.base = (uintptr_t)memory + SIZE - 160 * 25,
		.pitch = 160,
		.width = 80,
		.height = 25};
	const uint16_t *cell = (const uint16_t *)(uintptr_t)d.base;
	char line[101];

	memset(memory, 0xaa, SIZE);
	display_init(&d);
	write_text("Ab\nc");
	assert_true(cell[0] == 0x741 && cell[1] == 0x762 && cell[2] == 0x720);
	assert_int_equal(cell[80], 0x763);
	assert_int_equal(cell[24 * 80 + 79], 0x720);
	assert_int_equal(((const uint8_t *)(uintptr_t)d.base)[-1], 0xaa);
	/* A line too long goes on; behind the last line comes the first, with an empty one after it. */
	memset(line, 'x', 100);
	line[100] = 0;
	write_text("\n");
	write_text(line);
	assert_true(cell[3 * 80 + 19] == 0x778 && cell[3 * 80 + 20] == 0x720);
	for (unsigned i = 4; i <= 25; i++)
		write_text("\ny");
	assert_true(cell[0] == 0x779 && cell[1] == 0x720);
	assert_int_equal(cell[80], 0x720);
	assert_int_equal(cell[2 * 80], 0x778);
	/* Handed over: the guest's. */
	display_hand_off();
	write_text("zz");
	assert_int_equal(cell[1], 0x720);
}

static void direct_color(void **state)
{
	static const struct {
		uint32_t width, height;
		uint8_t depth;
		unsigned scale;
		uint32_t white;
	} rows[] = {{300, 100, 32, 1, 0xffffff}, {640, 40, 24, 1, 0xffffff},
		{301, 77, 16, 1, 0xffff}, {1280, 60, 24, 2, 0xffffff}, {5, 5, 32, 0, 0}};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct display d = pixels(rows[i].width, rows[i].height, rows[i].depth);
		unsigned s = rows[i].scale;

		memset(memory, 0xaa, SIZE);
		display_init(&d);
		write_text("l\xff-.\n"); /* small letters are shown as capitals */
		if (!s) {
			assert_int_equal(pixel(&d, 0, 0), 0xaaaaaaaa);
			continue;
		}
		assert_true(pixel(&d, 0, 0) == rows[i].white && pixel(&d, s, 0) == 0);
		assert_true(pixel(&d, 4 * s, 6 * s) == rows[i].white);
		assert_true(pixel(&d, 5 * s, 6 * s) == 0 && pixel(&d, 0, 7 * s) == 0);
		for (unsigned k = 0; k < 200; k++)
			write_text("a line that is long enough to be broken in most of these, I "
				   "hope\n");
		display_hand_off();
	}
}

static void none(void **state)
{
	struct display d = pixels(300, 100, 32);

	memset(memory, 0xaa, SIZE);
	d.kind = DISPLAY_NONE;
	display_init(&d);
	write_text("a");
	d = pixels(300, 100, 32);
	d.base += 4ull << 30; /* not mapped */
	display_init(&d);
	write_text("a");
	for (unsigned i = 0; i < SIZE; i++)
		assert_int_equal(memory[i], 0xaa);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vga_text),
		cmocka_unit_test(direct_color),
		cmocka_unit_test(none),
	};

	return cmocka_run_group_tests_name("display", tests, map_memory, NULL);
}
