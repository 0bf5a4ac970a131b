/* SPDX-License-Identifier: MIT */
/* machine/acpi.c and boot/tables.c against firmware tables made here, at real physical addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "boot/hand_off.h"
#include "boot/tables.h"
#include "machine/acpi.h"
#include "machine/layout.h"
#include "tests/host/host.h"

#define FIRMWARE 0x30000000ul
#define SIZE     0x10000ul

#define HAND_OFF 0xfe0000ul

#define RSDP (FIRMWARE + 0x0)
#define RSDT (FIRMWARE + 0x40)
#define FADT (FIRMWARE + 0x100)
#define MADT (FIRMWARE + 0x300)
#define MCFG (FIRMWARE + 0x500)
#define SRAT (FIRMWARE + 0x600)
#define HPET (FIRMWARE + 0x700)
#define FACS (FIRMWARE + 0x800)
#define DSDT (FIRMWARE + 0x900)

#define MAILBOX 0xff1000ul

struct layout layout;

static void put32(unsigned long at, uint32_t value)
{
	memcpy((void *)at, &value, 4);
}

static void put64(unsigned long at, uint64_t value)
{
	memcpy((void *)at, &value, 8);
}

static uint32_t get32(const void *at)
{
	uint32_t value;

	memcpy(&value, at, 4);
	return value;
}

static uint64_t get64(const void *at)
{
	uint64_t value;

	memcpy(&value, at, 8);
	return value;
}

static void seal(unsigned long at)
{
	struct acpi_header *h = (void *)at;

	h->checksum = 0;
	h->checksum = acpi_checksum(h, h->length);
}

static void table(unsigned long at, const char *signature, uint32_t length)
{
	struct acpi_header *h = (void *)at;

	memcpy(h->signature, signature, 4);
	h->length = length;
	h->revision = 1;
	seal(at);
}

/* Three enabled CPUs, one disabled, NMI wiring, an IOAPIC, a CPU by x2APIC entry. */
static void make_madt(void)
{
	static const uint8_t entries[] = {
		0, 8, 0, 0, 1, 0, 0, 0, /* uid 0, APIC id 0 */
		0, 8, 1, 2, 1, 0, 0, 0, /* uid 1, APIC id 2 */
		0, 8, 2, 4, 0, 0, 0, 0, /* disabled */
		1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0, /* IOAPIC */
		4, 6, 0xff, 0, 0, 1, /* NMI of all */
		9, 16, 0, 0, 0x2c, 1, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, /* x2APIC id 300 */
	};

	memcpy((void *)(MADT + 44), entries, sizeof(entries));
	put32(MADT + 36, 0xfee00000);
	table(MADT, "APIC", 44 + sizeof(entries));
}

static void make_dsdt(void)
{
	static const uint8_t head[] = {0x8a, 0x2b, 0, 0};
	unsigned long at = DSDT + 0x51;

	memcpy((void *)at, head, 4);
	put64(at + 14, 0x800000000);
	put64(at + 22, 0xfffffffff);
	put64(at + 38, 0x800000000);
	/* Looks like one, but its numbers do not agree. */
	memcpy((void *)(at + 60), head, 4);
	put64(at + 74, 0x1000);
	put64(at + 82, 0x2000);
	put64(at + 98, 7);
	table(DSDT, "DSDT", 0x100);
}

static void make_firmware(void)
{
	static const uint32_t tables[] = {FADT, MADT, MCFG, SRAT, HPET};
	struct acpi_rsdp *rsdp = (void *)RSDP;

	memset((void *)FIRMWARE, 0, SIZE);
	memcpy(rsdp->signature, "RSD PTR ", 8);
	rsdp->rsdt = RSDT;
	rsdp->checksum = acpi_checksum(rsdp, 20);
	memcpy((void *)(RSDT + 36), tables, sizeof(tables));
	table(RSDT, "RSDT", 36 + sizeof(tables));
	put32(FADT + 36, FACS);
	put32(FADT + 40, DSDT);
	put32(FADT + 76, 0x608);
	table(FADT, "FACP", 0xf4);
	memcpy((void *)FACS, "FACS\x40\0\0\0", 8);
	put32(FACS + 12, 0x12345678);
	put64(MCFG + 44, 0xb0000000);
	put32(MCFG + 52, 0xff000000);
	table(MCFG, "MCFG", 60);
	table(SRAT, "SRAT", 48);
	table(HPET, "HPET", 56);
	make_madt();
	make_dsdt();
}

static int map_memory(void **state)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	void *low = (void *)HAND_OFF;
	size_t bytes = LAYOUT_HAND_OFF_BYTES;

	if (mmap((void *)FIRMWARE, SIZE, PROT_READ | PROT_WRITE, flags, -1, 0) != (void *)FIRMWARE)
		return -1;
	return mmap(low, bytes, PROT_READ | PROT_WRITE, flags, -1, 0) == low ? 0 : -1;
}

static const struct acpi_header *in_root(const struct acpi_header *root, const char *signature)
{
	const struct acpi_header *found = NULL;

	for (uint32_t at = 36; at < root->length; at += 8) {
		const struct acpi_header *t = (const void *)get64((const uint8_t *)root + at);

		assert_int_equal(acpi_checksum(t, t->length), 0);
		if (memcmp(t->signature, signature, 4))
			continue;
		assert_null(found);
		found = t;
	}
	assert_non_null(found);
	return found;
}

static void firmware_is_read(void **state)
{
	struct layout_range window[4];

	make_firmware();
	acpi_init(RSDP);
	assert_int_equal(acpi_count(), 5);
	assert_int_equal(acpi_pm_timer(), 0x608);
	assert_true(acpi_ecam() == 0xb0000000);
	acpi_cpus(2);
	assert_int_equal(layout.cpus, 3);
	assert_int_equal(layout.apic_id[0], 2);
	assert_int_equal(layout.apic_id[1], 0);
	assert_int_equal(layout.apic_id[2], 300);
	assert_int_equal(acpi_windows(window, 4), 1);
	assert_true(window[0].start == 0x800000000 && window[0].bytes == 0x800000000);
}

static void check_srat(const uint8_t *srat)
{
	const uint8_t *e = srat + 48;

	assert_int_equal(get32(srat + 36), 1);
	/* Guest CPUs 2 and 0 in domain 1; the service core (300) not at all. */
	for (unsigned i = 0; i < 2; i++, e += 16) {
		assert_int_equal(e[0], 0);
		assert_int_equal(e[1], 16);
		assert_int_equal(e[2], 1);
		assert_int_equal(e[3], layout.apic_id[i]);
		assert_int_equal(get32(e + 4), 1);
	}
	assert_int_equal(e[0], 1);
	assert_int_equal(e[1], 40);
	assert_int_equal(get32(e + 2), 0);
	assert_true(get64(e + 8) == 0x1000000 && get64(e + 16) == 0x10000000);
	assert_int_equal(get32(e + 28), 1);
	e += 40;
	assert_int_equal(get32(e + 2), 1);
	assert_true(get64(e + 8) == 36ull << 30 && get64(e + 16) == 4ull << 30);
	assert_int_equal(get32(e + 28), 3); /* enabled, hot-pluggable */
	assert_int_equal(e + 40 - srat, get32(srat + 4));
}

static uint16_t get16(const void *at)
{
	uint16_t value;

	memcpy(&value, at, 2);
	return value;
}

/* The CPUs, at home in domain 1, reach domain 0 in 100 ns and domain 1 in 5 us. */
static void check_hmat(const uint8_t *hmat)
{
	const uint8_t *e = hmat + 40;

	assert_int_equal(hmat[8], 2);
	for (unsigned i = 0; i < 2; i++, e += 40) {
		assert_int_equal(get16(e), 0);
		assert_int_equal(get32(e + 4), 40);
		assert_int_equal(get16(e + 8), 1);
		assert_int_equal(get32(e + 12), 1);
		assert_int_equal(get32(e + 16), i);
	}
	assert_int_equal(get16(e), 1);
	assert_int_equal(get32(e + 4), 48);
	assert_int_equal(e[8] | e[9] | e[10], 0);
	assert_int_equal(get32(e + 12), 1);
	assert_int_equal(get32(e + 16), 2);
	assert_true(get64(e + 24) == 1000);
	assert_int_equal(get32(e + 32), 1);
	assert_int_equal(get32(e + 36), 0);
	assert_int_equal(get32(e + 40), 1);
	assert_int_equal(get16(e + 44), 100);
	assert_int_equal(get16(e + 46), 5000);
	assert_int_equal(e + 48 - hmat, get32(hmat + 4));
}

static void check_madt(const uint8_t *madt)
{
	unsigned cpus = 0, others = 0, wakeups = 0;

	for (uint32_t at = 44; at < get32(madt + 4); at += madt[at + 1]) {
		if (madt[at] == 0 || madt[at] == 9) {
			assert_int_equal(madt[at], 0);
			assert_true(madt[at + 3] == 0 || madt[at + 3] == 2);
			cpus++;
		} else if (madt[at] == 16) {
			assert_int_equal(madt[at + 1], 16);
			assert_true(get64(madt + at + 8) == MAILBOX && !get32(madt + at + 2));
			wakeups++;
		} else {
			others++;
		}
	}
	assert_int_equal(cpus, 2);
	assert_int_equal(others, 2);
	assert_int_equal(wakeups, 1);
	assert_int_equal(get32(madt + 36), 0xfee00000);
}

static void guest_tables(void **state)
{
	static uint8_t before[SIZE];
	const struct acpi_rsdp *rsdp;
	const struct acpi_header *root, *rsdt;
	const uint8_t *fadt, *facs, *slit;

	memcpy(before, (void *)FIRMWARE, SIZE);
	layout.pinned[0] = (struct layout_range){0x1000000, 0x10000000};
	layout.pinned_count = 1;
	layout.hand_off = (struct layout_range){HAND_OFF, LAYOUT_HAND_OFF_BYTES};
	layout.far_base = 36ull << 30;
	layout.far_bytes = 4ull << 30;
	rsdp = (const void *)tables_build(MAILBOX);
	assert_memory_equal(before, (void *)FIRMWARE, SIZE); /* nothing is patched in place */
	assert_in_range(
		(uintptr_t)rsdp, HAND_OFF, HAND_OFF + LAYOUT_HAND_OFF_BYTES - sizeof(*rsdp));
	assert_memory_equal(rsdp->signature, "RSD PTR ", 8);
	assert_int_equal(rsdp->revision, 2);
	assert_int_equal(acpi_checksum(rsdp, 20), 0);
	assert_int_equal(acpi_checksum(rsdp, 36), 0);
	root = (const void *)rsdp->xsdt;
	assert_memory_equal(root->signature, "XSDT", 4);
	assert_int_equal(acpi_checksum(root, root->length), 0);
	assert_int_equal((root->length - 36) / 8, 7);
	/* The root of ACPI 1.0 names the same. */
	rsdt = (const void *)(uintptr_t)rsdp->rsdt;
	assert_memory_equal(rsdt->signature, "RSDT", 4);
	assert_int_equal(acpi_checksum(rsdt, rsdt->length), 0);
	assert_int_equal((rsdt->length - 36) / 4, 7);
	for (unsigned i = 0; i < 7; i++)
		assert_true(get32((const uint8_t *)rsdt + 36 + i * 4) ==
			    get64((const uint8_t *)root + 36 + i * 8));
	/* By reference what is not ours. */
	assert_ptr_equal(in_root(root, "HPET"), (void *)HPET);
	assert_ptr_equal(in_root(root, "MCFG"), (void *)MCFG);
	check_srat((const uint8_t *)in_root(root, "SRAT"));
	check_hmat((const uint8_t *)in_root(root, "HMAT"));
	check_madt((const uint8_t *)in_root(root, "APIC"));
	slit = (const uint8_t *)in_root(root, "SLIT");
	assert_true(get64(slit + 36) == 2);
	assert_memory_equal(slit + 44, "\x0a\x14\x14\x0a", 4);
	fadt = (const uint8_t *)in_root(root, "FACP");
	assert_int_equal(get32(fadt + 40), DSDT);
	facs = (const uint8_t *)(uintptr_t)get32(fadt + 36);
	assert_in_range((uintptr_t)facs, HAND_OFF, HAND_OFF + LAYOUT_HAND_OFF_BYTES - 64);
	assert_int_equal((uintptr_t)facs % 64, 0);
	assert_memory_equal(facs, (void *)FACS, 64);
}

static void hand_off_is_bounded(void **state)
{
	assert_true(host_expect_panic(hand_off_take(0x20000, 16)));
	assert_int_equal(host_panic_kind(), HOST_PANIC_BOOT);
}

/* Damage is left out or stops the boot with a word on it; it is never followed. */
static void damaged_madt(void **state)
{
	make_firmware();
	((uint8_t *)MADT)[44 + 9] = 0; /* an entry of length 0 */
	seal(MADT);
	assert_true(host_expect_panic(acpi_cpus(0)));
	assert_non_null(strstr(host_panic_text(), "MADT is damaged at offset 52"));
	make_firmware();
	((uint8_t *)MADT)[44 + 9] = 200; /* beyond the table */
	seal(MADT);
	assert_true(host_expect_panic(acpi_cpus(0)));
	assert_non_null(strstr(host_panic_text(), "MADT is damaged"));
}

static void too_many_cpus(void **state)
{
	make_firmware();
	for (unsigned i = 0; i < 20; i++) {
		uint8_t *e = (uint8_t *)MADT + 44 + 8 * i;

		memset(e, 0, 8);
		e[1] = 8;
		e[3] = (uint8_t)i;
		e[4] = 1;
	}
	table(MADT, "APIC", 44 + 8 * 20);
	assert_true(host_expect_panic(acpi_cpus(0)));
	assert_non_null(strstr(host_panic_text(), "more than 17 CPUs"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(firmware_is_read),
		cmocka_unit_test(guest_tables),
		cmocka_unit_test(hand_off_is_bounded),
		cmocka_unit_test(damaged_madt),
		cmocka_unit_test(too_many_cpus),
	};

	return cmocka_run_group_tests_name("tables", tests, map_memory, NULL);
}
