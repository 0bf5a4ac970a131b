/* SPDX-License-Identifier: MIT */
/* From the unmapping of a page to the end of its frame, or its way back. */
#include "far/extent.h"
#include "far/pcache.h"
#include "far/prefetch.h"
#include "far/victim.h"
#include "far/writeback.h"
#include "lib/event.h"

#define SETTLE_BUDGET 64u /* frames per turn */

static void set_entry(struct far *far, uint32_t frame, enum page_state state)
{
	slat_write(&far->leaf[far->frame[frame].page], page_entry(state, frame));
	pcache_state(far, &far->frame[frame], state);
}

void victim_drop(struct far *far, uint32_t frame)
{
	struct frame *f = &far->frame[frame];

	/* R1, R2: settled, and the content exists elsewhere: acknowledged, or the word ZERO. */
	check(f->state == PAGE_VICTIM_CLEAN && !f->dirty && f->epoch <= far->settled);
	if (f->zero) {
		slat_write(&far->leaf[f->page], page_entry(PAGE_ZERO, 0));
		pcache_state(far, f, PAGE_ZERO);
		extent_unuse(far, f->page);
	} else {
		slat_write(&far->leaf[f->page], page_entry(PAGE_REMOTE, f->crc));
		pcache_state(far, f, PAGE_REMOTE);
	}
	far->counters.clean_drops++;
}

void victim_take_back(struct far *far, uint32_t frame, bool write)
{
	struct frame *f = &far->frame[frame];

	if (f->list != LIST_NONE)
		pcache_unlink(far, frame);
	f->referenced = 1;
	prefetch_touched(far, f);
	pcache_map(far, frame, write);
}

void victim_clean(struct far *far, uint32_t frame)
{
	far->frame[frame].dirty = 0;
	set_entry(far, frame, PAGE_VICTIM_CLEAN);
	pcache_append(far, LIST_CLEAN, frame);
}

void victim_dirty(struct far *far, uint32_t frame)
{
	struct frame *f = &far->frame[frame];

	f->dirty = 1;
	if (f->state != PAGE_VICTIM_CLEAN)
		return;
	pcache_unlink(far, frame);
	set_entry(far, frame, PAGE_VICTIM_DIRTY);
	victim_judge(far, frame);
}

static void elide(struct far *far, uint32_t frame)
{
	struct frame *f = &far->frame[frame];

	far->counters.zero_elided++;
	f->zero = 1;
	if (f->state == PAGE_CLEANING) {
		writeback_protected_clean(far, frame);
		return;
	}
	slat_write(&far->leaf[f->page], page_entry(PAGE_ZERO, 0));
	pcache_state(far, f, PAGE_ZERO);
	extent_unuse(far, f->page);
	pcache_free(far, frame);
}

void victim_judge(struct far *far, uint32_t frame)
{
	struct frame *f = &far->frame[frame];

	check(f->dirty && !f->writing && f->epoch <= far->settled);
	f->zero = 0;
	if (pcache_all_zero(pcache_memory(far, frame)))
		elide(far, frame);
	else
		pcache_append(far, LIST_WRITE + engine_server_of(far, f->page), frame);
}

/* The epochs not yet known to be settled are few; what was settled once stays so. */
static void learn(struct far *far)
{
	while (far->settled < far->raised && shootdown_settled(far->shootdown, far->settled + 1)) {
		far->settled++;
		event_record(EVENT_SETTLED, far->settled, far->list[LIST_UNSETTLED].count);
	}
}

static void settle_unmapped(struct far *far, uint32_t frame)
{
	struct frame *f = &far->frame[frame];

	pcache_unlink(far, frame);
	if (!f->dirty) {
		victim_clean(far, frame);
		return;
	}
	set_entry(far, frame, PAGE_VICTIM_DIRTY);
	if (!f->writing)
		victim_judge(far, frame);
}

static void settle_protected(struct far *far, uint32_t frame)
{
	pcache_unlink(far, frame);
	victim_judge(far, frame);
}

void victim_settle(struct far *far)
{
	unsigned budget = SETTLE_BUDGET;
	uint32_t frame;

	learn(far);
	while ((frame = far->list[LIST_UNSETTLED].head) != ENGINE_NONE && budget-- > 0) {
		if (far->frame[frame].epoch > far->settled)
			break;
		settle_unmapped(far, frame);
	}
	while ((frame = far->list[LIST_CLEANING].head) != ENGINE_NONE && budget-- > 0) {
		if (far->frame[frame].epoch > far->settled)
			break;
		settle_protected(far, frame);
	}
}
