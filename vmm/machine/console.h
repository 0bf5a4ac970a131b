/* SPDX-License-Identifier: MIT */
/*
 * COM1 and the display (machine/display.h) until hand-off, and COM1 again for the panic report; COM2
 * is the management port.
 */
#ifndef ANNEX_CONSOLE_H
#define ANNEX_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

void console_init(void);
void console_write(const char *text, size_t length); /* waiting for the UART */
void console_hand_off(void); /* COM1 is the guest's now: console_write() does nothing */
void console_take_back(void); /* panic: it is ours again */

/* COM2, never waiting. */
void console_manage_init(void);
int console_manage_read(void); /* a byte, or -1 */
size_t console_manage_write(const char *text, size_t length); /* at most 16 bytes; how many went */

#endif
