/* SPDX-License-Identifier: MIT */
/* The loader's screen as Linux wants to hear of it (Documentation/arch/x86/zero-page.rst). Boot only. */
#ifndef ANNEX_SCREEN_H
#define ANNEX_SCREEN_H

#include <asm/bootparam.h>
#include "boot/start.h"

/* Fills a zeroed screen_info; leaves it alone if there is no screen. */
void screen_fill(struct screen_info *info, const struct display *screen);

#endif
