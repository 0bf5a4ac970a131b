/* SPDX-License-Identifier: MIT */
#include "agent_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64];

static void full(char *out, size_t size, const char *path)
{
	assert_true(snprintf(out, size, "%s%s", root, path) < (int)size);
}

const char *agent_tree_begin(void)
{
	strcpy(root, "/tmp/agent_tree.XXXXXX");
	assert_non_null(mkdtemp(root));
	return root;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void agent_tree_remove(const char *path)
{
	char p[512];

	full(p, sizeof(p), path);
	nftw(p, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void agent_tree_end(void)
{
	agent_tree_remove("");
}

static void parents(char *path)
{
	for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
		*p = '/';
	}
}

void agent_tree_put_at(const char *path, long offset, const void *bytes, size_t size)
{
	char p[512];

	full(p, sizeof(p), path);
	parents(p);
	int fd = open(p, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, size, offset), size);
	close(fd);
}

void agent_tree_put_bytes(const char *path, const void *bytes, size_t size)
{
	agent_tree_remove(path);
	agent_tree_put_at(path, 0, bytes, size);
}

void agent_tree_put(const char *path, const char *text)
{
	agent_tree_put_bytes(path, text, strlen(text));
}

void agent_tree_link(const char *path, const char *target)
{
	char p[512];

	agent_tree_remove(path);
	full(p, sizeof(p), path);
	parents(p);
	assert_int_equal(symlink(target, p), 0);
}

static void nodes(void)
{
	agent_tree_put("/sys/devices/system/node/node0/cpulist", "\n");
	agent_tree_put("/sys/devices/system/node/node1/cpulist", "0-3\n");
	agent_tree_put("/sys/devices/system/node/possible", "0-1\n");
	agent_tree_put("/sys/devices/system/node/node0/meminfo",
		"Node 0 MemTotal:         524288 kB\nNode 0 MemFree:          262144 kB\n"
		"Node 0 MemUsed:          262144 kB\nNode 0 FilePages:         65536 kB\n"
		"Node 0 AnonPages:         32768 kB\n");
	agent_tree_put("/sys/devices/system/node/node1/meminfo",
		"Node 1 MemTotal:        1048576 kB\nNode 1 MemFree:          102400 kB\n"
		"Node 1 FilePages:        204800 kB\nNode 1 AnonPages:        307200 kB\n");
	agent_tree_put("/sys/devices/system/memory/block_size_bytes", "8000000\n");
	for (unsigned block = 0; block < 80; block++) {
		char path[96];

		if (block >= 4 && block < 72)
			continue;
		snprintf(path, sizeof(path), "/sys/devices/system/memory/memory%u/node%u", block,
			block >= 72);
		agent_tree_link(path, "../../node/node");
	}
	agent_tree_put("/proc/zoneinfo",
		"Node 0, zone      DMA\n  per-node stats\n      nr_inactive_anon 5\n  pages free   "
		"  100\n"
		"        spanned  4095\n        present  3998\n        managed  3840\n"
		"  start_pfn:           1\nNode 0, zone    DMA32\n  pages free     100\n"
		"        present  127072\n        managed  120000\n  start_pfn:           4096\n"
		"Node 0, zone  Movable\n  pages free     0\n        present  0\n"
		"Node 1, zone   Normal\n  pages free     0\n        present  0\n"
		"Node 1, zone  Movable\n  pages free     25600\n        present  262144\n"
		"        managed  262144\n  start_pfn:           2359296\n");
}

void agent_tree_guest(void)
{
	nodes();
	agent_tree_put("/proc/cmdline",
		"BOOT_IMAGE=/vmlinuz root=/dev/vda1 movable_node swiotlb=force "
		"numa_balancing=disable quiet\n");
	agent_tree_put("/proc/pressure/memory",
		"some avg10=12.34 avg60=1.00 avg300=0.10 total=567890\n"
		"full avg10=0.07 avg60=0.00 avg300=0.00 total=1234\n");
	agent_tree_put("/proc/pressure/io",
		"some avg10=100.00 avg60=1.00 avg300=0.10 total=18446744073709\n"
		"full avg10=0.50 avg60=0.00 avg300=0.00 total=99\n");
	agent_tree_put("/proc/vmstat",
		"nr_free_pages 1\nworkingset_refault_anon 1000\nworkingset_refault_file 234\n"
		"pgmajfault 77\npgmajfault_other 5\n");
	agent_tree_put("/proc/sys/kernel/numa_balancing", "0\n");
	agent_tree_put("/proc/iomem",
		"00001000-0009fbff : System RAM\n20000000-2bffffff : Crash kernel\n"
		"240000000-27fffffff : System RAM\n");
	agent_tree_put("/sys/kernel/debug/swiotlb/io_tlb_nslabs", "32768\n");
	agent_tree_put("/sys/kernel/debug/swiotlb/io_tlb_used", "100\n");
	agent_tree_put("/sys/kernel/debug/swiotlb/io_tlb_used_hiwater", "2000\n");
	agent_tree_put("/sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
	agent_tree_put("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
	agent_tree_put("/sys/kernel/mm/ksm/run", "0\n");
	agent_tree_link("/sys/bus/pci/devices/0000:00:03.0/driver", "../../../drivers/virtio-pci");
	agent_tree_link("/sys/bus/pci/devices/0000:00:1f.2/driver", "../../../drivers/ahci");
	agent_tree_put("/sys/bus/pci/devices/0000:00:00.0/vendor", "0x8086\n");
	agent_tree_link("/sys/bus/virtio/devices/virtio0/driver", "../../drivers/virtio_blk");
	agent_tree_put("/sys/bus/virtio/devices/virtio0/features",
		"0010001011000000000000000000110011100000000000000000000000000000\n");
}
