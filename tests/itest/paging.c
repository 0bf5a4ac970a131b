/* SPDX-License-Identifier: MIT */
/* Page tables in far memory, large pages over it, and the bits that the walk sets. */
#include "itest.h"

#define LARGE_VA (TEST_VA + 64 * GIB)
#define GIANT_VA (TEST_VA + 128 * GIB)
#define TREE_VA  (TEST_VA + 1024 * GIB)
#define PAGES    64u

/* A tree of four pages, all in far memory; a fifth is what it maps. */
struct tree {
	uint64_t table[3]; /* level 2 to 0 */
	uint64_t page;
};

static struct tree make_tree(uint64_t va)
{
	struct tree t = {{far_take(1), far_take(1), far_take(1)}, far_take(1)};
	uint64_t *top = pages_entry(va, 3);

	*top = far_gpa(t.table[0]) | PTE_P | PTE_W;
	put64(t.table[0] + (va >> 30 & 511) * 8, far_gpa(t.table[1]) | PTE_P | PTE_W);
	put64(t.table[1] + (va >> 21 & 511) * 8, far_gpa(t.table[2]) | PTE_P | PTE_W);
	put64(t.table[2] + (va >> 12 & 511) * 8, far_gpa(t.page) | PTE_P | PTE_W);
	pages_flush();
	return t;
}

static void far_tree(void)
{
	struct tree t = make_tree(TREE_VA);
	uint64_t entry = t.table[2] + (TREE_VA >> 12 & 511) * 8, other = far_take(1);

	put64(t.page, 0x1111);
	put64(other, 0x2222);
	far_push_out();
	same(get64(TREE_VA), 0x1111, "a page behind four evicted page-table pages");
	same(get64(entry) & (PTE_A | PTE_D), PTE_A, "the walk has set A and not D");
	far_push_out();
	same(get64(entry) & (PTE_A | PTE_D), PTE_A, "A outlives the table's eviction");
	far_push_out();
	pages_flush();
	put64(TREE_VA + 8, 5);
	far_push_out();
	same(get64(entry) & (PTE_A | PTE_D), PTE_A | PTE_D, "D is set and outlives it too");
	same(get64(t.table[1] + (TREE_VA >> 21 & 511) * 8) & PTE_A, PTE_A, "and A one level up");
	same(get64(t.page + 8), 5, "the write has arrived");
	/* Nothing but the walk dirties the table: clean, evicted, walked, evicted. */
	put64(entry, get64(entry) & ~(PTE_A | PTE_D));
	far_push_out();
	pages_flush();
	(void)get64(TREE_VA);
	far_push_out();
	far_push_out();
	same(get64(entry) & PTE_A, PTE_A, "A that only the walk has set is written back");
	put64(entry, far_gpa(other) | PTE_P | PTE_W);
	__asm__ volatile("invlpg (%0)" : : "r"(TREE_VA) : "memory");
	same(get64(TREE_VA), 0x2222, "INVLPG: a changed entry counts");
	far_push_out();
	same(get64(TREE_VA), 0x2222, "and still after eviction");
	put64(entry, 0);
	far_push_out();
	pages_flush();
	same(TRY("movq (%0), %%rax",
		     :
		     : "r"(TREE_VA)
		     : "rax", "r11", "memory"),
		CAUGHT(PF), "an entry that is not present in an evicted table: #PF");
	same(seen[PF].cr2, TREE_VA, "CR2 says where");
	put64(entry, far_gpa(t.page) | PTE_P | PTE_W | PTE_NX);
	far_push_out();
	pages_flush();
	put8(t.page, 0xc3);
	same(call_code(TREE_VA, &(struct registers){0}), CAUGHT(PF), "a far page with NX: #PF");
	same(seen[PF].frame.error & 0x10, 0x10, "its error code says fetch");
}

/* The root of all page tables is far as well. */
static void far_root(void)
{
	uint64_t root = far_take(1), was = read_cr3(), page = far_take(1);

	for (unsigned i = 0; i < 512; i++)
		put64(root + i * 8, ((uint64_t *)was)[i]);
	put64(page, 0x77);
	far_push_out();
	write_cr3(far_gpa(root));
	far_push_out();
	pages_flush();
	same(get64(page), 0x77, "CR3 in evicted memory");
	same(read_cr3(), far_gpa(root), "CR3 is kept");
	write_cr3(was);
}

static void sizes(uint64_t va, unsigned level, const char *name)
{
	uint64_t base = far_take(PAGES + 512), gap, at;
	bool good = true;

	/* From a 2 MiB boundary of the window, so that a large page has far neighbours. */
	gap = (2 * MIB - (far_gpa(base) & (2 * MIB - 1))) & (2 * MIB - 1);
	at = va + (far_gpa(base) + gap - machine.far_base);
	base += gap;
	pages_map(va, machine.far_base,
		machine.far_bytes < GIB ? (level == 2 ? GIB : 64 * MIB) : GIB, level, PTE_W);
	for (unsigned i = 0; i < PAGES; i++)
		put64(base + i * PAGE, i + 1);
	far_push_out();
	for (unsigned i = 0; i < PAGES; i++)
		good = get64(at + i * PAGE) == i + 1 && good;
	ok(good, "%s page: what was written through 4 KiB pages", name);
	for (unsigned i = 0; i < PAGES; i++)
		put64(at + i * PAGE + 8, i + 1000);
	far_push_out();
	good = true;
	for (unsigned i = 0; i < PAGES; i++)
		good = get64(base + i * PAGE + 8) == i + 1000 && good;
	ok(good, "%s page: what is written through it is read through 4 KiB pages", name);
	far_push_out();
	put64(at + PAGE - 4, 0x1122334455667788);
	same(get64(base + PAGE - 4), 0x1122334455667788, "%s page: across two far pages", name);
	same(*pages_entry(at, level) & PTE_D, PTE_D, "%s page: its D is set", name);
}

/* Small pages, then one large page in their place, and back. */
static void change_of_size(void)
{
	uint64_t va = LARGE_VA + 32 * GIB, gpa = machine.far_base;
	uint64_t *upper, table;

	put64(FAR_VA + 5 * PAGE, 0x5555);
	pages_map(va, gpa, 2 * MIB, 0, PTE_W);
	same(get64(va + 5 * PAGE), 0x5555, "4 KiB pages");
	upper = pages_entry(va, 1);
	table = *upper;
	*upper = gpa | PTE_P | PTE_W | PTE_PS;
	pages_flush();
	far_push_out();
	same(get64(va + 5 * PAGE), 0x5555, "a 2 MiB page in their place");
	put64(va + 5 * PAGE, 0x6666);
	*upper = table;
	pages_flush();
	far_push_out();
	same(get64(va + 5 * PAGE), 0x6666, "and 4 KiB pages again");
}

void test_pages(void)
{
	say("page tables and large pages");
	far_tree();
	far_root();
	sizes(LARGE_VA, 1, "2 MiB");
	if (pages_giant)
		sizes(GIANT_VA, 2, "1 GiB");
	else
		skip("1 GiB pages", "not on this CPU");
	change_of_size();
}
