/* SPDX-License-Identifier: MIT */
#include "itest.h"
#include "lib/text.h"

#define COM1         0x3f8
#define LINE_STATUS  (COM1 + 5)
#define STATUS_EMPTY 0x20

static unsigned passed, failed, skipped;

static void put(char c)
{
	while (!(in8(LINE_STATUS) & STATUS_EMPTY))
		cpu_relax();
	out8(COM1, c);
}

static void write(const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			put('\r');
		put(*text);
	}
}

void say(const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	text_vformat(line, sizeof(line), format, args);
	va_end(args);
	write(line);
	write("\n");
}

static void result(bool good, const char *text)
{
	if (good)
		passed++;
	else
		failed++;
	say("%s %s", good ? "ok " : "NOT OK", text);
}

bool ok(bool good, const char *format, ...)
{
	char text[200];
	va_list args;

	va_start(args, format);
	text_vformat(text, sizeof(text), format, args);
	va_end(args);
	result(good, text);
	return good;
}

bool same(uint64_t got, uint64_t want, const char *format, ...)
{
	char text[200];
	va_list args;

	va_start(args, format);
	text_vformat(text, sizeof(text), format, args);
	va_end(args);
	result(got == want, text);
	if (got != want)
		say("       got 0x%lx, wanted 0x%lx", got, want);
	return got == want;
}

void skip(const char *what, const char *why)
{
	skipped++;
	say("skip: %s: %s", what, why);
}

_Noreturn void finish(void)
{
	say("itest: far memory was pushed out %lu times", far_pushes);
	say("itest: %u passed, %u failed, %u skipped", passed, failed, skipped);
	machine_off();
}
