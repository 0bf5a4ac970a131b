/* SPDX-License-Identifier: MIT */
/* The engine as a whole: its start, its turns, and what it tells others. */
#include <string.h>
#include "far/engine.h"
#include "far/extent.h"
#include "far/fault.h"
#include "far/hint.h"
#include "far/pcache.h"
#include "far/prefetch.h"
#include "far/reclaim.h"
#include "far/victim.h"
#include "far/writeback.h"
#include "lib/event.h"
#include "lib/text.h"

#define HEAD_BYTES ((sizeof(struct far) + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE)

static uint32_t extents_of(uint32_t pages)
{
	return (pages + ENGINE_EXTENT_PAGES - 1) / ENGINE_EXTENT_PAGES;
}

size_t far_tables_size(uint32_t frames, uint32_t pages)
{
	return HEAD_BYTES + (size_t)frames * sizeof(struct frame) +
	       (size_t)extents_of(pages) * sizeof(struct extent);
}

/* NULL, or why the configuration cannot work. */
static const char *refuse(const struct far_config *c, uint64_t frames)
{
	uint64_t mask = c->window.format->address;

	if (c->cpus == 0 || c->cpus > SHOOTDOWN_CPUS)
		return "number of vCPUs out of range";
	if (c->servers == 0 || c->servers > FAR_SERVERS)
		return "no memory server, or too many";
	if (c->ranges == 0 || c->ranges > FAR_RANGES)
		return "no local memory for the pcache, or in too many pieces";
	if (c->window.pages == 0 || c->window.pages % 512 || c->window.base % (512 * PAGE_SIZE))
		return "the far window is not a multiple of 2 MiB";
	for (unsigned i = 0; i < c->ranges; i++) {
		uint64_t last = c->range[i].hpa + (uint64_t)c->range[i].frames * PAGE_SIZE - 1;

		if (c->range[i].hpa % PAGE_SIZE || (uintptr_t)c->range[i].memory % PAGE_SIZE)
			return "local memory for the pcache is not page-aligned";
		if ((last & mask) != (last & ~(uint64_t)(PAGE_SIZE - 1)))
			return "local memory for the pcache is beyond what the SLAT can address";
	}
	if (frames < (uint64_t)c->cpus * FAR_FRAMES_PER_CPU)
		return "less local memory for the pcache than 128 frames for each vCPU";
	if (frames >= ENGINE_NONE)
		return "more local memory for the pcache than frames can be numbered";
	if (c->pin > frames / 2)
		return "the budget for pins is more than half of the local memory for the pcache";
	if (c->pin > 0 && frames - c->pin < (uint64_t)c->cpus * FAR_FRAMES_PER_CPU + frames / 8)
		return "the budget for pins leaves less of the pcache than 128 frames for each "
		       "vCPU and an eighth of all";
	return NULL;
}

static void copy_config(struct far *far, const struct far_config *c)
{
	far->leaf = c->window.leaf;
	far->upper = c->window.upper;
	far->format = *c->window.format;
	far->base = c->window.base;
	far->pages = c->window.pages;
	far->extents = extents_of(c->window.pages);
	far->cpus = c->cpus;
	far->servers = c->servers;
	far->ranges = c->ranges;
	far->mailbox = c->mailbox;
	far->shootdown = c->shootdown;
	far->clock = c->clock;
	far->read_patience = c->read_patience ? c->read_patience : FAR_READ_PATIENCE_NS;
	far->prefetch_max = c->prefetch < FAR_PREFETCH_MAX ? c->prefetch : FAR_PREFETCH_MAX;
	far->pin_budget = c->pin;
	for (unsigned i = 0; i < c->ranges; i++)
		far->range[i] = c->range[i];
	for (unsigned i = 0; i < c->servers; i++) {
		far->server[i].session = c->server[i];
		far->server[i].name = c->server_name[i] ? c->server_name[i] : "?";
	}
}

struct far *far_start(const struct far_config *config, const char **reason)
{
	struct far *far = config->tables;
	uint64_t frames = 0;

	for (unsigned i = 0; i < config->ranges && i < FAR_RANGES; i++)
		frames += config->range[i].frames;
	*reason = refuse(config, frames);
	if (*reason)
		return NULL;
	memset(far, 0, sizeof(*far));
	copy_config(far, config);
	far->frames = (uint32_t)frames;
	far->frame = (struct frame *)((uint8_t *)config->tables + HEAD_BYTES);
	far->extent = (struct extent *)(far->frame + far->frames);
	far->raised = far->settled =
		__atomic_load_n((uint64_t *)&far->shootdown->epoch, __ATOMIC_RELAXED);
	far->states[PAGE_ZERO] = far->pages;
	pcache_start(far);
	extent_start(far);
	prefetch_start(far);
	for (unsigned i = 0; i < SHOOTDOWN_CPUS; i++)
		memset(far->waiter[i].recent, 0xff, sizeof(far->waiter[i].recent));
	for (uint32_t i = 0; i < far->pages; i++)
		slat_write(&far->leaf[i], page_entry(PAGE_ZERO, 0));
	return far;
}

/* A gap (suspend, a loaded host) is nobody's silence: patience begins anew. */
static void keep_time(struct far *far, uint64_t now)
{
	if (now - far->now > ENGINE_GAP_NS)
		far->resumed = now;
	far->now = now;
}

void far_serve(struct far *far, uint64_t now)
{
	keep_time(far, now);
	for (unsigned cpu = 0; cpu < far->cpus; cpu++) {
		uint32_t *state = (uint32_t *)&far->mailbox[cpu].state;

		if (far->waiter[cpu].wait == WAIT_NONE &&
			__atomic_load_n(state, __ATOMIC_ACQUIRE) == MAILBOX_POSTED)
			fault_serve(far, cpu, now);
	}
	if (far->prefetch_open > 0)
		prefetch_turn(far, now);
}

void far_reclaim(struct far *far, uint64_t now)
{
	keep_time(far, now);
	if (far->settled < far->raised)
		shootdown_turn(far->shootdown, now);
	victim_settle(far);
	writeback_unblock(far);
	for (unsigned i = 0; i < far->servers; i++) {
		fault_refill(far, i, now);
		writeback_turn(far, i, now);
	}
	fault_patience(far, now);
	fault_again(far, now);
	if (far->hints + far->unpinning > 0)
		hint_turn(far, now);
	reclaim_turn(far, now);
	extent_turn(far, now);
}

bool far_busy(const struct far *far)
{
	if (far->settled < far->raised || far->open || far->unblock > 0 || hint_busy(far) ||
		far->list[LIST_UNSETTLED].count > 0 || far->list[LIST_CLEANING].count > 0)
		return true;
	if (far->waiting[WAIT_FRAME] > 0 && pcache_reserve(far) > 0)
		return true;
	for (unsigned cpu = 0; cpu < far->cpus; cpu++) {
		if (far->waiter[cpu].wait == WAIT_NONE &&
			__atomic_load_n((uint32_t *)&far->mailbox[cpu].state, __ATOMIC_ACQUIRE) ==
				MAILBOX_POSTED)
			return true;
	}
	for (unsigned i = 0; i < far->servers; i++) {
		if (writeback_busy(far, i))
			return true;
	}
	return false;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t far_deadline(const struct far *far)
{
	uint64_t deadline = far_busy(far) ? far->now : UINT64_MAX;

	if (far->waiting[WAIT_FRAME] + far->waiting[WAIT_LEASE] > 0 || far->hints > 0)
		deadline = earlier(deadline, far->now + ENGINE_RETRY_NS);
	deadline = earlier(deadline, fault_deadline(far));
	deadline = earlier(deadline, reclaim_deadline(far));
	return earlier(deadline, extent_deadline(far));
}

void far_stall(const struct far *far, struct far_stall *stall)
{
	*stall = (struct far_stall){.reason = ""};
	for (unsigned cpu = 0; cpu < far->cpus; cpu++) {
		const struct waiter *w = &far->waiter[cpu];

		if (!w->stalled || (stall->stalled && w->stalled_since >= stall->since))
			continue;
		stall->stalled = true;
		stall->since = w->stalled_since;
		stall->server = w->server;
		stall->reason = w->reason;
	}
	stall->hold = stall->stalled && far->now - stall->since >= FAR_STALL_HOLD_NS;
}

void far_states(const struct far *far, struct far_states *s)
{
	*s = (struct far_states){
		.zero = far->states[PAGE_ZERO],
		.remote = far->states[PAGE_REMOTE],
		.filling = far->states[PAGE_FILLING],
		.resident = far->states[PAGE_RESIDENT],
		.unsettled = far->states[PAGE_UNSETTLED],
		.victim_clean = far->states[PAGE_VICTIM_CLEAN],
		.victim_dirty = far->states[PAGE_VICTIM_DIRTY],
		.cleaning = far->states[PAGE_CLEANING],
		.moving = far->states[PAGE_MOVING],
	};
}

const struct far_counters *far_counters(const struct far *far)
{
	return &far->counters;
}

const struct far_histograms *far_histograms(const struct far *far)
{
	return &far->histograms;
}

void far_frames(
	const struct far *far, uint32_t *total, uint32_t *free, uint32_t *low, uint32_t *high)
{
	*total = far->frames;
	*free = pcache_reserve(far);
	*low = far->low;
	*high = far->high;
}

void far_extents(const struct far *far, uint32_t *total, uint32_t *leased, uint32_t *lost)
{
	*total = far->extents;
	*leased = far->leased;
	*lost = far->lost;
}

void far_describe(const struct far *far, uint64_t gpa, char *buffer, size_t size)
{
	uint64_t page = (gpa - far->base) >> PAGE_SHIFT, entry;
	enum page_state state;
	const struct frame *f;
	uint32_t frame;

	if (page >= far->pages) {
		text_format(buffer, size, "%llx is not in the far window", (unsigned long long)gpa);
		return;
	}
	entry = slat_read(&far->leaf[page]);
	state = page_entry_state(entry);
	if (!slat_present(&far->format, entry) && (state <= PAGE_REMOTE || state == PAGE_MOVING)) {
		text_format(buffer, size, "far page %u: %s, entry %llx", (uint32_t)page,
			page_state_name(state), (unsigned long long)entry);
		return;
	}
	frame = slat_present(&far->format, entry) ? pcache_mapped(far, entry)
						  : page_entry_value(entry);
	f = &far->frame[frame < far->frames ? frame : 0];
	text_format(buffer, size,
		"far page %u: %s, entry %llx, frame %u: page %u generation %u epoch %llx dirty %u "
		"zero %u writing %u list %u",
		(uint32_t)page, page_state_name(f->state), (unsigned long long)entry, frame,
		f->page, f->generation, (unsigned long long)f->epoch, f->dirty, f->zero, f->writing,
		f->list);
}

static void ready(void *context, unsigned server, uint64_t now)
{
	struct far *far = context;

	if (server >= far->servers)
		return;
	extent_back(far, server);
	event_record(EVENT_SESSION, server, SESSION_READY);
}

static void lost(void *context, unsigned server, uint64_t now)
{
	struct far *far = context;

	if (server >= far->servers)
		return;
	far->server[server].ready = false;
	extent_away(far, server);
	event_record(EVENT_SESSION, server, SESSION_AWAY);
}

static void ended(void *context, unsigned server, enum rpc_error code, const char *text)
{
	struct far *far = context;

	if (server >= far->servers)
		return;
	/* Also with no page there yet: the guest could touch its share only to wait for ever. */
	panic_guest("server %u (%s) has ended the session (error %u: %s), and %llu of the guest's "
		    "pages depend on it",
		server, far->server[server].name, code, text,
		(unsigned long long)extent_used_pages(far, server));
}

static void read_done(
	void *context, unsigned server, uint32_t tag, enum session_status status, uint64_t now)
{
	fault_read_done(context, server, tag, status, now);
}

static void write_done(
	void *context, unsigned server, uint32_t tag, enum session_status status, uint64_t now)
{
	writeback_done(context, server, tag, status, now);
}

const struct session_events far_session_events = {
	.extent = extent_named,
	.lease_refused = extent_refused,
	.released = extent_released,
	.ready = ready,
	.lost = lost,
	.ended = ended,
	.read_done = read_done,
	.write_done = write_done,
};
