/* SPDX-License-Identifier: MIT */
/* Memory map and ACPI tables as the VMM hands them over. */
#include <asm/bootparam.h>
#include <string.h>
#include "itest.h"

#define ROW_RAM      1u
#define ROW_RESERVED 2u
#define HOLE_START   0x80000000ull
#define HOLE_END     0xfe000000ull
#define HIDDEN_MOST  MIB /* larger reserved rows are the firmware's */

#define FLUSH_US     10000u
#define SLEEP_ENABLE (1u << 13)
#define EXIT_PORT    0xf4
#define BOCHS_PORT   0x8900

struct table {
	char signature[4];
	uint32_t length;
	uint8_t rest[28];
} __attribute__((packed));

struct machine machine;

extern uint8_t bss_end[];
static uint64_t take_at, take_end;
static uint64_t xsdt;

static uint32_t get32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static uint64_t get_64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

static const struct table *find(const char *signature)
{
	const struct table *x = (const struct table *)xsdt;

	for (uint32_t at = sizeof(*x); at + 8 <= x->length; at += 8) {
		const struct table *t = (const struct table *)get_64((const uint8_t *)x + at);

		if (!memcmp(t->signature, signature, 4))
			return t;
	}
	return NULL;
}

static void read_map(const struct boot_params *p)
{
	for (unsigned i = 0; i < p->e820_entries; i++) {
		const struct boot_e820_entry *e = &p->e820_table[i];

		if (e->type == ROW_RAM && e->addr <= 16 * MIB && e->addr + e->size > 16 * MIB) {
			machine.memory_end = e->addr + e->size;
			take_at = ((uint64_t)bss_end + PAGE - 1) & ~(PAGE - 1);
			take_end = machine.memory_end;
		}
	}
	for (unsigned i = 0; i < p->e820_entries; i++) {
		const struct boot_e820_entry *e = &p->e820_table[i];

		if (e->type == ROW_RESERVED && e->addr >= MIB && e->addr < HOLE_START &&
			e->size > machine.own_bytes) {
			machine.own = e->addr;
			machine.own_bytes = e->size;
		}
		if (e->type == ROW_RESERVED && e->addr >= HOLE_START &&
			e->addr + e->size <= HOLE_END && e->size < HIDDEN_MOST &&
			machine.hidden_rows < 16) {
			machine.hidden[machine.hidden_rows] = e->addr;
			machine.hidden_bytes[machine.hidden_rows++] = e->size;
		}
	}
}

/* The far window is the hot-pluggable memory of the SRAT. */
static void read_srat(void)
{
	const struct table *t = find("SRAT");

	for (uint32_t at = 48; t && at + 2 <= t->length;) {
		const uint8_t *e = (const uint8_t *)t + at;

		if (e[0] == 1 && get32(e + 28) & 2) {
			machine.far_base = get_64(e + 8);
			machine.far_bytes = get_64(e + 16);
		}
		at += e[1];
	}
}

static void read_madt(void)
{
	const struct table *t = find("APIC");

	for (uint32_t at = 44; t && at + 2 <= t->length;) {
		const uint8_t *e = (const uint8_t *)t + at;

		if (e[0] == 0 && e[4] & 1 && machine.cpus < 32)
			machine.apic_id[machine.cpus++] = e[3];
		at += e[1];
	}
}

void machine_init(const void *boot_params)
{
	const struct boot_params *p = boot_params;
	const uint8_t *rsdp = (const uint8_t *)p->acpi_rsdp_addr;
	const struct table *mcfg;

	machine.cmdline = (const char *)(uint64_t)p->hdr.cmd_line_ptr;
	xsdt = get_64(rsdp + 24);
	machine.amd = cpuid(0, 0).ebx == 0x68747541;
	read_map(p);
	read_srat();
	read_madt();
	mcfg = find("MCFG");
	if (mcfg)
		machine.ecam = get_64((const uint8_t *)mcfg + 44);
}

uint64_t machine_option(const char *name, uint64_t otherwise)
{
	size_t length = strlen(name);
	uint64_t value = 0;

	for (const char *p = machine.cmdline; *p; p++) {
		if (memcmp(p, "itest.", 6) || memcmp(p + 6, name, length) || p[6 + length] != '=')
			continue;
		for (p += 7 + length; *p >= '0' && *p <= '9'; p++)
			value = value * 10 + (uint64_t)(*p - '0');
		return value;
	}
	return otherwise;
}

void *pinned_take(uint64_t bytes, uint64_t align)
{
	void *at;

	take_at = (take_at + align - 1) & ~(align - 1);
	at = (void *)take_at;
	take_at += bytes;
	if (take_at > take_end) {
		ok(false, "pinned memory is enough for the test");
		finish();
	}
	memset(at, 0, bytes);
	return at;
}

/* SLP_TYPa of the package \_S5_ in the DSDT. */
static unsigned sleep_type(const struct table *fadt)
{
	const uint8_t *f = (const uint8_t *)fadt;
	const struct table *dsdt = (const struct table *)(uint64_t)get32(f + 40);
	const uint8_t *d = (const uint8_t *)dsdt;

	for (uint32_t i = sizeof(*dsdt); i + 12 < dsdt->length; i++) {
		if (!memcmp(d + i, "_S5_", 4) && d[i + 4] == 0x12)
			return d[i + 7] == 0x0a ? d[i + 8] : d[i + 7];
	}
	return 0;
}

_Noreturn void machine_off(void)
{
	const struct table *fadt = find("FACP");
	const char *word = "Shutdown";

	__asm__ volatile("cli");
	/* Bochs ends with what its serial port has not yet written. */
	apic_wait_us(FLUSH_US);
	if (fadt)
		out16((uint16_t)get32((const uint8_t *)fadt + 64),
			(uint16_t)(sleep_type(fadt) << 10 | SLEEP_ENABLE));
	out8(EXIT_PORT, 1);
	while (*word)
		out8(BOCHS_PORT, (uint8_t)*word++);
	for (;;)
		__asm__ volatile("hlt");
}
