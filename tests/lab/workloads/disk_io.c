/* SPDX-License-Identifier: MIT */
/*
 * disk_io FILE MIB NODE: O_DIRECT writes from, and reads into, MIB mebibytes of memory, which must
 * lie on NODE (-1: anywhere). The device's own DMA sees these pages.
 */
#include <fcntl.h>
#include "lab.h"

#define BLOCK (256u << 10)

static void write_all(const char *path, const char *area, size_t bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT, 0600);

	if (fd < 0)
		lab_fail("open %s with O_DIRECT failed: %m", path);
	for (size_t at = 0; at < bytes; at += BLOCK)
		if (pwrite(fd, area + at, BLOCK, (off_t)at) != (ssize_t)BLOCK)
			lab_fail("write at %zu failed: %m", at);
	if (fsync(fd) != 0 || close(fd) != 0)
		lab_fail("fsync failed: %m");
}

/* Blocks in an order that is not the one they were written in; 4 KiB pieces now and then. */
static void read_all(const char *path, char *area, size_t bytes)
{
	size_t blocks = bytes / BLOCK;
	int fd = open(path, O_RDONLY | O_DIRECT);

	if (fd < 0)
		lab_fail("open %s with O_DIRECT failed: %m", path);
	for (size_t i = 0; i < blocks; i++) {
		size_t at = (i * 7919 % blocks) * BLOCK;
		size_t piece = i % 16 == 0 ? LAB_PAGE : BLOCK;

		for (size_t k = 0; k < BLOCK; k += piece)
			if (pread(fd, area + at + k, piece, (off_t)(at + k)) != (ssize_t)piece)
				lab_fail("read at %zu failed: %m", at + k);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "direct";
	size_t mib = lab_argument(argc, argv, 2, 64);
	int node = argc > 3 ? atoi(argv[3]) : -1;
	size_t bytes = mib << 20;
	size_t pages = bytes / LAB_PAGE;
	char *area = lab_map(bytes);
	uint64_t before = 1, after = 1;
	unsigned wrong = 0, there;

	for (size_t i = 0; i < pages; i++) {
		lab_write_page(area + i * LAB_PAGE, 4, i);
		before = lab_checksum(area + i * LAB_PAGE, LAB_PAGE, before);
	}
	there = node >= 0 ? lab_percent_on_node(area, bytes, node) : 100;
	write_all(path, area, bytes);
	for (size_t i = 0; i < pages; i++)
		lab_write_page(area + i * LAB_PAGE, 5, i);
	read_all(path, area, bytes);
	for (size_t i = 0; i < pages; i++) {
		wrong += lab_wrong_words(area + i * LAB_PAGE, 4, i) != 0;
		after = lab_checksum(area + i * LAB_PAGE, LAB_PAGE, after);
	}
	unlink(path);
	if (wrong != 0 || before != after)
		lab_fail("%u of %zu pages wrong after O_DIRECT", wrong, pages);
	if (there < 90)
		lab_fail("only %u %% of the buffer is on node %d", there, node);
	printf("%zu MiB O_DIRECT both ways, %u %% of the buffer on node %d\n", mib, there, node);
	return 0;
}
