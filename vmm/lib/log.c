/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <string.h>
#include "lib/log.h"
#include "lib/text.h"
#include "machine/clock.h"
#include "machine/console.h"

/*
 * The lock is given up on after so many looks: who waits so long interrupted its holder (a panic),
 * and a lost line is better than a dead VMM.
 */
#define LOCK_LOOKS 1000000u

static char ring[LOG_LINES][LOG_WIDTH];
static uint64_t next; /* under lock */
static _Atomic uint32_t lock;
static enum log_level limit = LOG_INFO;

static const char *const level_names[] = {"error", "warning", "info", "debug"};

static bool lock_take(void)
{
	for (unsigned i = 0; i < LOCK_LOOKS; i++) {
		if (!__atomic_exchange_n((uint32_t *)&lock, 1, __ATOMIC_ACQUIRE))
			return true;
		__builtin_ia32_pause();
	}
	return false;
}

static void lock_drop(void)
{
	__atomic_store_n((uint32_t *)&lock, 0, __ATOMIC_RELEASE);
}

void log_take_over(void)
{
	lock_drop();
}

void log_level(enum log_level level)
{
	limit = level;
}

/* What came from the wire or a file may stand in a line: only printable bytes reach a terminal. */
static void clean(char *line)
{
	for (; *line; line++)
		if (*line < ' ' || *line > '~')
			*line = '?';
}

void log_write(enum log_level level, const char *format, ...)
{
	uint64_t now = clock_now();
	char line[LOG_WIDTH];
	va_list args;
	size_t n;

	if (level > limit)
		return;
	n = text_format(line, sizeof(line), "%u.%06u %s ", (unsigned)(now / 1000000000),
		(unsigned)(now / 1000 % 1000000), level_names[level]);
	va_start(args, format);
	text_vformat(line + n, sizeof(line) - n, format, args);
	va_end(args);
	clean(line);
	if (!lock_take())
		return;
	memcpy(ring[next % LOG_LINES], line, sizeof(line));
	next++;
	console_write("annex: ", 7);
	console_write(line, strlen(line));
	console_write("\n", 1);
	lock_drop();
}

uint64_t log_next(void)
{
	return __atomic_load_n(&next, __ATOMIC_ACQUIRE);
}

size_t log_line(uint64_t number, char *buffer, size_t size)
{
	size_t length = 0;

	if (!size || !lock_take())
		return 0;
	if (number < next && next - number <= LOG_LINES) {
		const char *line = ring[number % LOG_LINES];

		length = strnlen(line, size - 1);
		memcpy(buffer, line, length);
		buffer[length] = 0;
	}
	lock_drop();
	return length;
}
