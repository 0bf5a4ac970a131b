/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "memserver/log.h"
#include "memserver/pool.h"

#define POOL_PREFIX  "annex-pool-"
#define POOL_PART    "annex-part"
#define POOL_DEFAULT "/dev/shm/annex"
#define MIB(bytes)   ((unsigned long long)(bytes) >> 20)

/* The 32 hexadecimal digits behind the prefix; false: another file. */
static bool id_of(const char *name, uint8_t *id)
{
	unsigned byte;

	if (strncmp(name, POOL_PREFIX, strlen(POOL_PREFIX)) != 0)
		return false;
	name += strlen(POOL_PREFIX);
	if (strlen(name) != 32 || strspn(name, "0123456789abcdef") != 32)
		return false;
	for (unsigned i = 0; i < 16; i++) {
		if (sscanf(name + 2 * i, "%2x", &byte) != 1)
			return false;
		id[i] = (uint8_t)byte;
	}
	return true;
}

/* The name of the pool in a directory; false: none there. */
static bool find(const char *directory, char *name, size_t size, uint8_t *id)
{
	DIR *d = opendir(directory);
	struct dirent *entry;
	bool found = false;

	if (!d)
		return false;
	while (!found && (entry = readdir(d))) {
		found = id_of(entry->d_name, id);
		if (found)
			snprintf(name, size, "%s/%s", directory, entry->d_name);
	}
	closedir(d);
	return found;
}

/* First mount of hugetlbfs, or false. */
static bool hugetlbfs_mount(char *directory, size_t size)
{
	FILE *mounts = setmntent("/proc/mounts", "r");
	struct mntent *entry;
	bool found = false;

	if (!mounts)
		return false;
	while (!found && (entry = getmntent(mounts))) {
		found = strcmp(entry->mnt_type, "hugetlbfs") == 0;
		if (found)
			snprintf(directory, size, "%s/annex", entry->mnt_dir);
	}
	endmntent(mounts);
	return found;
}

static uint64_t memory_available(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	unsigned long long kib = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	}
	if (file)
		fclose(file);
	return (uint64_t)kib << 10;
}

/* Says why memory could not be had, and what to do. */
static void explain(const struct pool *pool, int level, uint64_t wanted, int error, bool huge)
{
	struct statfs fs = {0};

	if (huge && error == ENOSPC) {
		log_line(level,
			"%s: too few huge pages for %llu MiB; make %llu of them free, as with "
			"sysctl vm.nr_hugepages",
			pool->directory, MIB(wanted), (unsigned long long)(wanted / pool->page));
	} else if (error == ENOSPC && statfs(pool->directory, &fs) == 0) {
		log_line(level,
			"%s: its tmpfs has %llu MiB free, the pool wants %llu MiB more; mount it "
			"with a larger size=, or take a smaller --pool",
			pool->directory, MIB((uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize),
			MIB(wanted));
	} else {
		log_line(level, "%s: no pool can be made there: %s", pool->directory,
			strerror(error));
	}
}

/* Brings the open file to its full size; 0 or an errno. */
static int allocate(int fd, uint64_t from, uint64_t to)
{
	if (from >= to)
		return 0;
	if (fallocate(fd, 0, (off_t)from, (off_t)(to - from)) != 0)
		return errno;
	return 0;
}

static bool map(struct pool *pool, const char *name)
{
	pool->memory = mmap(
		NULL, pool->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, pool->fd, 0);
	if (pool->memory != MAP_FAILED)
		return true;
	pool->memory = NULL;
	log_line(LOG_ERR, "%s: cannot be mapped: %s", name, strerror(errno));
	return false;
}

/* Two servers in one pool would lease the same memory twice. */
static bool lock(struct pool *pool, const char *name)
{
	if (flock(pool->fd, LOCK_EX | LOCK_NB) == 0)
		return true;
	log_line(LOG_ERR, "%s: another annex-memserver uses it", name);
	return false;
}

/* An existing pool. */
static bool use(struct pool *pool, const char *name, int level, bool huge)
{
	struct stat status;
	int error;

	pool->fd = open(name, O_RDWR | O_CLOEXEC);
	if (pool->fd < 0 || fstat(pool->fd, &status) != 0) {
		log_line(LOG_ERR, "%s: %s", name, strerror(errno));
		return false;
	}
	if (!lock(pool, name))
		return false;
	if ((uint64_t)status.st_size > pool->bytes) {
		log_line(LOG_ERR,
			"%s has %llu MiB, --pool says %llu MiB: take --pool %lluM, or remove the "
			"file and lose what is in it",
			name, MIB(status.st_size), MIB(pool->bytes), MIB(status.st_size));
		return false;
	}
	error = allocate(pool->fd, (uint64_t)status.st_size, pool->bytes);
	if (error) {
		explain(pool, level, pool->bytes - (uint64_t)status.st_size, error, huge);
		return false;
	}
	return map(pool, name);
}

/* A new one: it gets its name when the store has named it, see pool_keep(). */
static bool make(struct pool *pool, int level, bool huge)
{
	char part[320];
	int error;

	snprintf(part, sizeof(part), "%s/" POOL_PART, pool->directory);
	pool->fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (pool->fd < 0) {
		log_line(level, "%s: %s", part, strerror(errno));
		return false;
	}
	if (!lock(pool, part))
		return false;
	/* What a server that was killed left there is thrown away. */
	error = ftruncate(pool->fd, 0) == 0 ? allocate(pool->fd, 0, pool->bytes) : errno;
	if (error) {
		explain(pool, level, pool->bytes, error, huge);
		unlink(part);
		return false;
	}
	if (getrandom(pool->id, sizeof(pool->id), 0) != sizeof(pool->id)) {
		log_line(LOG_ERR, "no random numbers: %s", strerror(errno));
		return false;
	}
	pool->made = true;
	return map(pool, part);
}

bool pool_keep(struct pool *pool)
{
	char part[320], name[320];
	int length;

	if (!pool->made)
		return true;
	snprintf(part, sizeof(part), "%s/" POOL_PART, pool->directory);
	length = snprintf(name, sizeof(name), "%s/" POOL_PREFIX, pool->directory);
	for (unsigned i = 0; i < 16; i++)
		length +=
			snprintf(name + length, sizeof(name) - (size_t)length, "%02x", pool->id[i]);
	if (rename(part, name) != 0) {
		log_line(LOG_ERR, "%s: %s", name, strerror(errno));
		return false;
	}
	pool->made = false;
	return true;
}

static bool make_directory(const char *directory)
{
	if (mkdir(directory, 0700) == 0 || errno == EEXIST)
		return true;
	log_line(LOG_ERR, "%s: %s", directory, strerror(errno));
	return false;
}

/* hugetlbfs or tmpfs, as asked for. */
static bool suits(struct pool *pool, enum options_hugepages wanted, bool *huge)
{
	struct statfs fs;

	if (statfs(pool->directory, &fs) != 0) {
		log_line(LOG_ERR, "%s: %s", pool->directory, strerror(errno));
		return false;
	}
	*huge = fs.f_type == HUGETLBFS_MAGIC;
	if (!*huge && fs.f_type != TMPFS_MAGIC) {
		log_line(LOG_ERR, "%s is neither hugetlbfs nor tmpfs", pool->directory);
		return false;
	}
	if (!*huge && wanted == HUGEPAGES_YES) {
		log_line(LOG_ERR, "%s is not hugetlbfs, and --hugepages yes was asked for",
			pool->directory);
		return false;
	}
	pool->page = *huge ? (uint64_t)fs.f_bsize : (uint64_t)sysconf(_SC_PAGESIZE);
	return true;
}

/* One directory; failures to find room there are logged at `level`. */
static bool open_in(struct pool *pool, const char *directory, enum options_hugepages wanted,
	const uint8_t *id, int level)
{
	char name[512];
	bool huge;

	snprintf(pool->directory, sizeof(pool->directory), "%s", directory);
	if (!make_directory(directory) || !suits(pool, wanted, &huge))
		return false;
	if (find(directory, name, sizeof(name), pool->id)) {
		if (id && memcmp(id, pool->id, sizeof(pool->id)) == 0)
			return use(pool, name, level, huge);
		log_line(LOG_ERR,
			"%s belongs to another store: give that one with --store, or remove the "
			"pool's file and lose what is in it",
			name);
		return false;
	}
	if (!huge && pool->bytes > memory_available()) {
		log_line(LOG_ERR, "the pool wants %llu MiB, this machine has %llu MiB free",
			MIB(pool->bytes), MIB(memory_available()));
		return false;
	}
	return make(pool, level, huge);
}

static bool open_default(struct pool *pool, enum options_hugepages huge, const uint8_t *id)
{
	char directory[256] = "", name[512];
	bool mounted = huge != HUGEPAGES_NO && hugetlbfs_mount(directory, sizeof(directory));

	if (huge == HUGEPAGES_YES && !mounted) {
		log_line(
			LOG_ERR, "no hugetlbfs is mounted: mount -t hugetlbfs none /dev/hugepages");
		return false;
	}
	/* A pool that was made of small pages before is not left behind for a new one. */
	if (mounted && huge == HUGEPAGES_AUTO && find(POOL_DEFAULT, name, sizeof(name), pool->id))
		mounted = false;
	if (mounted) {
		if (open_in(pool, directory, huge, id,
			    huge == HUGEPAGES_YES ? LOG_ERR : LOG_WARNING))
			return true;
		pool_close(pool);
		/* One that is there and cannot be used is not passed over either. */
		if (huge == HUGEPAGES_YES || find(directory, name, sizeof(name), pool->id))
			return false;
	}
	return open_in(pool, POOL_DEFAULT, huge, id, LOG_ERR);
}

bool pool_open(struct pool *pool, const struct options *options, const uint8_t *id)
{
	bool good;

	*pool = (struct pool){.bytes = options->pool, .fd = -1};
	good = options->pool_directory
		       ? open_in(pool, options->pool_directory, options->hugepages, id, LOG_ERR)
		       : open_default(pool, options->hugepages, id);
	if (good && pool->page <= 4096 && options->hugepages != HUGEPAGES_NO)
		log_line(LOG_WARNING, "the pool is made of 4 KiB pages, not of huge pages");
	return good;
}

void pool_close(struct pool *pool)
{
	char part[320];

	if (pool->memory)
		munmap(pool->memory, pool->bytes);
	/* Made, but never named by a store: nobody's. */
	if (pool->made) {
		snprintf(part, sizeof(part), "%s/" POOL_PART, pool->directory);
		unlink(part);
	}
	pool->made = false;
	if (pool->fd >= 0)
		close(pool->fd);
	pool->memory = NULL;
	pool->fd = -1;
}
