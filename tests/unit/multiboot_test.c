/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "boot/multiboot.h"
#include "boot/payload.h"
#include "boot/screen.h"
#include "machine/acpi.h"
#include "machine/fw_cfg.h"
#include "tests/host/host.h"

#define ROOM 4096u

/* The boot information of a run, as a loader writes it. */
static uint8_t info[ROOM] __attribute__((aligned(8)));
static uint32_t used;
static struct start start;

/* Not asked for: modules are in memory. */
bool fw_cfg_find(const char *name, struct fw_cfg_file *file)
{
	fail();
	return false;
}

void fw_cfg_read(const struct fw_cfg_file *file, uint32_t offset, void *to, uint32_t bytes)
{
	fail();
}

static void begin(void)
{
	memset(info, 0xff, sizeof(info));
	memset(&start, 0, sizeof(start));
	payload_forget();
	used = 8;
}

static void tag(uint32_t type, const void *data, uint32_t bytes)
{
	uint32_t head[2] = {type, 8 + bytes};

	memcpy(info + used, head, 8);
	memcpy(info + used + 8, data, bytes);
	used += (8 + bytes + 7) & ~7u;
}

static void module(const char *string, uint32_t at, uint32_t bytes)
{
	uint32_t place[2] = {at, at + bytes};
	uint8_t data[256];

	memcpy(data, place, 8);
	memcpy(data + 8, string, strlen(string) + 1);
	tag(3, data, (uint32_t)(8 + strlen(string) + 1));
}

static void mmap_row(uint8_t *at, uint64_t base, uint64_t bytes, uint32_t type)
{
	memcpy(at, &base, 8);
	memcpy(at + 8, &bytes, 8);
	memcpy(at + 16, &type, 4);
	memset(at + 20, 0, 4);
}

static void mmap_tag(void)
{
	uint8_t data[8 + 5 * 24];
	uint32_t head[2] = {24, 0};

	memcpy(data, head, 8);
	mmap_row(data + 8, 0x100000, 0x1000000, 1);
	mmap_row(data + 32, 0, 0xa0000, 1);
	mmap_row(data + 56, 0x1100000, 0x1000, 1);
	mmap_row(data + 80, 0x2000000, 0x1000, 4);
	mmap_row(data + 104, 0x3000000, 0x1000, 20);
	tag(6, data, sizeof(data));
}

static void end(void)
{
	uint32_t head[2] = {0, 8}, total[2];

	memcpy(info + used, head, 8);
	used += 8;
	total[0] = used;
	total[1] = 0;
	memcpy(info, total, 8);
}

static void read_all(void)
{
	multiboot_read(info, &start);
	memmap_finish(&start.map);
}

static void modules_map_and_line(void **state)
{
	char line[64] = "";
	uint32_t bytes;

	begin();
	tag(1, "ignored", 8);
	module("config", 0x8000, 10);
	module("kernel  root=/dev/vda movable_node", 0x1500000, 1000);
	module("initrd", 0x2288000, 2000);
	mmap_tag();
	tag(200, "unknown", 8);
	end();
	read_all();
	assert_int_equal(payload_need(PAYLOAD_KERNEL), 1000);
	assert_true(payload_place(PAYLOAD_KERNEL).start == 0x1500000);
	assert_true(payload_find(PAYLOAD_INITRD, &bytes) && bytes == 2000);
	assert_int_equal(payload_need(PAYLOAD_CONFIG), 10);
	bytes = payload_need(PAYLOAD_CMDLINE);
	payload_read(PAYLOAD_CMDLINE, 0, line, bytes);
	assert_string_equal(line, "root=/dev/vda movable_node");
	/* Sorted, joined, and what is not known is reserved. */
	assert_int_equal(start.map.rows, 4);
	assert_true(start.map.row[1].start == 0x100000 && start.map.row[1].end == 0x1101000);
	assert_int_equal(start.map.row[2].type, MEMMAP_NVS);
	assert_int_equal(start.map.row[3].type, MEMMAP_RESERVED);
	assert_true(start.rsdp == 0 && start.screen.kind == DISPLAY_NONE);
}

static void refused(const char *text)
{
	end();
	assert_true(host_expect_panic(read_all()));
	assert_int_equal(host_panic_kind(), HOST_PANIC_BOOT);
	if (!strstr(host_panic_text(), text))
		fail_msg("%s", host_panic_text());
}

static void wrong_modules(void **state)
{
	begin();
	mmap_tag();
	module("kernel a", 0x100, 1);
	module("kernel b", 0x200, 1);
	refused("two modules are called `kernel`");
	begin();
	mmap_tag();
	module("kernels", 0x100, 1);
	refused("a module is called \"kernels\"");
	begin();
	mmap_tag();
	module("", 0x100, 1);
	refused("a module is called \"\"");
	begin();
	mmap_tag();
	tag(3, "\0\0\0\0\0\0\0\0kernel", 14); /* without its NUL */
	refused("information on a module is damaged");
	begin();
	mmap_tag();
	tag(3, "\x02\0\0\0\x01\0\0\0kernel", 15);
	refused("information on a module is damaged (2-1)");
	begin();
	mmap_tag();
	tag(3, "\0\0\0", 4);
	refused("tag 3 has 12 bytes");
	begin();
	mmap_tag();
	end();
	read_all();
	assert_true(host_expect_panic(payload_need(PAYLOAD_KERNEL)));
	assert_string_equal(host_panic_text(), "no kernel: the loader gave no module `kernel`");
	assert_true(host_expect_panic(payload_need(PAYLOAD_CONFIG)));
	assert_non_null(strstr(host_panic_text(), "no module `config`"));
}

static void wrong_information(void **state)
{
	uint32_t head[2] = {16, 0};
	uint8_t row[8 + 24];

	begin();
	module("kernel", 0x100, 1);
	refused("no memory map");
	begin();
	tag(6, head, 8);
	refused("entries of 16 bytes");
	begin();
	head[0] = 24;
	memcpy(row, head, 8);
	mmap_row(row + 8, UINT64_MAX - 4095, 8192, 1);
	tag(6, row, sizeof(row));
	refused("wraps");
	begin();
	memcpy(row, head, 8);
	mmap_row(row + 8, 0x200000, 8192, 2);
	tag(6, row, sizeof(row));
	mmap_tag();
	refused("overlaps at 200000");
	begin();
	mmap_tag();
	end();
	memset(info + used - 8, 0, 8); /* a tag of no bytes */
	assert_true(host_expect_panic(read_all()));
	assert_non_null(strstr(host_panic_text(), "damaged at byte"));
	begin();
	end();
	memcpy(info, &(uint32_t){2 << 20}, 4);
	assert_true(host_expect_panic(read_all()));
	assert_non_null(strstr(host_panic_text(), "has 2097152 bytes"));
	/* Without an end. */
	begin();
	mmap_tag();
	end();
	memcpy(info, &(uint32_t){used - 8}, 4);
	assert_true(host_expect_panic(read_all()));
	assert_non_null(strstr(host_panic_text(), "damaged at byte"));
}

/* The newer RSDP wins, in whatever order. */
static void rsdp(void **state)
{
	struct acpi_rsdp old = {.signature = "RSD PTR", .rsdt = 1}, new = old;

	new.revision = 2;
	new.xsdt = 2;
	for (int order = 0; order < 2; order++) {
		begin();
		mmap_tag();
		if (order)
			tag(15, &new, sizeof(new));
		tag(14, &old, 20);
		if (!order)
			tag(15, &new, sizeof(new));
		end();
		read_all();
		assert_memory_equal((const void *)start.rsdp, &new, sizeof(new));
	}
	begin();
	mmap_tag();
	tag(15, &new, 20);
	tag(14, &old, 20);
	end();
	read_all();
	assert_memory_equal((const void *)start.rsdp, &old, 20);
	assert_int_equal(((const struct acpi_rsdp *)start.rsdp)->length, 0);
}

static void framebuffer(
	uint64_t base, uint32_t pitch, uint32_t width, uint32_t height, uint8_t depth, uint8_t type)
{
	uint8_t data[24 + 6] = {0};

	memcpy(data, &base, 8);
	memcpy(data + 8, &pitch, 4);
	memcpy(data + 12, &width, 4);
	memcpy(data + 16, &height, 4);
	data[20] = depth;
	data[21] = type;
	memcpy(data + 24, "\x10\x08\x08\x08\x00\x08", 6);
	begin();
	mmap_tag();
	tag(8, data, type == 1 ? 30 : 24);
	end();
	read_all();
}

static void screens(void **state)
{
	struct screen_info s = {0};

	framebuffer(0x880000000, 4096, 1024, 768, 32, 1);
	assert_int_equal(start.screen.kind, DISPLAY_PIXELS);
	screen_fill(&s, &start.screen);
	assert_int_equal(s.orig_video_isVGA, VIDEO_TYPE_VLFB);
	assert_true(s.lfb_base == 0x80000000 && s.ext_lfb_base == 8);
	assert_true(s.capabilities & VIDEO_CAPABILITY_64BIT_BASE);
	assert_int_equal(s.lfb_size, 48);
	assert_true(s.red_pos == 16 && s.green_pos == 8 && s.blue_pos == 0 && s.blue_size == 8);
	assert_true(s.rsvd_pos == 24 && s.rsvd_size == 8);
	framebuffer(0xb8000, 160, 80, 25, 16, 2);
	memset(&s, 0, sizeof(s));
	screen_fill(&s, &start.screen);
	assert_true(s.orig_video_isVGA == VIDEO_TYPE_VGAC && s.orig_video_cols == 80);
	framebuffer(0x80000000, 100, 1024, 768, 32, 1); /* lines that overlap */
	assert_int_equal(start.screen.kind, DISPLAY_NONE);
	framebuffer(0x80000000, 4096, 1024, 768, 8, 0); /* indexed */
	assert_int_equal(start.screen.kind, DISPLAY_NONE);
	memset(&s, 0, sizeof(s));
	screen_fill(&s, &start.screen);
	assert_int_equal(s.orig_video_isVGA, 0);
}

/* Damaged in random bytes: read or refused, never beyond its end (ASan watches the copy). */
static void damaged_information(void **state)
{
	uint8_t *copy, whole[ROOM];
	uint32_t length;

	begin();
	module("kernel root=/dev/vda", 0x1500000, 1000);
	mmap_tag();
	module("config", 0x8000, 10);
	tag(14, "RSD PTR 0123456789ab", 20);
	end();
	length = used;
	memcpy(whole, info, length);
	srand(1);
	for (unsigned i = 0; i < 20000; i++) {
		copy = malloc(length);
		assert_non_null(copy);
		memcpy(copy, whole, length);
		for (unsigned k = 0; k < 1u + (unsigned)rand() % 3; k++)
			copy[8 + (unsigned)rand() % (length - 8)] = (uint8_t)rand();
		memset(&start, 0, sizeof(start));
		payload_forget();
		if (!host_expect_panic(multiboot_read(copy, &start)))
			assert_true(start.map.rows > 0);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modules_map_and_line),
		cmocka_unit_test(wrong_modules),
		cmocka_unit_test(wrong_information),
		cmocka_unit_test(rsdp),
		cmocka_unit_test(screens),
		cmocka_unit_test(damaged_information),
	};

	return cmocka_run_group_tests_name("multiboot", tests, NULL, NULL);
}
