/* SPDX-License-Identifier: MIT */
/*
 * CLOCK walks the leaf entries in address order. A region of 2 MiB whose upper entry has A clear has
 * no page mapped and is skipped: pcache_map() sets that bit, the hand clears it when it has found
 * the region empty.
 *
 * A page is cold if its A bit is clear and a settled flush lies after the clearing; until then a CPU
 * may use it through a cached translation and leave no trace.
 */
#include "far/extent.h"
#include "far/pcache.h"
#include "far/prefetch.h"
#include "far/reclaim.h"
#include "far/victim.h"
#include "lib/event.h"
#include "lib/plant.h"

#define BATCH_NS       1000000ull /* between two shootdowns, unless a fault waits for a frame */
#define WALK_BUDGET    1024u /* leaf entries per turn */
#define TAKE_BUDGET    128u /* evictions per turn */
#define STARVED_NS     10000000ull /* victims that take longer to be written do not count */
#define REGION         512u
#define CLEAN_BATCH    16u
#define CLEAN_PAUSE_NS 20000000ull /* after nothing was found to clean */
#define CLEAN_AHEAD    512u /* leaf entries ahead of the hand that are looked at for cleaning */

enum verdict {
	PASS,
	TAKE,
};

static bool server_takes(struct far *far, uint32_t page)
{
	return far->server[engine_server_of(far, page)].ready &&
	       extent_held(engine_extent_of(far, page));
}

static bool is_dirty(const struct far *far, const struct frame *f, uint64_t entry)
{
	return f->dirty || (entry & far->format.dirty) != 0;
}

/* May this page's frame be had? Never while its last or only copy cannot go anywhere. */
static bool evictable(struct far *far, const struct frame *f, uint64_t entry)
{
	if (f->state != PAGE_RESIDENT || (f->recent > 0 && !planted(PLANT_RECLAIM_RECENT)) ||
		(f->pin && !planted(PLANT_RECLAIM_PINNED)))
		return false;
	return server_takes(far, f->page) || (f->zero && !is_dirty(far, f, entry));
}

static bool accessed(const struct far *far, const struct frame *f, uint64_t entry)
{
	return far->format.accessed ? (entry & far->format.accessed) != 0 : f->referenced;
}

void reclaim_age(struct far *far, struct frame *f)
{
	_Atomic uint64_t *leaf = &far->leaf[f->page];
	uint64_t entry = slat_read(leaf);

	f->referenced = 0;
	if (!far->format.accessed)
		return;
	while (!slat_compare_exchange(leaf, &entry, entry & ~far->format.accessed))
		;
	f->epoch = far->raised + 1;
	far->changes++;
}

static enum verdict judge(struct far *far, uint32_t frame, uint64_t entry, bool force)
{
	struct frame *f = &far->frame[frame];

	if (!evictable(far, f, entry))
		return PASS;
	if (force)
		return TAKE;
	if (accessed(far, f, entry)) {
		prefetch_touched(far, f);
		if (f->list == LIST_PASSED)
			pcache_unlink(far, frame);
		reclaim_age(far, f);
		return PASS;
	}
	return f->epoch <= far->settled ? TAKE : PASS;
}

static void unmap(struct far *far, uint32_t frame)
{
	struct frame *f = &far->frame[frame];
	uint64_t old;

	check(!f->pin);
	old = slat_exchange(&far->leaf[f->page], page_entry(PAGE_UNSETTLED, frame));
	if (f->list == LIST_PASSED)
		pcache_unlink(far, frame);
	if (old & far->format.dirty)
		f->dirty = 1;
	if (old & far->format.accessed)
		prefetch_touched(far, f);
	/* R1: only a shootdown raised from now on lets this frame go. */
	f->epoch = far->raised + 1;
	if (planted(PLANT_OLD_BATCH))
		f->epoch--;
	if (planted(PLANT_NO_SHOOTDOWN_WRITE) && f->dirty)
		f->epoch = far->settled;
	if (planted(PLANT_NO_SHOOTDOWN_ZERO) && pcache_all_zero(pcache_memory(far, frame)))
		f->dirty = !(f->zero = 1);
	pcache_state(far, f, PAGE_UNSETTLED);
	pcache_append(far, LIST_UNSETTLED, frame);
	far->changes++;
	far->counters.evictions++;
	event_record(EVENT_RECLAIM, f->page, frame);
}

static void protect(struct far *far, uint32_t frame)
{
	struct frame *f = &far->frame[frame];
	_Atomic uint64_t *leaf = &far->leaf[f->page];
	uint64_t old = slat_read(leaf);

	/* R8: D goes only together with W. */
	while (!slat_compare_exchange(
		leaf, &old, old & ~(far->format.writable | far->format.dirty)))
		;
	f->dirty = 1;
	f->epoch = far->raised + 1;
	if (planted(PLANT_NO_SHOOTDOWN_WRITE))
		f->epoch = far->settled;
	pcache_state(far, f, PAGE_CLEANING);
	pcache_append(far, LIST_CLEANING, frame);
	far->changes++;
	far->counters.cleanings++;
}

/* The first leaf entry of the next region if this one has nothing mapped, else `page` itself. */
static uint32_t skip(const struct far *far, uint32_t page)
{
	uint64_t upper = slat_read(&far->upper[page / REGION]);

	if (!far->format.accessed || (upper & far->format.accessed))
		return page;
	return (page / REGION + 1) * REGION % far->pages;
}

static void region_empty(struct far *far, uint32_t region)
{
	_Atomic uint64_t *upper = &far->upper[region];
	uint64_t old = slat_read(upper);

	for (uint32_t i = 0; i < REGION; i++) {
		if (slat_present(&far->format, slat_read(&far->leaf[region * REGION + i])))
			return;
	}
	while (!slat_compare_exchange(upper, &old, old & ~far->format.accessed))
		;
}

/* One leaf entry under the hand; true if its page was evicted. */
static bool step(struct far *far)
{
	uint64_t entry = slat_read(&far->leaf[far->hand]);
	bool force = far->fruitless > 2 * far->frames;
	uint32_t frame;

	if (!slat_present(&far->format, entry))
		return false;
	frame = pcache_mapped(far, entry);
	if (judge(far, frame, entry, force) == PASS) {
		far->fruitless++;
		return false;
	}
	unmap(far, frame);
	far->fruitless = 0;
	return true;
}

/*
 * Pages read and left by a stream, or cold, oldest first. One touched since is the hand's; a recent
 * one is passed over, and stays for later.
 */
static uint32_t take_passed(struct far *far, uint32_t want)
{
	uint32_t frame = far->list[LIST_PASSED].head, next, took = 0;

	for (unsigned budget = WALK_BUDGET; took < want && budget > 0; budget--, frame = next) {
		if (frame == ENGINE_NONE || far->frame[frame].epoch > far->settled)
			break;
		next = far->frame[frame].next;
		if (far->frame[frame].recent > 0)
			continue;
		if (judge(far, frame, slat_read(&far->leaf[far->frame[frame].page]), false) ==
			TAKE) {
			unmap(far, frame);
			took++;
		} else if (far->frame[frame].list == LIST_PASSED) {
			pcache_unlink(far, frame);
		}
	}
	return took;
}

/* Moves the hand until `want` pages are evicted or the turn's budget is used up. */
static uint32_t walk(struct far *far, uint32_t want)
{
	uint32_t took = 0, walked = 0;

	while (took < want && walked < WALK_BUDGET) {
		uint32_t next = skip(far, far->hand);

		if (next == far->hand) {
			took += step(far);
			next = (far->hand + 1) % far->pages;
			walked++;
			if (next % REGION == 0 && far->format.accessed) {
				region_empty(far, far->hand / REGION);
				walked += REGION / 8;
			}
		} else {
			walked += 4;
		}
		far->hand = next;
	}
	return took;
}

/*
 * Frames that are on their way. While a fault has waited long for one, dirty victims are not: their
 * server may hang, and what other servers hold, or what is clean, can be had.
 */
static uint32_t coming(const struct far *far)
{
	if (far->waiting[WAIT_FRAME] == 0 || pcache_reserve(far) > 0)
		return pcache_coming(far);
	for (unsigned cpu = 0; cpu < far->cpus; cpu++) {
		const struct waiter *w = &far->waiter[cpu];

		if (w->wait == WAIT_FRAME && w->taken + STARVED_NS <= far->now)
			return far->list[LIST_UNSETTLED].count;
	}
	return pcache_coming(far);
}

static uint32_t have(const struct far *far)
{
	return pcache_reserve(far) + coming(far);
}

static bool reserve_low(const struct far *far)
{
	/* A pin takes only what lies above the low mark. */
	return have(far) < far->low + (far->hint_wait == HINT_FRAME);
}

/* A fault waits for a frame and none is on its way. */
static bool starved(const struct far *far)
{
	return far->waiting[WAIT_FRAME] > 0 && pcache_reserve(far) == 0 &&
	       far->settled == far->raised;
}

/* One shootdown for all that changed; nothing changed: nothing can be had, so look again later. */
static void close_batch(struct far *far, uint64_t now)
{
	far->open = false;
	if (far->changes == 0) {
		far->reclaim_at = now + BATCH_NS;
		return;
	}
	far->raised = shootdown_raise(far->shootdown, now);
	far->raised_at = now;
	far->changes = 0;
	far->cooled = false;
	far->counters.batches++;
}

static uint32_t lacking(const struct far *far)
{
	uint32_t want = far->high > have(far) ? far->high - have(far) : 0;

	return want < TAKE_BUDGET ? want : TAKE_BUDGET;
}

/*
 * A batch stays open over several turns, so that no turn is long, until it has what the reserve lacks
 * or is old enough: then one shootdown for all of it. A fault that waits for a frame closes it. The
 * hand moves only if the reserve was low meanwhile: else only what is listed goes.
 */
static void evict(struct far *far, uint64_t now)
{
	uint32_t want = lacking(far);

	if (!far->open) {
		far->opened_at = now;
		far->warm = false;
	}
	far->open = true;
	far->warm |= reserve_low(far);
	want -= take_passed(far, want);
	if (far->warm)
		walk(far, want);
	if (have(far) >= far->high || starved(far) || (want > 0 && !far->warm) ||
		now - far->opened_at >= BATCH_NS / 4)
		close_batch(far, now);
}

/* Cold dirty pages that the hand will meet soon: cleaned now, they can be dropped then. */
static void clean_ahead(struct far *far, uint64_t now)
{
	uint32_t cleaned = 0;

	for (uint32_t i = 0; i < CLEAN_AHEAD && cleaned < CLEAN_BATCH; i++) {
		uint32_t page = (far->hand + i) % far->pages, frame;
		uint64_t entry;

		if (page % REGION == 0 && skip(far, page) != page) {
			i += REGION - 1;
			continue;
		}
		entry = slat_read(&far->leaf[page]);
		if (!slat_present(&far->format, entry))
			continue;
		frame = pcache_mapped(far, entry);
		/* What is listed goes before the hand comes, and is to stay in its place until then. */
		if (far->frame[frame].list == LIST_PASSED ||
			!evictable(far, &far->frame[frame], entry) || far->frame[frame].writing ||
			!is_dirty(far, &far->frame[frame], entry) ||
			accessed(far, &far->frame[frame], entry) ||
			far->frame[frame].epoch > far->settled)
			continue;
		protect(far, frame);
		cleaned++;
	}
	far->clean_at = cleaned > 0 ? now : now + CLEAN_PAUSE_NS;
	close_batch(far, now);
}

/* The pcache is as good as full, and neither the reserve nor the WRITEs need the hand now. */
static bool may_clean(const struct far *far)
{
	return far->list[LIST_FREE].count < 2 * far->high && far->list[LIST_CLEANING].count == 0 &&
	       pcache_coming(far) < far->low;
}

/*
 * A batch without the hand: pages were made cold, which is known only after a shootdown; or a
 * PREFETCH waits for such pages' frames; or a stream is about to, which takes only what lies above the
 * low mark, and would be left behind by its guest until the batch is done.
 */
static bool cold_wanted(const struct far *far)
{
	uint32_t head = far->list[LIST_PASSED].head;

	if (far->cooled)
		return true;
	if (head == ENGINE_NONE || lacking(far) == 0)
		return false;
	if (far->hint_wait == HINT_COLD)
		return true;
	/* Not for a head that cannot be had: an idle guest's last pages are recent for ever. */
	return far->frame[head].recent == 0 && far->frame[head].epoch <= far->settled &&
	       have(far) < far->low + far->low / 2;
}

void reclaim_turn(struct far *far, uint64_t now)
{
	pcache_pace(far, now);
	if (far->open) {
		evict(far, now);
		return;
	}
	/* A's cleared in an open shootdown are known to be clear only when it has settled. */
	if (far->settled < far->raised)
		return;
	if (now < far->raised_at + BATCH_NS && !starved(far))
		return;
	if ((reserve_low(far) || cold_wanted(far)) && now >= far->reclaim_at)
		evict(far, now);
	else if (may_clean(far) && now >= far->clean_at)
		clean_ahead(far, now);
}

uint64_t reclaim_deadline(const struct far *far)
{
	uint64_t paced = far->raised_at + BATCH_NS;

	if (far->open)
		return far->now;
	if (far->settled < far->raised)
		return UINT64_MAX;
	if (!reserve_low(far) && !cold_wanted(far))
		return UINT64_MAX;
	return far->reclaim_at > paced ? far->reclaim_at : paced;
}
