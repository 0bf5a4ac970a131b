/* SPDX-License-Identifier: MIT */
/*
 * Writes JSON (RFC 8259) into a buffer that never grows. Commas are its own business; nesting is the
 * caller's. When the text does not fit, `full` is set and nothing more is written.
 */
#ifndef ANNEX_EMIT_H
#define ANNEX_EMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct emit {
	char *buffer;
	size_t size;
	size_t length;
	bool full;
	bool comma; /* the next value stands behind another */
};

void emit_init(struct emit *e, char *buffer, size_t size);

/* bracket: the one that opens, the one that closes. key: NULL inside an array or at the top. */
void emit_open(struct emit *e, const char *key, char bracket);
void emit_close(struct emit *e, char bracket);

/* Above 2^63 - 1: that. */
void emit_number(struct emit *e, const char *key, uint64_t value);

void emit_bool(struct emit *e, const char *key, bool value);

/* Any bytes: what is not printable ASCII is escaped, one byte as one code point. */
void emit_string(struct emit *e, const char *key, const char *value);

/*
 * Hostile text, at most twice its length: UTF-8 as it is, but for what text_character() refuses: \n is
 * escaped, other bytes become question marks.
 */
void emit_text(struct emit *e, const char *key, const char *text, size_t length);

/* Bytes as hexadecimal digits. */
void emit_hex(struct emit *e, const char *key, const void *bytes, size_t length);

#endif
