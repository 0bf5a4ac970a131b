/* SPDX-License-Identifier: MIT */
/* Where the guest's kernel and initrd go, from headers that ask for anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <asm/bootparam.h>
#include <cmocka.h>
#include "boot/e820.h"
#include "boot/hand_off.h"
#include "boot/linux.h"
#include "boot/payload.h"
#include "boot/screen.h"
#include "machine/layout.h"
#include "tests/host/host.h"

#define MIB 0x100000ull
#define GIB (1ull << 30)

#define KERNEL_BYTES (4u * 512)
#define CMDLINE      "movable_node swiotlb=force numa_balancing=disable"

struct layout layout;

static uint8_t first[1024];
static struct setup_header *const header = (struct setup_header *)(first + 0x1f1);
static uint64_t kernel_at, initrd_at; /* 0: not copied */
static uint32_t initrd_bytes;

bool payload_find(enum payload file, uint32_t *bytes)
{
	*bytes = initrd_bytes;
	return file == PAYLOAD_INITRD && initrd_bytes;
}

uint32_t payload_need(enum payload file)
{
	return file == PAYLOAD_KERNEL ? KERNEL_BYTES : sizeof(CMDLINE) - 1;
}

/* What would go to the guest's memory is only noted. */
void payload_read(enum payload file, uint32_t offset, void *to, uint32_t bytes)
{
	if (file == PAYLOAD_CMDLINE)
		memcpy(to, CMDLINE, bytes);
	else if (file == PAYLOAD_INITRD)
		initrd_at = (uintptr_t)to;
	else if (offset)
		kernel_at = (uintptr_t)to;
	else
		memcpy(to, first, bytes);
}

struct layout_range payload_place(enum payload file)
{
	return (struct layout_range){0};
}

void *hand_off_take(size_t bytes, size_t align)
{
	fail_msg("nothing is started here");
	return NULL;
}

void e820_build(struct e820 *e820, const struct memmap *map, uint64_t low_end)
{
}

void screen_fill(struct screen_info *info, const struct display *screen)
{
}

/* A kernel that wants 32 MiB at 16 MiB, or in steps of 2 MiB above; 256 MiB are pinned. */
static int good(void **state)
{
	memset(first, 0, sizeof(first));
	first[0x201] = 0x6a;
	header->setup_sects = 1;
	header->syssize = (KERNEL_BYTES - 2 * 512) / 16;
	header->boot_flag = 0xaa55;
	header->header = 0x53726448;
	header->version = 0x020f;
	header->xloadflags = XLF_KERNEL_64;
	header->kernel_alignment = 2 * MIB;
	header->relocatable_kernel = 1;
	header->pref_address = 16 * MIB;
	header->init_size = 32 * MIB;
	header->initrd_addr_max = 0x7fffffff;
	layout.pinned_count = 1;
	layout.pinned[0] = (struct layout_range){2 * MIB, 254 * MIB};
	kernel_at = initrd_at = initrd_bytes = 0;
	return 0;
}

static void stops(const char *says)
{
	kernel_at = 0;
	assert_true(host_expect_panic(linux_load()));
	assert_int_equal(host_panic_kind(), HOST_PANIC_BOOT);
	assert_non_null(strstr(host_panic_text(), says));
	assert_int_equal(kernel_at, 0);
}

static void it_lies_where_it_likes(void **state)
{
	linux_load();
	assert_int_equal(kernel_at, 16 * MIB);
	header->pref_address = 100 * MIB;
	linux_load();
	assert_int_equal(kernel_at, 100 * MIB);
}

static void it_is_moved_to_where_room_is(void **state)
{
	header->pref_address = 240 * MIB;
	linux_load();
	assert_int_equal(kernel_at, 16 * MIB);
	layout.pinned[0] = (struct layout_range){33 * MIB, 100 * MIB};
	linux_load();
	assert_int_equal(kernel_at, 34 * MIB);
	header->kernel_alignment = 16 * MIB;
	linux_load();
	assert_int_equal(kernel_at, 48 * MIB);
	header->kernel_alignment = 0;
	linux_load();
	assert_int_equal(kernel_at, 34 * MIB);
	header->relocatable_kernel = 0;
	stops("no 33 MiB in one piece");
}

/* The sum of place and size must not wrap, nor end above what the first page tables map. */
static void a_place_beyond_all_is_none(void **state)
{
	static const uint64_t places[] = {
		0xffffffffff000000, UINT64_MAX, 1ull << 63, 4 * GIB, 4 * GIB - 16 * MIB, 0};

	layout.pinned[1] = (struct layout_range){3 * GIB, 2 * GIB};
	layout.pinned_count = 2;
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		header->pref_address = places[i];
		header->relocatable_kernel = 1;
		linux_load();
		assert_int_equal(kernel_at, 16 * MIB);
		header->relocatable_kernel = 0;
		stops("in one piece");
	}
	header->relocatable_kernel = 1;
	header->init_size = UINT32_MAX;
	stops("no 4096 MiB in one piece");
}

static void a_damaged_alignment_is_refused(void **state)
{
	static const uint32_t bad[] = {1, 0x800, 0x3000, 0x200001, 0xffffffff};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		header->kernel_alignment = bad[i];
		stops("alignment");
	}
	/* The largest there is: nothing so far up is pinned. */
	header->kernel_alignment = 0x80000000;
	header->pref_address = 0;
	stops("in one piece");
}

static void the_initrd_lies_as_high_as_it_may(void **state)
{
	initrd_bytes = 10 * MIB;
	linux_load();
	assert_int_equal(initrd_at, 246 * MIB);
	header->initrd_addr_max = 200 * MIB - 1;
	linux_load();
	assert_int_equal(initrd_at, 190 * MIB);
	/* The kernel in the middle: below it. */
	header->pref_address = 170 * MIB;
	linux_load();
	assert_int_equal(kernel_at, 170 * MIB);
	assert_int_equal(initrd_at, 160 * MIB);
	initrd_bytes = 250 * MIB;
	stops("no room for the initrd of 251 MiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(it_lies_where_it_likes, good),
		cmocka_unit_test_setup(it_is_moved_to_where_room_is, good),
		cmocka_unit_test_setup(a_place_beyond_all_is_none, good),
		cmocka_unit_test_setup(a_damaged_alignment_is_refused, good),
		cmocka_unit_test_setup(the_initrd_lies_as_high_as_it_may, good),
	};

	return cmocka_run_group_tests_name("linux", tests, NULL, NULL);
}
