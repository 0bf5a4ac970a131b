/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "guest-agent/log.h"

static int lowest = LOG_INFO;

/* Whether another line may be written in this second; says how many could not be in the one before. */
static bool within_limit(bool marks)
{
	static time_t second;
	static unsigned lines, skipped;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec != second) {
		if (skipped)
			fprintf(stderr, "%s%u lines were left out\n", marks ? "<4>" : "", skipped);
		second = now.tv_sec;
		lines = skipped = 0;
	}
	if (lines++ < LOG_LINES)
		return true;
	skipped++;
	return false;
}

void log_level(int level)
{
	lowest = level;
}

void log_line(int level, const char *format, ...)
{
	bool marks = !isatty(STDERR_FILENO);
	va_list arguments;
	char line[512];

	if (level > lowest || (level >= LOG_WARNING && !within_limit(marks)))
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (marks)
		fprintf(stderr, "<%d>%s\n", level, line);
	else
		fprintf(stderr, "annex-agent: %s\n", line);
}

void log_no_memory(void)
{
	log_line(LOG_CRIT, "out of memory");
	exit(1);
}
