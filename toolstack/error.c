/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "toolstack/error.h"

static char recorded[1024];
static enum error_code recorded_code;

int error_set(enum error_code code, const char *format, ...)
{
	char text[sizeof(recorded)]; /* the arguments may point into the recorded text */
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(recorded, sizeof(recorded), "%s", text);
	recorded_code = code;
	return (int)code;
}

const char *error_text(void)
{
	return recorded;
}

enum error_code error_code(void)
{
	return recorded_code;
}

void error_clear(void)
{
	recorded[0] = '\0';
	recorded_code = ERROR_NONE;
}

const char *error_name(enum error_code code)
{
	static const char *const names[] = {
		[ERROR_NONE] = "none",
		[ERROR_FAILED] = "failed",
		[ERROR_USAGE] = "usage",
		[ERROR_NOT_FOUND] = "not-found",
		[ERROR_LIBVIRT] = "libvirt",
		[ERROR_SILENT] = "silent",
		[ERROR_REFUSED] = "refused",
	};

	return code < sizeof(names) / sizeof(names[0]) ? names[code] : "failed";
}

void *error_memory(void *pointer)
{
	if (!pointer) {
		fputs("annex: out of memory\n", stderr);
		exit(ERROR_FAILED);
	}
	return pointer;
}
