/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "lib/log.h"
#include "lib/panic.h"
#include "machine/clock.h"
#include "machine/console.h"
#include "tests/host/host.h"

jmp_buf host_panic_jump;

static bool armed;
static enum host_panic last;
static char text[512];

bool host_panic_arm(void)
{
	armed = true;
	last = HOST_PANIC_NONE;
	return true;
}

void host_panic_disarm(void)
{
	armed = false;
}

enum host_panic host_panic_kind(void)
{
	return last;
}

const char *host_panic_text(void)
{
	return text;
}

static _Noreturn void end(enum host_panic kind, const char *format, va_list args)
{
	vsnprintf(text, sizeof(text), format, args);
	last = kind;
	if (armed) {
		armed = false;
		longjmp(host_panic_jump, 1);
	}
	fprintf(stderr, "panic: %s\n", text);
	abort();
}

void panic(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	end(HOST_PANIC, format, args);
}

void panic_boot(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	end(HOST_PANIC_BOOT, format, args);
}

void panic_guest(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	end(HOST_PANIC_GUEST, format, args);
}

/* Weak: a test of the ring itself links lib/log.c. */
__attribute__((weak)) void log_write(enum log_level level, const char *format, ...)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	va_list args;

	if (!getenv("ANNEX_TEST_LOG"))
		return;
	fprintf(stderr, "%s ", names[level]);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

__attribute__((weak)) void console_write(const char *line, size_t length)
{
	if (getenv("ANNEX_TEST_LOG"))
		fwrite(line, 1, length, stderr);
}

__attribute__((weak)) uint64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
