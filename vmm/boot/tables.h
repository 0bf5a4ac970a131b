/* SPDX-License-Identifier: MIT */
/*
 * The guest's ACPI tables (ACPI 6.4 chapter 5): a root of our own that names the firmware's tables by
 * reference, and our own SRAT, SLIT, HMAT, MADT and FADT. Nothing is patched in place.
 */
#ifndef ANNEX_TABLES_H
#define ANNEX_TABLES_H

#include <stdint.h>

/*
 * Boot only, after acpi_init() and layout_make(). mailbox: of the multiprocessor wakeup structure, by
 * which the guest is to start its other CPUs; 0: none. Returns the RSDP's address.
 */
uint64_t tables_build(uint64_t mailbox);

#endif
