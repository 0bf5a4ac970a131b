/* SPDX-License-Identifier: MIT */
#include "machine/mtrr.h"
#include "slat/ept.h"

#define EPT_R          (1ull << 0)
#define EPT_W          (1ull << 1)
#define EPT_X          (1ull << 2)
#define EPT_TYPE_SHIFT 3u
#define EPT_TYPE       (7ull << EPT_TYPE_SHIFT)
#define EPT_IGNORE_PAT (1ull << 6)
#define EPT_LARGE      (1ull << 7)
#define EPT_A          (1ull << 8)
#define EPT_D          (1ull << 9)
#define EPT_ADDR       0x000ffffffffff000ull
#define EPT_RWX        (EPT_R | EPT_W | EPT_X)
#define EPT_WRITE_BACK ((uint64_t)MTRR_WB << EPT_TYPE_SHIFT)

#define POINTER_WALK_4 (3ull << 3)
#define POINTER_AD     (1ull << 6)

/*
 * A leaf by itself is RAM that only we hand out (frames, scratch pages): write-back whatever the
 * guest's PAT says, because the VMM uses it so. W without R would be a misconfiguration.
 */
#define EPT_LEAF (EPT_RWX | EPT_WRITE_BACK | EPT_IGNORE_PAT)

static const struct slat_format with_ad = {
	.name = "EPT",
	.present = EPT_RWX,
	.leaf = EPT_LEAF,
	.writable = EPT_W,
	.accessed = EPT_A,
	.dirty = EPT_D,
	.address = EPT_ADDR,
};

static const struct slat_format without_ad = {
	.name = "EPT without accessed and dirty bits",
	.present = EPT_RWX,
	.leaf = EPT_LEAF,
	.writable = EPT_W,
	.address = EPT_ADDR,
};

/* With EPT the MTRRs no longer speak for the guest: the entry does, together with its PAT. */
static bool type(uint64_t start, uint64_t bytes, uint64_t *bits)
{
	uint8_t number;

	if (!mtrr_type(start, bytes, &number))
		return false;
	*bits = (uint64_t)number << EPT_TYPE_SHIFT;
	return true;
}

struct slat_tables ept_tables = {
	.format = &without_ad,
	.table = EPT_RWX,
	.large = EPT_LARGE,
	.type_mask = EPT_TYPE | EPT_IGNORE_PAT,
	.type = type,
};

void ept_choose(bool accessed_dirty)
{
	ept_tables.format = accessed_dirty ? &with_ad : &without_ad;
}

uint64_t ept_pointer(const void *root)
{
	return (uintptr_t)root | MTRR_WB | POINTER_WALK_4 |
	       (ept_tables.format->accessed ? POINTER_AD : 0);
}
