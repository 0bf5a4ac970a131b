/* SPDX-License-Identifier: MIT */
/*
 * 32-bit device registers in memory. Functions, so that the tests can put a simulated device behind a
 * driver.
 */
#ifndef ANNEX_MMIO_H
#define ANNEX_MMIO_H

#include <stdint.h>

/* address: a mapped register, aligned to 4. Any CPU. */
uint32_t mmio_read32(uintptr_t address);
void mmio_write32(uintptr_t address, uint32_t value);

#endif
