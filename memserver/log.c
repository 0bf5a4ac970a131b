/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include "memserver/log.h"

/* Whether a line may still be written in this second. */
static bool allowed(int level)
{
	static time_t second;
	static unsigned lines, left_out;
	struct timespec now;

	if (level < LOG_WARNING)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec != second) {
		second = now.tv_sec;
		lines = 0;
	}
	if (lines >= LOG_LINES) {
		left_out++;
		return false;
	}
	lines++;
	if (left_out > 0) {
		fprintf(stderr, "%s%u lines left out\n", isatty(STDERR_FILENO) ? "" : "<4>",
			left_out);
		left_out = 0;
	}
	return true;
}

void log_line(int level, const char *format, ...)
{
	char text[512];
	va_list arguments;

	if (!allowed(level))
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "annex-memserver: %s\n", text);
	else
		fprintf(stderr, "<%d>%s\n", level, text);
}
