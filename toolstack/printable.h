/* SPDX-License-Identifier: MIT */
/* Text that came out of a guest: nothing in it may reach a terminal or a file as a command. */
#ifndef ANNEX_PRINTABLE_H
#define ANNEX_PRINTABLE_H

#include <stdbool.h>

/*
 * Writes '?' over each byte that is not part of a printable UTF-8 character: control characters,
 * broken or overlong sequences, and characters that change the direction or end of a line. With
 * `lines`, \n stays. The length stays the same.
 */
void printable_text(char *text, bool lines);

/* True when printable_text() would change nothing. */
bool printable_is(const char *text, bool lines);

#endif
