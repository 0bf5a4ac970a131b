/* SPDX-License-Identifier: MIT */
/*
 * Whose memory: words KEY=VALUE, all of which must fit.
 *
 *   unit=redis.service      processes in the cgroup of that systemd unit, and below
 *   cgroup=/background.slice  processes in that cgroup (path below the mount of cgroup v2), and below
 *   comm=postgres           the command name, as in /proc/PID/comm
 *   exe=/usr/bin/rsync      the program's file
 *   user=www-data           effective user, by name or number
 *   pid=1234                one process; and of it only a part with
 *   address=0x7f0000000000 length=2M
 *   file=/var/lib/db/main   alone: a file's pages in the page cache
 */
#ifndef ANNEX_AGENT_SELECTOR_H
#define ANNEX_AGENT_SELECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "guest-agent/processes.h"

#define SELECTOR_PATH_MAX 256u
#define SELECTOR_ERROR    160u /* room for an error's text */

enum selector_key {
	SELECTOR_UNIT = 1 << 0,
	SELECTOR_CGROUP = 1 << 1,
	SELECTOR_COMM = 1 << 2,
	SELECTOR_EXE = 1 << 3,
	SELECTOR_USER = 1 << 4,
	SELECTOR_PID = 1 << 5,
	SELECTOR_ADDRESS = 1 << 6,
	SELECTOR_LENGTH = 1 << 7,
	SELECTOR_FILE = 1 << 8,
};

struct selector {
	unsigned keys; /* enum selector_key */
	char unit[SELECTOR_PATH_MAX];
	char cgroup[SELECTOR_PATH_MAX];
	char comm[PROCESSES_COMM];
	char path[SELECTOR_PATH_MAX]; /* exe or file */
	uid_t user;
	pid_t pid;
	uint64_t start; /* of the process pid; 0: any */
	uint64_t address; /* with SELECTOR_ADDRESS and _LENGTH, else 0 and UINT64_MAX */
	uint64_t length; /* bytes, not 0 */
};

void selector_init(struct selector *s);

/* Takes one word. 0: taken; 1: no selector's word; -1: error says what is wrong. */
int selector_word(struct selector *s, const char *word, char error[SELECTOR_ERROR]);

/* After the last word: do they go together? -1: error says why not. */
int selector_finish(struct selector *s, char error[SELECTOR_ERROR]);

bool selector_fits(const struct selector *s, const struct process *p);
bool selector_equal(const struct selector *a, const struct selector *b);

/* The words again, in a fixed order; cut when size is too small. */
void selector_text(const struct selector *s, char *out, size_t size);

#endif
