/* SPDX-License-Identifier: MIT */
/*
 * The firmware's ACPI tables, read (ACPI 6.4 chapter 5). Boot CPU, boot only. Tables are checked
 * for length and checksum before anything is believed.
 */
#ifndef ANNEX_ACPI_H
#define ANNEX_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "machine/layout.h"

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table[8];
	uint32_t oem_revision;
	char creator[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t checksum_all;
	uint8_t reserved[3];
} __attribute__((packed));

#define ACPI_TABLES 64u

/* What lies there, if it is a sound RSDP (ACPI 6.4, 5.2.5.3), else NULL. */
const struct acpi_rsdp *acpi_rsdp_at(uint64_t address);

/*
 * Where RSDPs are looked for (ACPI 6.4, 5.2.5.1), at multiples of 16: the first KiB of the EBDA (0:
 * there is none), and the BIOS.
 */
uint64_t acpi_ebda(void);
#define ACPI_EBDA_BYTES 1024u
#define ACPI_BIOS_START 0xe0000u
#define ACPI_BIOS_END   0x100000u

/* Finds and checks all tables; rsdp is what the loader gave, or 0 to search. Stops the boot. */
void acpi_init(uint64_t rsdp);

unsigned acpi_count(void);
const struct acpi_header *acpi_table(unsigned index);
const struct acpi_header *acpi_find(const char *signature);

/* The value that makes the bytes' sum 0 when it is put where now 0 stands. */
uint8_t acpi_checksum(const void *data, size_t bytes);

/* I/O port of the PM timer, or 0. */
uint16_t acpi_pm_timer(void);

/* Enabled CPUs of the MADT: layout.cpus and layout.apic_id, the boot CPU first. */
void acpi_cpus(uint32_t boot_apic_id);

/* Physical address of bus 0's ECAM (PCI Express enhanced configuration), or 0. */
uint64_t acpi_ecam(void);

/* 64-bit address windows named anywhere in DSDT and SSDTs (QWord descriptors); returns how many. */
unsigned acpi_windows(struct layout_range *range, unsigned room);

#endif
