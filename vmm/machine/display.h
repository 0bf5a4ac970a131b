/* SPDX-License-Identifier: MIT */
/*
 * The screen that the loader left, for the VMM's lines until the guest has it: so that a boot that
 * stops says why on a machine without a serial port too.
 */
#ifndef ANNEX_DISPLAY_H
#define ANNEX_DISPLAY_H

#include <stddef.h>
#include <stdint.h>

enum display_kind {
	DISPLAY_NONE,
	DISPLAY_TEXT, /* VGA text: width and height are columns and lines */
	DISPLAY_PIXELS, /* direct colour */
};

struct display_color {
	uint8_t position;
	uint8_t bits;
};

struct display {
	enum display_kind kind;
	uint64_t base; /* physical */
	uint32_t pitch; /* bytes of a line; each line's pixels fit */
	uint32_t width, height; /* at most 65535 */
	uint8_t depth; /* bits of a pixel, 15..32 */
	struct display_color red, green, blue;
};

/* Boot only: clears it; from now on lines are shown. One above 4 GiB stays dark. */
void display_init(const struct display *display);

/* Plain text; newlines; a line too long goes on in the next. Nothing if there is no display. */
void display_write(const char *text, size_t length);

/* The screen is the guest's, for good. */
void display_hand_off(void);

#endif
