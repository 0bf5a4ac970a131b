/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "guest-agent/moves.h"

/*
 * Each page that is moved counts in one of these: what compaction and memory policies move in
 * pgmigrate_success, what becomes huge in thp_collapse_alloc (its pages are copied).
 */
static const char *const names[] = {
	"pgmigrate_success",
	"thp_migration_success",
	"thp_collapse_alloc",
	"thp_split_page",
	"numa_pages_migrated",
	"compact_success",
};

uint64_t moves_count(const char *path)
{
	FILE *f = fopen(path, "re");
	char name[64];
	uint64_t sum = 0, value;

	if (!f)
		return 0;
	while (fscanf(f, "%63s %" SCNu64, name, &value) == 2)
		for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (strcmp(name, names[i]) == 0)
				sum += value;
	fclose(f);
	return sum;
}
