/* SPDX-License-Identifier: MIT */
/* 8250/16550A serial ports (National Semiconductor PC16550D data sheet). */
#include <stdint.h>
#include "machine/console.h"
#include "machine/display.h"
#include "machine/x86.h"

#define COM1 0x3f8
#define COM2 0x2f8

#define REG_DATA          0
#define REG_IRQ           1
#define REG_FIFO          2
#define REG_LINE          3
#define REG_MODEM         4
#define REG_LINE_STATUS   5
#define REG_SCRATCH       7
#define LINE_8N1          0x03
#define LINE_DIVISOR      0x80
#define FIFO_ON_CLEAR     0xc7
#define MODEM_DTR_RTS     0x03
#define STATUS_DATA       0x01
#define STATUS_SEND_EMPTY 0x20

#define FIFO_BYTES 16u
#define WAIT_POLLS 1000000u

static bool com1_ours;
static bool com2_there;

/* 115200 8N1, FIFO on, no interrupts. False if there is no UART. */
static bool uart_init(uint16_t port)
{
	out8(port + REG_SCRATCH, 0x5a);
	if (in8(port + REG_SCRATCH) != 0x5a)
		return false;
	out8(port + REG_LINE, LINE_8N1);
	out8(port + REG_IRQ, 0);
	out8(port + REG_LINE, LINE_DIVISOR | LINE_8N1);
	out8(port + REG_DATA, 1);
	out8(port + REG_IRQ, 0);
	out8(port + REG_LINE, LINE_8N1);
	out8(port + REG_FIFO, FIFO_ON_CLEAR);
	out8(port + REG_MODEM, MODEM_DTR_RTS);
	return true;
}

void console_init(void)
{
	com1_ours = uart_init(COM1);
}

void console_hand_off(void)
{
	display_hand_off();
	com1_ours = false;
}

void console_take_back(void)
{
	com1_ours = uart_init(COM1);
}

static void put(char c)
{
	static unsigned room;

	if (!room) {
		/* A UART that stands still (no reader, flow control) must not hold the VMM. */
		for (unsigned i = 0; !(in8(COM1 + REG_LINE_STATUS) & STATUS_SEND_EMPTY); i++) {
			if (i == WAIT_POLLS)
				return;
		}
		room = FIFO_BYTES;
	}
	room--;
	out8(COM1 + REG_DATA, (uint8_t)c);
}

void console_write(const char *text, size_t length)
{
	display_write(text, length);
	if (!com1_ours)
		return;
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\n')
			put('\r');
		put(text[i]);
	}
}

void console_manage_init(void)
{
	com2_there = uart_init(COM2);
}

int console_manage_read(void)
{
	if (!com2_there || !(in8(COM2 + REG_LINE_STATUS) & STATUS_DATA))
		return -1;
	return in8(COM2 + REG_DATA);
}

size_t console_manage_write(const char *text, size_t length)
{
	size_t n = length < FIFO_BYTES ? length : FIFO_BYTES;

	if (!com2_there || !(in8(COM2 + REG_LINE_STATUS) & STATUS_SEND_EMPTY))
		return 0;
	for (size_t i = 0; i < n; i++)
		out8(COM2 + REG_DATA, (uint8_t)text[i]);
	return n;
}
