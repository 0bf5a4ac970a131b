/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include <stdbool.h>
#include "machine/hidden.h"
#include "machine/x86.h"
#include "virt/bell.h"
#include "virt/ports.h"

#define CONFIG_ENABLE 0x80000000u

/*
 * One guest CPU: the machine's address register is the guest's. More: the guest's is kept here, and
 * the machine's holds it only during an access.
 */
static bool kept;
static uint32_t kept_address;
static _Atomic uint32_t config_lock;

uint16_t ports_prepare(unsigned cpus)
{
	kept = cpus > 1;
	return kept ? PORTS_CONFIG_ADDRESS : PORTS_CONFIG_DATA;
}

static void close_range(uint8_t *map, uint64_t first, uint64_t last)
{
	for (uint64_t p = first; p <= last && p < 0x10000; p++)
		map[p / 8] |= 1u << p % 8;
}

void ports_close(unsigned cpus, uint8_t *map)
{
	close_range(map, ports_prepare(cpus), PORTS_CONFIG_LAST);
	for (unsigned i = 0; i < hidden_count(); i++) {
		const struct hidden *h = hidden_row(i);

		if (h->kind == HIDDEN_PORTS)
			close_range(map, h->first, h->last);
	}
}

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
	return kept && port == PORTS_CONFIG_ADDRESS && bytes == 4;
}

static bool is_data(uint16_t port, unsigned bytes)
{
	return port + bytes > PORTS_CONFIG_DATA && port <= PORTS_CONFIG_LAST;
}

/* Hidden ports, or the data register and a neighbour at once: part of it would get past our look. */
static bool is_absent(uint16_t port, unsigned bytes)
{
	unsigned last = port + bytes - 1;

	if (is_data(port, bytes) && (port < PORTS_CONFIG_DATA || last > PORTS_CONFIG_LAST))
		return true;
	return hidden_find(HIDDEN_PORTS, port, last);
}

static bool hidden_function(uint32_t address)
{
	return address & CONFIG_ENABLE &&
	       hidden_find(HIDDEN_PCI, address >> 8 & 0xffff, address >> 8 & 0xffff);
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

/* Opens the data register for what the guest's address register names; false: a hidden function. */
static bool data_open(void)
{
	uint32_t address = kept ? kept_address : in32(PORTS_CONFIG_ADDRESS);

	if (hidden_function(address))
		return false;
	if (kept) {
		lock();
		out32(PORTS_CONFIG_ADDRESS, address);
	}
	return true;
}

static void data_close(void)
{
	if (kept)
		unlock();
}

uint32_t ports_in(uint16_t port, unsigned bytes)
{
	uint32_t value = ones(bytes);

	if (is_address(port, bytes))
		return kept_address;
	if (is_absent(port, bytes))
		return value;
	if (!is_data(port, bytes))
		return raw_in(port, bytes);
	if (data_open()) {
		value = raw_in(port, bytes);
		data_close();
	}
	return value;
}

void ports_out(uint16_t port, unsigned bytes, uint32_t value)
{
	if (is_address(port, bytes)) {
		kept_address = value;
	} else if (is_absent(port, bytes)) {
		return;
	} else if (!is_data(port, bytes)) {
		raw_out(port, bytes, value);
	} else if (data_open()) {
		raw_out(port, bytes, value);
		data_close();
	}
}

void ports_access(struct vcpu *v, uint16_t port, unsigned bytes, bool in)
{
	/* A 32-bit register write clears the upper half, narrower ones keep the rest. */
	uint64_t written = bytes == 4 ? UINT64_MAX : (1ull << bytes * 8) - 1;

	if (in && bell_in(v, port, bytes))
		return;
	if (in)
		v->gpr[GPR_RAX] = (v->gpr[GPR_RAX] & ~written) | ports_in(port, bytes);
	else
		ports_out(port, bytes, (uint32_t)v->gpr[GPR_RAX]);
}
