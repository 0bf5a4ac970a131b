/* SPDX-License-Identifier: MIT */
/* Page tables of the guest: APM vol. 2 chapter 5. Permissions are not looked at. */
#include <string.h>
#include "machine/layout.h"
#include "machine/registers.h"
#include "virt/guest.h"
#include "virt/virt.h"

#define BIOS_START 0xc0000u
#define BIOS_END   0x100000u

#define PTE_P    1u
#define PTE_PS   0x80u
#define PTE_ADDR 0x000ffffffffff000ull

/* A frame that is taken from the page during the copy shows itself by the changed entry. */
static bool read_far(const struct slat_window *w, uint64_t gpa, void *to, unsigned count)
{
	const _Atomic uint64_t *leaf = &w->leaf[(gpa - w->base) / SLAT_PAGE];
	uint64_t entry = slat_read(leaf), address;

	if (!slat_present(w->format, entry))
		return false;
	address = slat_address(w->format, entry);
	memcpy(to, (const void *)(uintptr_t)(address + (gpa & (SLAT_PAGE - 1))), count);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	entry = slat_read(leaf);
	return slat_present(w->format, entry) && slat_address(w->format, entry) == address;
}

bool guest_read_physical(uint64_t gpa, void *to, unsigned count)
{
	const struct slat_window *w = virt_window();

	if (gpa >= w->base && gpa - w->base < (uint64_t)w->pages * SLAT_PAGE)
		return read_far(w, gpa, to, count);
	for (unsigned i = 0; i < layout.pinned_count; i++) {
		const struct layout_range *r = &layout.pinned[i];

		if (gpa >= r->start && gpa + count - r->start <= r->bytes) {
			memcpy(to, (const void *)(uintptr_t)gpa, count);
			return true;
		}
	}
	/* The BIOS: its code runs in a guest that boots by it. */
	if (gpa >= BIOS_START && gpa + count <= BIOS_END) {
		memcpy(to, (const void *)(uintptr_t)gpa, count);
		return true;
	}
	return false;
}

struct walk {
	unsigned levels;
	unsigned bits; /* of an index */
	unsigned entry_bytes;
	uint64_t table;
};

static struct walk walk_of(const struct virt_paging *p)
{
	if (p->long_mode)
		return (struct walk){p->cr4 & CR4_LA57 ? 5 : 4, 9, 8, p->cr3 & PTE_ADDR};
	if (p->cr4 & CR4_PAE)
		return (struct walk){3, 9, 8, p->cr3 & 0xffffffe0};
	return (struct walk){2, 10, 4, p->cr3 & 0xfffff000};
}

static bool translate(const struct virt_paging *p, uint64_t linear, uint64_t *gpa)
{
	struct walk w = walk_of(p);

	if (!p->long_mode)
		linear = (uint32_t)linear;
	*gpa = linear;
	if (!(p->cr0 & CR0_PG))
		return true;
	for (unsigned level = w.levels; level-- > 0;) {
		unsigned shift = 12 + level * w.bits;
		uint64_t index = linear >> shift & ((1u << w.bits) - 1), entry = 0;

		if (!guest_read_physical(w.table + index * w.entry_bytes, &entry, w.entry_bytes))
			return false;
		if (!(entry & PTE_P))
			return false;
		if (level == 0 ||
			(entry & PTE_PS && level < 3 && (w.entry_bytes == 8 || p->cr4 & CR4_PSE))) {
			uint64_t offset = (1ull << shift) - 1;

			*gpa = (entry & PTE_ADDR & ~offset) | (linear & offset);
			return true;
		}
		w.table = entry & PTE_ADDR;
	}
	return false;
}

unsigned guest_read(const struct virt_paging *p, uint64_t linear, void *to, unsigned count)
{
	unsigned done = 0;

	while (done < count) {
		unsigned part = SLAT_PAGE - ((linear + done) & (SLAT_PAGE - 1));
		uint64_t gpa;

		if (part > count - done)
			part = count - done;
		if (!translate(p, linear + done, &gpa))
			break;
		if (!guest_read_physical(gpa, (uint8_t *)to + done, part))
			break;
		done += part;
	}
	return done;
}
