/* SPDX-License-Identifier: MIT */
/* Four levels of page tables in pinned memory, and the far window behind them. */
#include "itest.h"

#define ADDRESS   0x000ffffffffff000ull
#define LOW       (4 * GIB)
#define PUSH_PART 2 /* of the window: what far_push_out() touches */
#define SETTLE_US 1000

bool pages_giant;
uint64_t far_pushes;

static uint64_t *root;
static uint64_t far_next, push_next;

static uint64_t *table_of(uint64_t *entry)
{
	if (!(*entry & PTE_P))
		*entry = (uint64_t)pinned_take(PAGE, PAGE) | PTE_P | PTE_W | PTE_U;
	return (uint64_t *)(*entry & ADDRESS);
}

static void map_one(uint64_t va, uint64_t pa, unsigned level, uint64_t flags)
{
	uint64_t *table = root;

	for (unsigned l = 3; l > level; l--)
		table = table_of(&table[va >> (12 + 9 * l) & 511]);
	table[va >> (12 + 9 * level) & 511] = pa | flags | PTE_P | (level ? PTE_PS : 0);
}

void pages_map(uint64_t va, uint64_t pa, uint64_t bytes, unsigned level, uint64_t flags)
{
	uint64_t step = PAGE << 9 * level;

	for (uint64_t at = 0; at < bytes; at += step)
		map_one(va + at, pa + at, level, flags);
}

uint64_t *pages_entry(uint64_t va, unsigned level)
{
	uint64_t *table = root;

	for (unsigned l = 3; l > level; l--) {
		uint64_t entry = table[va >> (12 + 9 * l) & 511];

		if (!(entry & PTE_P) || (entry & PTE_PS && l < 3))
			return NULL;
		table = (uint64_t *)(entry & ADDRESS);
	}
	return &table[va >> (12 + 9 * level) & 511];
}

void pages_flush(void)
{
	write_cr3(read_cr3());
}

void pages_init(void)
{
	pages_giant = cpuid(0x80000001, 0).edx >> 26 & 1;
	root = pinned_take(PAGE, PAGE);
	pages_map(0, 0, LOW, 1, PTE_W);
	pages_map(FAR_VA, machine.far_base, machine.far_bytes, 0, PTE_W);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 0x801);
	write_cr3((uint64_t)root);
	push_next = machine.far_bytes / PUSH_PART;
}

uint64_t far_take(unsigned pages)
{
	uint64_t at = far_next;

	far_next += pages * PAGE;
	if (far_next > machine.far_bytes / PUSH_PART) {
		ok(false, "far memory is enough for the test");
		finish();
	}
	return FAR_VA + at;
}

void far_push_out(void)
{
	uint64_t pages = machine_option("push", 2048);

	far_pushes++;
	for (uint64_t i = 0; i < pages; i++) {
		(void)get8(FAR_VA + push_next);
		push_next += PAGE;
		if (push_next == machine.far_bytes)
			push_next = machine.far_bytes / PUSH_PART;
	}
	/* Reclaim comes to its rest, and with it the VMM's kicks. */
	apic_wait_us(SETTLE_US);
}

static uint8_t pattern(uint64_t at, uint64_t seed)
{
	uint64_t z = (at + seed) * 0x9e3779b97f4a7c15ull;

	return (uint8_t)(z >> 56);
}

void pattern_fill(uint64_t va, uint64_t bytes, uint64_t seed)
{
	for (uint64_t i = 0; i < bytes; i++)
		put8(va + i, pattern(i, seed));
}

bool pattern_good(uint64_t va, uint64_t bytes, uint64_t seed)
{
	for (uint64_t i = 0; i < bytes; i++)
		if (get8(va + i) != pattern(i, seed))
			return false;
	return true;
}
