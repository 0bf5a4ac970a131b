/* SPDX-License-Identifier: MIT */
#include <libxml/xmlstring.h>
#include <string.h>
#include "toolstack/printable.h"

/* Bytes of the printable character at text; 0: it is none. */
static unsigned width(const char *text, bool lines)
{
	static const int least[] = {0, 0, 0x80, 0x800, 0x10000};
	int bytes = (int)strnlen(text, 4), c;

	c = xmlGetUTF8Char((const unsigned char *)text, &bytes);
	if (c < 0 || bytes < 1 || bytes > 4 || c < least[bytes] || c > 0x10ffff)
		return 0;
	if (c == '\n' && lines)
		return 1;
	if (c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0xd800 && c < 0xe000) || c == 0xfeff)
		return 0;
	/* Line and paragraph separators; marks, embeddings and isolates of direction. */
	if ((c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
		(c >= 0x2066 && c <= 0x2069) || c == 0x61c)
		return 0;
	return (unsigned)bytes;
}

void printable_text(char *text, bool lines)
{
	while (*text) {
		unsigned n = width(text, lines);

		if (!n)
			*text = '?';
		text += n ? n : 1;
	}
}

bool printable_is(const char *text, bool lines)
{
	while (*text) {
		unsigned n = width(text, lines);

		if (!n)
			return false;
		text += n;
	}
	return true;
}
