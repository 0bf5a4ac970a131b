/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <string.h>
#include "boot/hand_off.h"
#include "lib/panic.h"
#include "machine/layout.h"

static uint64_t next = LAYOUT_HAND_OFF_START;

void *hand_off_take(size_t bytes, size_t align)
{
	uint64_t at = (next + align - 1) & ~(uint64_t)(align - 1);

	if (at > LAYOUT_LOW_END || LAYOUT_LOW_END - at < bytes)
		panic_boot("the firmware's tables are too large to be handed on (%lu KiB more)",
			(unsigned long)(bytes / 1024));
	next = at + bytes;
	return memset((void *)at, 0, bytes);
}
