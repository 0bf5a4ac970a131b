/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include <stdbool.h>
#include "machine/hidden.h"
#include "machine/x86.h"
#include "virt/ports.h"

#define CONFIG_ADDRESS 0xcf8u
#define CONFIG_DATA    0xcfcu
#define CONFIG_ENABLE  0x80000000u

/* The guest's own address register; the machine's holds it only during an access. */
static uint32_t config_address;
static _Atomic uint32_t config_lock;

static uint32_t ones(unsigned bytes)
{
	return bytes == 4 ? UINT32_MAX : (1u << bytes * 8) - 1;
}

static uint32_t raw_in(uint16_t port, unsigned bytes)
{
	return bytes == 1 ? in8(port) : bytes == 2 ? in16(port) : in32(port);
}

static void raw_out(uint16_t port, unsigned bytes, uint32_t value)
{
	if (bytes == 1)
		out8(port, value);
	else if (bytes == 2)
		out16(port, value);
	else
		out32(port, value);
}

static bool is_address(uint16_t port, unsigned bytes)
{
	/* Narrower ones are other registers: 0xcf9 is the reset control. */
	return port == CONFIG_ADDRESS && bytes == 4;
}

static bool is_data(uint16_t port)
{
	return port >= CONFIG_DATA && port <= PORTS_CONFIG_LAST;
}

static bool hidden(uint16_t port, unsigned bytes)
{
	uint32_t address = config_address;

	if (hidden_find(HIDDEN_PORTS, port, port + bytes - 1))
		return true;
	if (!is_data(port) || !(address & CONFIG_ENABLE))
		return false;
	return hidden_find(HIDDEN_PCI, address >> 8 & 0xffff, address >> 8 & 0xffff);
}

static void lock(void)
{
	while (atomic_exchange(&config_lock, 1))
		cpu_relax();
}

static void unlock(void)
{
	atomic_store(&config_lock, 0);
}

uint32_t ports_in(uint16_t port, unsigned bytes)
{
	uint32_t value;

	if (is_address(port, bytes))
		return config_address;
	if (hidden(port, bytes))
		return ones(bytes);
	if (!is_data(port))
		return raw_in(port, bytes);
	lock();
	out32(CONFIG_ADDRESS, config_address);
	value = raw_in(port, bytes);
	unlock();
	return value;
}

void ports_out(uint16_t port, unsigned bytes, uint32_t value)
{
	if (is_address(port, bytes)) {
		config_address = value;
	} else if (hidden(port, bytes)) {
		return;
	} else if (!is_data(port)) {
		raw_out(port, bytes, value);
	} else {
		lock();
		out32(CONFIG_ADDRESS, config_address);
		raw_out(port, bytes, value);
		unlock();
	}
}
