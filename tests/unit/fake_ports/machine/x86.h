/* SPDX-License-Identifier: MIT */
/* Stands in for the machine's port instructions: tests/unit/ports_test.c answers them. */
#ifndef ANNEX_X86_H
#define ANNEX_X86_H

#include <stdint.h>

uint32_t fake_in(uint16_t port, unsigned bytes);
void fake_out(uint16_t port, unsigned bytes, uint32_t value);

static inline uint8_t in8(uint16_t port)
{
	return fake_in(port, 1);
}

static inline uint16_t in16(uint16_t port)
{
	return fake_in(port, 2);
}

static inline uint32_t in32(uint16_t port)
{
	return fake_in(port, 4);
}

static inline void out8(uint16_t port, uint8_t value)
{
	fake_out(port, 1, value);
}

static inline void out16(uint16_t port, uint16_t value)
{
	fake_out(port, 2, value);
}

static inline void out32(uint16_t port, uint32_t value)
{
	fake_out(port, 4, value);
}

static inline void cpu_relax(void)
{
}

#endif
