/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "lib/text.h"
#include "service/emit.h"

void emit_init(struct emit *e, char *buffer, size_t size)
{
	*e = (struct emit){.buffer = buffer, .size = size};
}

static void put(struct emit *e, const char *text, size_t length)
{
	if (e->full || length > e->size - e->length) {
		e->full = true;
		return;
	}
	memcpy(e->buffer + e->length, text, length);
	e->length += length;
}

static void put_escaped(struct emit *e, const char *text)
{
	char escape[8];

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\') {
			put(e, "\\", 1);
			put(e, text, 1);
		} else if (c >= ' ' && c <= '~') {
			put(e, text, 1);
		} else {
			put(e, escape, text_format(escape, sizeof(escape), "\\u%04x", c));
		}
	}
}

static void begin_value(struct emit *e, const char *key)
{
	if (e->comma)
		put(e, ",", 1);
	e->comma = true;
	if (!key)
		return;
	put(e, "\"", 1);
	put_escaped(e, key);
	put(e, "\":", 2);
}

void emit_open(struct emit *e, const char *key, char bracket)
{
	begin_value(e, key);
	put(e, &bracket, 1);
	e->comma = false;
}

void emit_close(struct emit *e, char bracket)
{
	put(e, &bracket, 1);
	e->comma = true;
}

void emit_number(struct emit *e, const char *key, uint64_t value)
{
	char text[24];

	/* Many readers keep numbers in 64 bits with a sign. */
	if (value > INT64_MAX)
		value = INT64_MAX;
	begin_value(e, key);
	put(e, text, text_format(text, sizeof(text), "%lu", value));
}

void emit_bool(struct emit *e, const char *key, bool value)
{
	begin_value(e, key);
	if (value)
		put(e, "true", 4);
	else
		put(e, "false", 5);
}

void emit_string(struct emit *e, const char *key, const char *value)
{
	begin_value(e, key);
	put(e, "\"", 1);
	put_escaped(e, value);
	put(e, "\"", 1);
}

void emit_text(struct emit *e, const char *key, const char *text, size_t length)
{
	size_t n;

	begin_value(e, key);
	put(e, "\"", 1);
	for (size_t i = 0; i < length; i += n) {
		n = text_character(text + i, length - i);
		if (text[i] == '"' || text[i] == '\\')
			put(e, "\\", 1);
		if (n)
			put(e, text + i, n);
		else if (text[i] == '\n')
			put(e, "\\n", 2);
		else
			put(e, "?", 1);
		n += !n;
	}
	put(e, "\"", 1);
}

void emit_hex(struct emit *e, const char *key, const void *bytes, size_t length)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *byte = bytes;

	begin_value(e, key);
	put(e, "\"", 1);
	for (size_t i = 0; i < length; i++) {
		put(e, &digits[byte[i] >> 4], 1);
		put(e, &digits[byte[i] & 15], 1);
	}
	put(e, "\"", 1);
}
