/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "lib/text.h"

struct sink {
	char *buffer;
	size_t size;
	size_t length; /* wanted */
};

struct spec {
	bool left;
	bool zero;
	bool upper;
	unsigned width;
	int precision; /* -1: none */
	unsigned longs;
};

static void put(struct sink *out, char c)
{
	if (out->length + 1 < out->size)
		out->buffer[out->length] = c;
	out->length++;
}

static void put_padded(struct sink *out, const struct spec *spec, const char *text, size_t length)
{
	size_t pad = spec->width > length ? spec->width - length : 0;
	size_t i;

	if (!spec->left)
		for (i = 0; i < pad; i++)
			put(out, ' ');
	for (i = 0; i < length; i++)
		put(out, text[i]);
	if (spec->left)
		for (i = 0; i < pad; i++)
			put(out, ' ');
}

static void put_number(struct sink *out, const struct spec *spec, uint64_t value, unsigned base,
	const char *prefix)
{
	const char *digits = spec->upper ? "0123456789ABCDEF" : "0123456789abcdef";
	size_t prefix_length = strlen(prefix);
	struct spec digits_spec = *spec;
	char text[24];
	size_t at = sizeof(text);

	do
		text[--at] = digits[value % base];
	while (value /= base);
	if (!spec->zero || spec->left) {
		while (prefix_length)
			text[--at] = prefix[--prefix_length];
		put_padded(out, spec, text + at, sizeof(text) - at);
		return;
	}
	put_padded(out, &(struct spec){.width = 0}, prefix, prefix_length);
	digits_spec.width = spec->width > prefix_length ? spec->width - prefix_length : 0;
	for (size_t n = sizeof(text) - at; n < digits_spec.width; n++)
		put(out, '0');
	put_padded(out, &(struct spec){.width = 0}, text + at, sizeof(text) - at);
}

static const char *parse_number(const char *p, unsigned *value)
{
	*value = 0;
	for (; *p >= '0' && *p <= '9'; p++)
		*value = *value < 10000 ? *value * 10 + (unsigned)(*p - '0') : *value;
	return p;
}

static const char *parse_spec(const char *p, struct spec *spec, va_list *args)
{
	*spec = (struct spec){.precision = -1};
	for (;; p++) {
		if (*p == '-')
			spec->left = true;
		else if (*p == '0')
			spec->zero = true;
		else
			break;
	}
	if (*p == '*') {
		int width = va_arg(*args, int);

		spec->left = spec->left || width < 0;
		spec->width = width < 0 ? 0u - (unsigned)width : (unsigned)width;
		p++;
	} else {
		p = parse_number(p, &spec->width);
	}
	if (*p == '.') {
		unsigned precision;

		if (p[1] == '*') {
			spec->precision = va_arg(*args, int);
			p += 2;
		} else {
			p = parse_number(p + 1, &precision);
			spec->precision = (int)precision;
		}
	}
	for (; *p == 'l' || *p == 'z'; p++)
		spec->longs++;
	return p;
}

static void put_string(struct sink *out, const struct spec *spec, const char *s)
{
	if (!s)
		s = "(null)";
	put_padded(out, spec, s,
		spec->precision >= 0 ? strnlen(s, (size_t)spec->precision) : strlen(s));
}

static void put_signed(struct sink *out, const struct spec *spec, int64_t value)
{
	if (value < 0)
		put_number(out, spec, 0 - (uint64_t)value, 10, "-");
	else
		put_number(out, spec, (uint64_t)value, 10, "");
}

static uint64_t take_unsigned(const struct spec *spec, va_list *args)
{
	return spec->longs ? va_arg(*args, unsigned long) : va_arg(*args, unsigned);
}

static void convert(struct sink *out, struct spec *spec, char conversion, va_list *args)
{
	char c;

	switch (conversion) {
	case 'c':
		c = (char)va_arg(*args, int);
		put_padded(out, spec, &c, 1);
		break;
	case 's':
		put_string(out, spec, va_arg(*args, const char *));
		break;
	case 'd':
	case 'i':
		put_signed(out, spec, spec->longs ? va_arg(*args, long) : va_arg(*args, int));
		break;
	case 'u':
		put_number(out, spec, take_unsigned(spec, args), 10, "");
		break;
	case 'X':
		spec->upper = true;
		put_number(out, spec, take_unsigned(spec, args), 16, "");
		break;
	case 'x':
		put_number(out, spec, take_unsigned(spec, args), 16, "");
		break;
	case 'p':
		put_number(out, spec, (uintptr_t)va_arg(*args, void *), 16, "0x");
		break;
	default: /* a wrong format of our own shows itself */
		put(out, '%');
		if (conversion && conversion != '%')
			put(out, conversion);
	}
}

size_t text_vformat(char *buffer, size_t size, const char *format, va_list list)
{
	struct sink out = {.buffer = buffer, .size = size};
	va_list args;
	struct spec spec;

	va_copy(args, list);
	for (const char *p = format; *p; p++) {
		if (*p != '%') {
			put(&out, *p);
			continue;
		}
		p = parse_spec(p + 1, &spec, &args);
		convert(&out, &spec, *p, &args);
		if (!*p)
			break;
	}
	va_end(args);
	if (size)
		buffer[out.length < size ? out.length : size - 1] = 0;
	return out.length;
}

size_t text_format(char *buffer, size_t size, const char *format, ...)
{
	va_list args;
	size_t length;

	va_start(args, format);
	length = text_vformat(buffer, size, format, args);
	va_end(args);
	return length;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

/* Digits up to `end`; false when there is none or the number does not fit. */
static bool take_number(const char *text, unsigned base, uint64_t *value, const char **end)
{
	uint64_t v = 0;
	const char *p;

	for (p = text; digit(*p) < (int)base; p++) {
		if (__builtin_mul_overflow(v, base, &v) ||
			__builtin_add_overflow(v, (uint64_t)digit(*p), &v))
			return false;
	}
	*end = p;
	*value = v;
	return p != text;
}

bool text_number(const char *text, unsigned base, uint64_t *value)
{
	const char *end;
	uint64_t v;

	if (!take_number(text, base, &v, &end) || *end)
		return false;
	*value = v;
	return true;
}

bool text_size(const char *text, uint64_t *bytes)
{
	const char *end;
	unsigned shift = 0;
	uint64_t v;

	if (!take_number(text, 10, &v, &end))
		return false;
	if (*end == 'K')
		shift = 10;
	else if (*end == 'M')
		shift = 20;
	else if (*end == 'G')
		shift = 30;
	else if (*end)
		return false;
	if ((shift && end[1]) || v << shift >> shift != v)
		return false;
	*bytes = v << shift;
	return true;
}

bool text_ipv4(const char *text, uint32_t *address)
{
	uint32_t result = 0;
	uint64_t part;

	for (unsigned i = 0; i < 4; i++) {
		const char *end;

		if (!take_number(text, 10, &part, &end) || part > 255 || end - text > 3)
			return false;
		if (*end != (i < 3 ? '.' : 0))
			return false;
		result = result << 8 | (uint32_t)part;
		text = end + 1;
	}
	*address = result;
	return true;
}

static bool is_shown(uint32_t code)
{
	if (code < ' ' || (code >= 0x7f && code < 0xa0))
		return false;
	if (code >= 0x2028 && code <= 0x202e)
		return false;
	return !(code >= 0x2066 && code <= 0x2069);
}

size_t text_character(const char *text, size_t length)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const uint8_t *byte = (const uint8_t *)text;
	uint32_t code;
	size_t bytes;

	if (!length)
		return 0;
	if (*byte < 0x80)
		return is_shown(*byte);
	bytes = *byte < 0xc0 ? 0 : *byte < 0xe0 ? 2 : *byte < 0xf0 ? 3 : *byte < 0xf8 ? 4 : 0;
	if (!bytes || bytes > length)
		return 0;
	code = *byte & (0x7fu >> bytes);
	for (size_t i = 1; i < bytes; i++) {
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (byte[i] & 0x3f);
	}
	if (code < least[bytes] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	return is_shown(code) ? bytes : 0;
}
