/* SPDX-License-Identifier: MIT */
#include "machine/mmio.h"

uint32_t mmio_read32(uintptr_t address)
{
	return *(volatile uint32_t *)address;
}

/* x86 keeps stores in order: the compiler is told to as well. */
void mmio_write32(uintptr_t address, uint32_t value)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
	*(volatile uint32_t *)address = value;
}
