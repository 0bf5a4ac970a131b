/* SPDX-License-Identifier: MIT */
/* What the files of the check share. Each check_*_add() adds its lines to the context's check. */
#ifndef ANNEX_AGENT_CHECK_PARTS_H
#define ANNEX_AGENT_CHECK_PARTS_H

#include "guest-agent/check.h"

#define CHECK_COMMAND_LINE 4096u

struct check_context {
	struct check *check;
	const char *root;
	const struct check_annex *annex;
	int far; /* the far node; -1: cannot be told */
	char command_line[CHECK_COMMAND_LINE]; /* the kernel's */
};

/* Adds a line; what is not printable ASCII becomes '?', what is too long is cut. */
void check_add(struct check_context *c, enum check_result result, const char *name,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

void check_flags_add(
	struct check_context *c); /* command line, sysctls, what the kernel was built with */
void check_memory_add(struct check_context *c); /* nodes, zones, swiotlb, head room */
void check_devices_add(struct check_context *c); /* who could DMA into far memory */

/* Whether the command line has this word; with a name "x=" the value of the last such word in *value. */
bool check_flags_has(const char *command_line, const char *word, char *value, size_t size);

#endif
