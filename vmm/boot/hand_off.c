/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <string.h>
#include "boot/hand_off.h"
#include "lib/panic.h"
#include "machine/layout.h"

static uint64_t next; /* 0: nothing was taken yet */

void *hand_off_take(size_t bytes, size_t align)
{
	uint64_t end = layout.hand_off.start + layout.hand_off.bytes;
	uint64_t at = ((next ? next : layout.hand_off.start) + align - 1) & ~(uint64_t)(align - 1);

	if (at > end || end - at < bytes)
		panic_boot("the firmware's tables are too large to be handed on (%lu KiB more)",
			(unsigned long)(bytes / 1024));
	next = at + bytes;
	return memset((void *)at, 0, bytes);
}
