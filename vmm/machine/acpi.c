/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "lib/log.h"
#include "lib/panic.h"
#include "machine/acpi.h"

#define LENGTH_MAX (16u << 20)
#define MAPPED_END (4ull << 30) /* what the entry code has mapped */
#define EBDA_SEG   0x40eu
#define EBDA_LEAST 0x80000u

#define FADT_DSDT       40u
#define FADT_PM_TIMER   76u
#define FADT_X_DSDT     140u
#define MADT_ENTRIES    44u
#define MADT_LAPIC      0u
#define MADT_X2APIC     9u
#define MCFG_ENTRIES    44u
#define MCFG_ENTRY_SIZE 16u

static const struct acpi_header *tables[ACPI_TABLES];
static unsigned count;

uint8_t acpi_checksum(const void *data, size_t bytes)
{
	const uint8_t *p = data;
	uint8_t total = 0;

	while (bytes--)
		total += *p++;
	return (uint8_t)-total;
}

static uint32_t get32(const struct acpi_header *t, uint32_t offset)
{
	uint32_t value = 0;

	if (t && offset + 4 <= t->length)
		memcpy(&value, (const uint8_t *)t + offset, 4);
	return value;
}

static uint64_t get64(const struct acpi_header *t, uint32_t offset)
{
	return get32(t, offset) | (uint64_t)get32(t, offset + 4) << 32;
}

const struct acpi_rsdp *acpi_rsdp_at(uint64_t address)
{
	const struct acpi_rsdp *r = (const void *)address;

	if (memcmp(r->signature, "RSD PTR ", 8) || acpi_checksum(r, 20))
		return NULL;
	return r;
}

uint64_t acpi_ebda(void)
{
	uint64_t segment = EBDA_SEG, ebda;

	/* The compiler takes addresses near 0 for mistakes. */
	__asm__("" : "+r"(segment));
	ebda = (uint64_t) * (const uint16_t *)segment << 4;
	return ebda >= EBDA_LEAST ? ebda : 0;
}

static const struct acpi_rsdp *rsdp_search(void)
{
	const struct acpi_rsdp *r;
	uint64_t ebda = acpi_ebda();

	for (uint64_t at = ebda; ebda && at < ebda + ACPI_EBDA_BYTES; at += 16) {
		r = acpi_rsdp_at(at);
		if (r)
			return r;
	}
	for (uint64_t at = ACPI_BIOS_START; at < ACPI_BIOS_END; at += 16) {
		r = acpi_rsdp_at(at);
		if (r)
			return r;
	}
	panic_boot("no ACPI tables: neither the loader nor the BIOS area names them");
}

/* NULL, and a word in the log, if it cannot be a table. */
static const struct acpi_header *table_at(uint64_t address)
{
	const struct acpi_header *t = (const void *)address;

	if (!address || address + sizeof(*t) > MAPPED_END || t->length < sizeof(*t) ||
		t->length > LENGTH_MAX || address + t->length > MAPPED_END) {
		log_warning("acpi: no table at %lx", (unsigned long)address);
		return NULL;
	}
	/* FACS, the one table without checksum, is not in the root table. */
	if (acpi_checksum(t, t->length)) {
		log_warning("acpi: %.4s at %lx has a wrong checksum, left out", t->signature,
			(unsigned long)address);
		return NULL;
	}
	return t;
}

void acpi_init(uint64_t rsdp)
{
	const struct acpi_rsdp *r = rsdp && rsdp < MAPPED_END ? acpi_rsdp_at(rsdp) : NULL;
	const struct acpi_header *root, *t;
	unsigned width;

	if (!r)
		r = rsdp_search();
	width = r->revision >= 2 && r->xsdt && !acpi_checksum(r, sizeof(*r)) ? 8 : 4;
	root = table_at(width == 8 ? r->xsdt : r->rsdt);
	if (!root)
		panic_boot("the ACPI root table is damaged");
	for (uint32_t at = sizeof(*root); at + width <= root->length; at += width) {
		t = table_at(width == 8 ? get64(root, at) : get32(root, at));
		if (!t)
			continue;
		if (count == ACPI_TABLES)
			panic_boot("more than %u ACPI tables", ACPI_TABLES);
		tables[count++] = t;
	}
	if (!acpi_find("APIC") || !acpi_find("FACP"))
		panic_boot("the firmware gives no MADT or FADT: switch ACPI on");
	log_info("acpi: RSDP at %p revision %u, %u tables", (const void *)r, r->revision, count);
}

unsigned acpi_count(void)
{
	return count;
}

const struct acpi_header *acpi_table(unsigned index)
{
	check(index < count);
	return tables[index];
}

const struct acpi_header *acpi_find(const char *signature)
{
	for (unsigned i = 0; i < count; i++) {
		if (!memcmp(tables[i]->signature, signature, 4))
			return tables[i];
	}
	return NULL;
}

uint16_t acpi_pm_timer(void)
{
	return (uint16_t)get32(acpi_find("FACP"), FADT_PM_TIMER);
}

static void add_cpu(uint32_t id, uint32_t flags, uint32_t boot_apic_id)
{
	if (!(flags & 1) || id == boot_apic_id)
		return;
	if (layout.cpus == LAYOUT_CPUS)
		panic_boot("more than %u CPUs: the VMM runs %u guest CPUs and a service core; "
			   "set <vcpu>%u</vcpu> (-smp %u)",
			LAYOUT_CPUS, LAYOUT_CPUS - 1, LAYOUT_CPUS, LAYOUT_CPUS);
	layout.apic_id[layout.cpus++] = id;
}

void acpi_cpus(uint32_t boot_apic_id)
{
	const struct acpi_header *madt = acpi_find("APIC");
	const uint8_t *e;

	layout.cpus = 1;
	layout.apic_id[0] = boot_apic_id;
	for (uint32_t at = MADT_ENTRIES; at + 2 <= madt->length; at += e[1]) {
		e = (const uint8_t *)madt + at;
		if (e[1] < 2 || at + e[1] > madt->length)
			panic_boot("the firmware's MADT is damaged at offset %u", at);
		if (e[0] == MADT_LAPIC && e[1] >= 8)
			add_cpu(e[3], get32(madt, at + 4), boot_apic_id);
		else if (e[0] == MADT_X2APIC && e[1] >= 16)
			add_cpu(get32(madt, at + 4), get32(madt, at + 8), boot_apic_id);
	}
}

uint64_t acpi_ecam(void)
{
	const struct acpi_header *mcfg = acpi_find("MCFG");

	if (!mcfg)
		return 0;
	for (uint32_t at = MCFG_ENTRIES; at + MCFG_ENTRY_SIZE <= mcfg->length;
		at += MCFG_ENTRY_SIZE) {
		uint32_t where = get32(mcfg, at + 8); /* segment, first bus, last bus */

		if (!(where & 0xffffff))
			return get64(mcfg, at);
	}
	return 0;
}

/*
 * A resource template is plain data inside AML, so a QWord address space descriptor (6.4.3.5.1:
 * 0x8a, length 43, type 0 = memory) is found by its shape; min, max and length must agree.
 */
static unsigned scan(const struct acpi_header *t, struct layout_range *range, unsigned room)
{
	static const uint8_t head[] = {0x8a, 0x2b, 0x00, 0x00};
	const uint8_t *p = (const uint8_t *)t;
	unsigned found = 0;

	for (uint32_t at = sizeof(*t); at + 46 <= t->length && found < room; at++) {
		uint64_t low, high, bytes;

		if (memcmp(p + at, head, sizeof(head)))
			continue;
		low = get64(t, at + 14);
		high = get64(t, at + 22);
		bytes = get64(t, at + 38);
		if (high > low && bytes == high - low + 1)
			range[found++] = (struct layout_range){low, bytes};
	}
	return found;
}

unsigned acpi_windows(struct layout_range *range, unsigned room)
{
	const struct acpi_header *fadt = acpi_find("FACP"), *dsdt;
	uint64_t address = get64(fadt, FADT_X_DSDT);
	unsigned found = 0;

	if (!address)
		address = get32(fadt, FADT_DSDT);
	dsdt = table_at(address);
	if (dsdt)
		found = scan(dsdt, range, room);
	for (unsigned i = 0; i < count; i++) {
		if (!memcmp(tables[i]->signature, "SSDT", 4))
			found += scan(tables[i], range + found, room - found);
	}
	return found;
}
