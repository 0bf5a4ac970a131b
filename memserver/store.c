/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "memserver/log.h"
#include "memserver/store.h"

/* Like mkdir -p. */
static bool make_directories(const char *directory)
{
	char path[256];

	if ((size_t)snprintf(path, sizeof(path), "%s", directory) >= sizeof(path) - 16) {
		errno = ENAMETOOLONG;
		return false;
	}
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			return false;
		*slash = '/';
	}
	return mkdir(path, 0700) == 0 || errno == EEXIST;
}

/* The file's own name must be on disk too. */
static bool sync_directory(const char *directory)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool good = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return good;
}

bool store_open(struct store *store, const char *directory)
{
	store->fd = -1;
	if (!make_directories(directory)) {
		log_line(LOG_ERR, "store %s: %s; give another with --store", directory,
			strerror(errno));
		return false;
	}
	snprintf(store->path, sizeof(store->path), "%s/records", directory);
	store->fd = open(store->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (store->fd < 0 || !sync_directory(directory)) {
		log_line(LOG_ERR, "store %s: %s", store->path, strerror(errno));
		return false;
	}
	if (flock(store->fd, LOCK_EX | LOCK_NB) != 0) {
		log_line(LOG_ERR, "store %s: another annex-memserver uses it", store->path);
		return false;
	}
	return true;
}

bool store_pool(struct store *store, uint8_t *id)
{
	uint8_t record[POLICY_RECORD_SIZE];

	return pread(store->fd, record, sizeof(record), 0) == sizeof(record) &&
	       policy_record_pool(record, sizeof(record), id);
}

/* The number of the record at a place of the file. */
static uint32_t number_at(uint64_t place)
{
	if (place == 0)
		return POLICY_RECORD_HEADER;
	if (place <= POLICY_SESSIONS)
		return POLICY_RECORD_SESSION + (uint32_t)(place - 1);
	return (uint32_t)(place - 1 - POLICY_SESSIONS);
}

bool store_load(struct store *store, struct policy *policy)
{
	uint8_t record[POLICY_RECORD_SIZE];
	uint64_t place = 0;
	ssize_t got;
	int error = 0;

	while (!error && (got = pread(store->fd, record, sizeof(record),
				  (off_t)(place * sizeof(record)))) == sizeof(record)) {
		error = policy_load(policy, number_at(place), record, sizeof(record));
		if (error)
			log_line(LOG_ERR,
				"store %s: record %llu is damaged; move the file away to begin "
				"anew, all leases are lost then",
				store->path, (unsigned long long)place);
		place++;
	}
	if (error)
		return false;
	/* A piece of a record at the end was never acknowledged. */
	if (got < 0) {
		log_line(LOG_ERR, "store %s: %s", store->path, strerror(errno));
		return false;
	}
	error = policy_loaded(policy);
	if (error)
		log_line(LOG_ERR, "store %s: %s", store->path, strerror(error));
	return error == 0;
}

int store_write(struct store *store, uint32_t number, const void *record)
{
	ssize_t put = pwrite(store->fd, record, POLICY_RECORD_SIZE,
		(off_t)(policy_record_place(number) * POLICY_RECORD_SIZE));

	if (put < 0)
		return errno;
	if (put != POLICY_RECORD_SIZE)
		return ENOSPC;
	return fdatasync(store->fd) == 0 ? 0 : errno;
}

void store_close(struct store *store)
{
	if (store->fd >= 0)
		close(store->fd);
	store->fd = -1;
}
