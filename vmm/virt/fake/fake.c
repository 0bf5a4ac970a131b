/* SPDX-License-Identifier: MIT */
/* The translation caches and the table walker of a simulated CPU. */
#include <string.h>
#include "virt/fake/fake.h"

/* Bits of an x86 long-mode entry, so that a wrong value looks as it would on the machine. */
#define PRESENT  0x1ull
#define WRITABLE 0x2ull
#define USER     0x4ull
#define ACCESSED 0x20ull
#define DIRTY    0x40ull
#define ADDRESS  0x000ffffffffff000ull

const struct slat_format fake_format_ad = {
	.name = "fake, A/D",
	.present = PRESENT,
	.leaf = PRESENT | WRITABLE | USER,
	.writable = WRITABLE,
	.accessed = ACCESSED,
	.dirty = DIRTY,
	.address = ADDRESS,
};

const struct slat_format fake_format_plain = {
	.name = "fake, no A/D",
	.present = PRESENT,
	.leaf = PRESENT | WRITABLE | USER,
	.writable = WRITABLE,
	.accessed = 0,
	.dirty = 0,
	.address = ADDRESS,
};

void fake_init(struct fake_cpu *cpu, const struct slat_window *window,
	struct fake_translation *cached, uint8_t *upper_cached, uint32_t *filled)
{
	*cpu = (struct fake_cpu){
		.window = window, .cached = cached, .upper_cached = upper_cached, .filled = filled};
}

void fake_evict(struct fake_cpu *cpu, uint32_t page)
{
	cpu->cached[page].entry = 0;
}

void fake_flush(struct fake_cpu *cpu)
{
	for (uint32_t i = 0; i < cpu->fills; i++)
		cpu->cached[cpu->filled[i]].entry = 0;
	memset(cpu->upper_cached, 0, cpu->window->pages / 512);
	cpu->fills = 0;
	cpu->flushes++;
}

/* The upper entry's A is set by a walk that reads it, not by one that has it cached. */
static void walk_upper(struct fake_cpu *cpu, uint32_t page)
{
	_Atomic uint64_t *upper = &cpu->window->upper[page / 512];

	if (cpu->upper_cached[page / 512])
		return;
	slat_exchange(upper, slat_read(upper) | cpu->window->format->accessed);
	cpu->upper_cached[page / 512] = 1;
}

/*
 * Reads the leaf entry, sets A and, for a write, D, and caches the result. A violation drops what was
 * cached for the page (APM vol. 2 15.25.6, SDM vol. 3C 29.4.3.1).
 */
static bool walk(struct fake_cpu *cpu, uint32_t page, bool write)
{
	const struct slat_format *f = cpu->window->format;
	_Atomic uint64_t *leaf = &cpu->window->leaf[page];
	uint64_t entry;

	cpu->walks++;
	walk_upper(cpu, page);
	cpu->cached[page].entry = 0;
	entry = slat_read(leaf);
	if (!slat_present(f, entry) || (write && !(entry & f->writable)))
		return false;
	entry |= f->accessed | (write ? f->dirty : 0);
	slat_exchange(leaf, entry);
	if (cpu->fills == cpu->window->pages)
		fake_flush(cpu);
	cpu->filled[cpu->fills++] = page;
	cpu->cached[page].entry = entry;
	return true;
}

static bool allows(const struct slat_format *f, uint64_t entry, bool write)
{
	if (!slat_present(f, entry))
		return false;
	return !write || ((entry & f->writable) && (entry & f->dirty) == f->dirty);
}

bool fake_access(struct fake_cpu *cpu, uint32_t page, bool write, uint64_t *hpa)
{
	const struct slat_format *f = cpu->window->format;

	if (!allows(f, cpu->cached[page].entry, write) && !walk(cpu, page, write))
		return false;
	*hpa = slat_address(f, cpu->cached[page].entry);
	return true;
}
