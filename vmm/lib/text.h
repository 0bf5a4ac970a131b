/* SPDX-License-Identifier: MIT */
/* Formatting and parsing of text; freestanding. */
#ifndef ANNEX_TEXT_H
#define ANNEX_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * snprintf's subset: %% %c %s %.*s %d %u %x %X %p with l, ll, z, field width, 0 and - flags.
 * Always terminates; returns the length that was wanted.
 */
size_t text_format(char *buffer, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
size_t text_vformat(char *buffer, size_t size, const char *format, va_list args);

/* "512M" -> bytes; suffix K, M, G or none. False: not of that form, or does not fit. */
bool text_size(const char *text, uint64_t *bytes);

/* Whole text as an unsigned number in base 10 or 16 (no prefix). */
bool text_number(const char *text, unsigned base, uint64_t *value);

/*
 * Bytes of the UTF-8 character (RFC 3629) at `text`, of which `length` bytes are there. 0: none, or one
 * that a terminal would obey instead of showing it: a control, a line end, a change of direction.
 */
size_t text_character(const char *text, size_t length);

/* "10.0.0.1" -> 0x0a000001. */
bool text_ipv4(const char *text, uint32_t *address);

#endif
