/* SPDX-License-Identifier: MIT */
/*
 * small_files DIRECTORY COUNT MIB NODE FREE: fills memory with MIB mebibytes, or until NODE has less
 * than FREE mebibytes free (NODE -1: MIB only), then creates COUNT small files beside it, reads some
 * back, and verifies some of the memory. Kernel memory for the files must be found where it belongs.
 * One page in four has content, the others are touched and stay zero.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include "lab.h"

#define CHUNK       (4u << 20)
#define PER_FOLDER  1000u
#define FULL_EVERY  4u
#define CHECK_EVERY 17u

/* MemFree of the node in MiB; -1: not known. */
static long node_free(long node)
{
	char path[80], line[160];
	long kib = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%ld/meminfo", node);
	f = fopen(path, "r");
	if (f == NULL)
		return -1;
	while (kib < 0 && fgets(line, sizeof(line), f) != NULL)
		if (strstr(line, "MemFree:") != NULL)
			kib = atol(strstr(line, "MemFree:") + 8);
	fclose(f);
	return kib / 1024;
}

/* Fills; returns the number of pages written. */
static size_t fill(char *area, size_t mib, long node, long least)
{
	size_t page = 0;

	for (size_t done = 0; done < mib << 20; done += CHUNK) {
		if (node >= 0 && node_free(node) < least)
			break;
		for (size_t i = 0; i < CHUNK / LAB_PAGE; i++, page++) {
			if (page % FULL_EVERY == 0)
				lab_write_page(area + page * LAB_PAGE, 3, page);
			else
				((volatile char *)area)[page * LAB_PAGE] = 0;
		}
	}
	return page;
}

static int page_wrong(const char *area, size_t page)
{
	const char *p = area + page * LAB_PAGE;

	if (page % FULL_EVERY == 0)
		return lab_wrong_words(p, 3, page) != 0;
	return p[0] != 0 || memcmp(p, p + 1, LAB_PAGE - 1) != 0;
}

static void make_file(const char *directory, unsigned i)
{
	char path[256];
	uint64_t content[4] = {i, lab_mix(i), ~(uint64_t)i, lab_mix(~(uint64_t)i)};
	int fd;

	if (i % PER_FOLDER == 0) {
		snprintf(path, sizeof(path), "%s/%u", directory, i / PER_FOLDER);
		if (mkdir(path, 0700) != 0)
			lab_fail("mkdir %s failed", path);
	}
	snprintf(path, sizeof(path), "%s/%u/%u", directory, i / PER_FOLDER, i);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || write(fd, content, sizeof(content)) != (ssize_t)sizeof(content))
		lab_fail("writing file %u failed: %m", i);
	close(fd);
}

static void check_file(const char *directory, unsigned i)
{
	char path[256];
	uint64_t content[4];
	int fd;

	snprintf(path, sizeof(path), "%s/%u/%u", directory, i / PER_FOLDER, i);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, content, sizeof(content)) != (ssize_t)sizeof(content))
		lab_fail("reading file %u failed: %m", i);
	close(fd);
	if (content[0] != i || content[1] != lab_mix(i) || content[3] != lab_mix(~(uint64_t)i))
		lab_fail("file %u has wrong content", i);
}

int main(int argc, char **argv)
{
	const char *directory = argc > 1 ? argv[1] : "/tmp/small";
	unsigned count = (unsigned)lab_argument(argc, argv, 2, 50000);
	size_t mib = lab_argument(argc, argv, 3, 64);
	long node = argc > 4 ? atol(argv[4]) : -1;
	long least = argc > 5 ? atol(argv[5]) : 24;
	char *area = lab_map((mib << 20) + CHUNK);
	size_t pages = fill(area, mib, node, least);
	long left = node >= 0 ? node_free(node) : -1;

	if (mkdir(directory, 0700) != 0)
		lab_fail("mkdir %s failed: %m", directory);
	for (unsigned i = 0; i < count; i++)
		make_file(directory, i);
	for (unsigned i = 0; i < count; i += 17)
		check_file(directory, i);
	for (size_t i = 0; i < pages; i += CHECK_EVERY)
		if (page_wrong(area, i))
			lab_fail("page %zu of %zu has wrong content", i, pages);
	printf("%u files beside %zu MiB, %ld MiB were left free on the node\n", count, pages / 256,
		left);
	return 0;
}
