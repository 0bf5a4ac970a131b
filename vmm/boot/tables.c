/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "boot/hand_off.h"
#include "boot/tables.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "machine/acpi.h"
#include "machine/layout.h"

#define DOMAIN_PINNED 0u
#define DOMAIN_FAR    1u /* the guest's CPUs are at home here */

#define DISTANCE_LOCAL  10u
#define DISTANCE_REMOTE 20u

/*
 * What SLIT cannot say, because its row of the CPUs' home must say "local" to the far domain: of the
 * two, far memory is the slow one. In ns: a DRAM access, and the shortest remote fill (an exit, a
 * READ of 4 KiB and the mapping). A far page that is in the page cache costs as much as pinned memory.
 */
#define LATENCY_PINNED 100u
#define LATENCY_FAR    5000u

#define MADT_ENTRIES    44u
#define MADT_LAPIC      0u
#define MADT_LAPIC_NMI  4u
#define MADT_X2APIC     9u
#define MADT_X2APIC_NMI 10u
#define MADT_WAKEUP     16u

#define FADT_FACS   36u
#define FADT_X_FACS 132u
#define FACS_BYTES  64u

#define MEMORY_ENABLED  1u
#define MEMORY_HOT_PLUG 2u
#define CPU_ENABLED     1u

struct srat {
	struct acpi_header header;
	uint32_t one;
	uint64_t reserved;
	uint8_t entries[];
} __attribute__((packed));

struct srat_memory {
	uint8_t type; /* 1 */
	uint8_t length;
	uint32_t domain;
	uint16_t reserved1;
	uint64_t base;
	uint64_t bytes;
	uint32_t reserved2;
	uint32_t flags;
	uint64_t reserved3;
} __attribute__((packed));

struct srat_apic {
	uint8_t type; /* 0 */
	uint8_t length;
	uint8_t domain_low;
	uint8_t id;
	uint32_t flags;
	uint8_t eid;
	uint8_t domain_high[3];
	uint32_t clock;
} __attribute__((packed));

struct srat_x2apic {
	uint8_t type; /* 2 */
	uint8_t length;
	uint16_t reserved1;
	uint32_t domain;
	uint32_t id;
	uint32_t flags;
	uint32_t clock;
	uint32_t reserved2;
} __attribute__((packed));

struct slit {
	struct acpi_header header;
	uint64_t localities;
	uint8_t distance[4];
} __attribute__((packed));

/* ACPI 6.4, 5.2.27. */
struct hmat_domain {
	uint16_t type; /* 0 */
	uint16_t reserved1;
	uint32_t length;
	uint16_t flags; /* 1: the initiator is valid */
	uint16_t reserved2;
	uint32_t initiator;
	uint32_t memory;
	uint32_t reserved3;
	uint64_t reserved4[2];
} __attribute__((packed));

struct hmat_latency {
	uint16_t type; /* 1 */
	uint16_t reserved1;
	uint32_t length;
	uint8_t flags; /* 0: of memory, no cache */
	uint8_t data; /* 0: access latency */
	uint8_t transfer;
	uint8_t reserved2;
	uint32_t initiators;
	uint32_t targets;
	uint32_t reserved3;
	uint64_t unit; /* ps */
	uint32_t initiator[1];
	uint32_t target[2];
	uint16_t entry[2];
} __attribute__((packed));

struct hmat {
	struct acpi_header header;
	uint32_t reserved;
	struct hmat_domain domain[2];
	struct hmat_latency latency;
} __attribute__((packed));

struct madt_wakeup {
	uint8_t type; /* 16 */
	uint8_t length;
	uint16_t version; /* of the mailbox: 0 */
	uint32_t reserved;
	uint64_t mailbox;
} __attribute__((packed));

static void seal(struct acpi_header *h)
{
	h->checksum = 0;
	h->checksum = acpi_checksum(h, h->length);
}

static void head(struct acpi_header *h, const char *signature, uint8_t revision, size_t bytes)
{
	memcpy(h->signature, signature, 4);
	h->length = (uint32_t)bytes;
	h->revision = revision;
	memcpy(h->oem_id, "ANNEX ", 6);
	memcpy(h->oem_table, "ANNEXVMM", 8);
	h->oem_revision = 1;
	memcpy(h->creator, "ANNX", 4);
	h->creator_revision = 1;
}

static void *srat_cpu(void *at, uint32_t id)
{
	if (id < 255) {
		struct srat_apic *a = at;

		*a = (struct srat_apic){.length = sizeof(*a),
			.domain_low = DOMAIN_FAR,
			.id = (uint8_t)id,
			.flags = CPU_ENABLED};
		return a + 1;
	}
	struct srat_x2apic *x = at;

	*x = (struct srat_x2apic){.type = 2,
		.length = sizeof(*x),
		.domain = DOMAIN_FAR,
		.id = id,
		.flags = CPU_ENABLED};
	return x + 1;
}

static void *srat_memory(void *at, uint32_t domain, uint64_t base, uint64_t bytes, uint32_t flags)
{
	struct srat_memory *m = at;

	*m = (struct srat_memory){.type = 1,
		.length = sizeof(*m),
		.domain = domain,
		.base = base,
		.bytes = bytes,
		.flags = MEMORY_ENABLED | flags};
	return m + 1;
}

static const struct acpi_header *build_srat(void)
{
	size_t most = sizeof(struct srat) + layout.cpus * sizeof(struct srat_x2apic) +
		      (layout.pinned_count + 1) * sizeof(struct srat_memory);
	struct srat *srat = hand_off_take(most, 16);
	void *at = srat->entries;

	for (unsigned i = 0; i < layout_guest_cpus(); i++)
		at = srat_cpu(at, layout.apic_id[i]);
	for (unsigned i = 0; i < layout.pinned_count; i++)
		at = srat_memory(
			at, DOMAIN_PINNED, layout.pinned[i].start, layout.pinned[i].bytes, 0);
	at = srat_memory(at, DOMAIN_FAR, layout.far_base, layout.far_bytes, MEMORY_HOT_PLUG);
	head(&srat->header, "SRAT", 3, (size_t)((uint8_t *)at - (uint8_t *)srat));
	srat->one = 1;
	seal(&srat->header);
	return &srat->header;
}

static const struct acpi_header *build_slit(void)
{
	struct slit *slit = hand_off_take(sizeof(*slit), 16);

	head(&slit->header, "SLIT", 1, sizeof(*slit));
	slit->localities = 2;
	for (unsigned i = 0; i < 4; i++)
		slit->distance[i] = i == 0 || i == 3 ? DISTANCE_LOCAL : DISTANCE_REMOTE;
	seal(&slit->header);
	return &slit->header;
}

static const struct acpi_header *build_hmat(void)
{
	struct hmat *hmat = hand_off_take(sizeof(*hmat), 16);

	head(&hmat->header, "HMAT", 2, sizeof(*hmat));
	for (uint32_t i = 0; i < 2; i++)
		hmat->domain[i] = (struct hmat_domain){.length = sizeof(hmat->domain[i]),
			.flags = 1,
			.initiator = DOMAIN_FAR,
			.memory = i};
	hmat->latency = (struct hmat_latency){.type = 1,
		.length = sizeof(hmat->latency),
		.initiators = 1,
		.targets = 2,
		.unit = 1000,
		.initiator = {DOMAIN_FAR},
		.target = {DOMAIN_PINNED, DOMAIN_FAR},
		.entry = {LATENCY_PINNED, LATENCY_FAR}};
	seal(&hmat->header);
	return &hmat->header;
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t value;

	memcpy(&value, p, 4);
	return value;
}

/* Which CPU of the firmware's the entry speaks of; false: of none or of all. */
static bool madt_cpu(const uint8_t *e, uint32_t *apic_id, uint32_t *uid)
{
	if (e[0] == MADT_LAPIC && e[1] >= 8) {
		*apic_id = e[3];
		*uid = e[2];
		return true;
	}
	if (e[0] == MADT_X2APIC && e[1] >= 16) {
		*apic_id = get32(e + 4);
		*uid = get32(e + 12);
		return true;
	}
	return false;
}

static bool guest_cpu(uint32_t apic_id)
{
	for (unsigned i = 0; i < layout_guest_cpus(); i++) {
		if (layout.apic_id[i] == apic_id)
			return true;
	}
	return false;
}

/* Without every CPU that is not the guest's, and with our own way to start the others. */
static const struct acpi_header *build_madt(const struct acpi_header *old, uint64_t mailbox)
{
	uint8_t *new = hand_off_take(old->length + sizeof(struct madt_wakeup), 16);
	const uint8_t *e;
	uint32_t used = MADT_ENTRIES, id, uid;

	memcpy(new, old, MADT_ENTRIES);
	for (uint32_t at = MADT_ENTRIES; at + 2 <= old->length; at += e[1]) {
		e = (const uint8_t *)old + at;
		if (e[0] == MADT_WAKEUP || (madt_cpu(e, &id, &uid) && !guest_cpu(id)))
			continue;
		memcpy(new + used, e, e[1]);
		used += e[1];
	}
	if (mailbox) {
		struct madt_wakeup wakeup = {
			.type = MADT_WAKEUP, .length = sizeof(wakeup), .mailbox = mailbox};

		memcpy(new + used, &wakeup, sizeof(wakeup));
		used += sizeof(wakeup);
	}
	((struct acpi_header *)new)->length = used;
	seal((struct acpi_header *)new);
	return (const struct acpi_header *)new;
}

/*
 * With a FACS of its own: a guest that suspends to RAM leaves its waking vector there, where the
 * firmware does not look. So waking is a reset, and never runs the guest without the VMM.
 */
static const struct acpi_header *build_fadt(const struct acpi_header *old)
{
	uint8_t *new = hand_off_take(old->length, 16);
	uint64_t facs = 0;

	memcpy(new, old, old->length);
	if (old->length >= FADT_X_FACS + 8)
		memcpy(&facs, new + FADT_X_FACS, 8);
	if (!facs)
		facs = get32(new + FADT_FACS);
	if (facs && facs < 1ull << 32) {
		uint8_t *copy = hand_off_take(FACS_BYTES, 64);

		memcpy(copy, (const void *)facs, FACS_BYTES);
		facs = (uint64_t)copy;
		memcpy(new + FADT_FACS, &facs, 4);
		if (old->length >= FADT_X_FACS + 8)
			memset(new + FADT_X_FACS, 0, 8);
	}
	seal((struct acpi_header *)new);
	return (const struct acpi_header *)new;
}

/* The guest's own version of a firmware table; NULL leaves it out. */
static const struct acpi_header *replace(const struct acpi_header *t, uint64_t mailbox)
{
	static const char *const ours[] = {"SRAT", "SLIT", "HMAT"};

	for (unsigned i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (!memcmp(t->signature, ours[i], 4))
			return NULL;
	}
	if (!memcmp(t->signature, "APIC", 4))
		return build_madt(t, mailbox);
	if (!memcmp(t->signature, "FACP", 4))
		return build_fadt(t);
	return t;
}

/* The same tables by 32-bit addresses, for who finds a root of ACPI 1.0 (all lie below 4 GiB). */
static struct acpi_header *build_rsdt(const struct acpi_header *xsdt)
{
	size_t count = (xsdt->length - sizeof(*xsdt)) / 8;
	struct acpi_header *rsdt = hand_off_take(sizeof(*rsdt) + count * 4, 16);

	for (size_t i = 0; i < count; i++)
		memcpy((uint8_t *)(rsdt + 1) + i * 4, (const uint8_t *)(xsdt + 1) + i * 8, 4);
	head(rsdt, "RSDT", 1, sizeof(*rsdt) + count * 4);
	seal(rsdt);
	return rsdt;
}

uint64_t tables_build(uint64_t mailbox)
{
	static const struct acpi_header *(*const own[])(void) = {
		build_srat, build_slit, build_hmat};
	const unsigned owns = sizeof(own) / sizeof(own[0]);
	size_t most = sizeof(struct acpi_header) + (ACPI_TABLES + owns) * 8;
	struct acpi_rsdp *rsdp = hand_off_take(sizeof(*rsdp), 16);
	struct acpi_header *xsdt = hand_off_take(most, 16);
	const struct acpi_header *t;
	uint8_t *at = (uint8_t *)(xsdt + 1);
	uint64_t address;

	for (unsigned i = 0; i < acpi_count() + owns; i++) {
		t = i < acpi_count() ? replace(acpi_table(i), mailbox) : own[i - acpi_count()]();
		if (!t)
			continue;
		address = (uint64_t)t;
		memcpy(at, &address, 8);
		at += 8;
	}
	head(xsdt, "XSDT", 1, (size_t)(at - (uint8_t *)xsdt));
	seal(xsdt);
	memcpy(rsdp->signature, "RSD PTR ", 8);
	memcpy(rsdp->oem_id, "ANNEX ", 6);
	rsdp->revision = 2;
	rsdp->length = sizeof(*rsdp);
	rsdp->rsdt = (uint32_t)(uint64_t)build_rsdt(xsdt);
	rsdp->xsdt = (uint64_t)xsdt;
	rsdp->checksum = acpi_checksum(rsdp, 20);
	rsdp->checksum_all = acpi_checksum(rsdp, sizeof(*rsdp));
	log_info("acpi: the guest's RSDP at %p, %u guest CPUs at home in the far domain",
		(void *)rsdp, layout_guest_cpus());
	return (uint64_t)rsdp;
}
