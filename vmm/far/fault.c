/* SPDX-License-Identifier: MIT */
/*
 * The way of a far fault. On it there is no shootdown, no allocation and no eviction: a frame comes
 * from the reserve (R5) or the fault waits in its mailbox.
 */
#include <string.h>
#include "far/extent.h"
#include "far/fault.h"
#include "far/pcache.h"
#include "far/prefetch.h"
#include "far/victim.h"
#include "lib/crc.h"
#include "lib/event.h"
#include "lib/plant.h"

#define PATIENCE_NS   250000000ull /* a fault that waits longer is told: its server is slow */
#define TRIES_MAX     12u /* failed checks of one page before the guest is stopped */
#define RECHECK_SHIFT 17u /* first wait after a failed check: 131 us, doubled each time */

/* Those that are served anew are counted. */
static void set_wait(struct far *far, unsigned cpu, enum wait wait)
{
	struct waiter *w = &far->waiter[cpu];

	if (w->wait >= WAIT_FRAME)
		far->waiting[w->wait]--;
	if (wait >= WAIT_FRAME)
		far->waiting[wait]++;
	w->wait = (uint8_t)wait;
}

static uint64_t read_clock(const struct far *far, uint64_t now)
{
	return far->clock ? far->clock() : now;
}

/* The mailbox's time is another CPU's: it may be a little ahead. */
static uint64_t since(uint64_t time, uint64_t now)
{
	return now > time ? now - time : 0;
}

static void done(struct far *far, unsigned cpu, uint32_t frame, enum fault_kind kind, uint64_t now)
{
	struct waiter *w = &far->waiter[cpu];
	struct mailbox *m = &far->mailbox[cpu];
	uint64_t end = read_clock(far, now);

	if (kind == FAULT_ZERO)
		histogram_add(&far->histograms.zero, since(m->posted, end));
	else if (kind == FAULT_VICTIM)
		histogram_add(&far->histograms.victim, since(m->posted, end));
	else if (kind == FAULT_REMOTE) {
		histogram_add(&far->histograms.remote[FAR_STAGE_QUEUE], since(m->posted, w->taken));
		histogram_add(&far->histograms.remote[FAR_STAGE_MAP], since(now, end));
		histogram_add(&far->histograms.remote[FAR_STAGE_TOTAL], since(m->posted, end));
	}
	set_wait(far, cpu, WAIT_NONE);
	w->counted = false;
	w->stalled = false;
	pcache_hold(far, cpu, frame);
	__atomic_store_n((uint32_t *)&m->state, MAILBOX_DONE, __ATOMIC_RELEASE);
}

static void stall(
	struct far *far, unsigned cpu, unsigned server, const char *reason, uint64_t since)
{
	struct waiter *w = &far->waiter[cpu];

	if (!w->stalled) {
		w->stalled = true;
		w->stalled_since = since;
		far->counters.stalls++;
	}
	w->server = server;
	w->reason = reason;
}

static uint32_t take(struct far *far, unsigned cpu)
{
	struct waiter *w = &far->waiter[cpu];
	uint32_t frame = pcache_take(far);

	if (frame == ENGINE_NONE) {
		set_wait(far, cpu, WAIT_FRAME);
		if (!w->counted)
			far->counters.fault_waits++;
		w->counted = true;
	}
	return frame;
}

static void fill_zero(struct far *far, unsigned cpu, uint32_t page, bool write, uint64_t now)
{
	unsigned server = engine_server_of(far, page);
	const char *reason;
	uint32_t frame;

	if (!extent_first_touch(far, page)) {
		reason = extent_reason(far, server);
		if (reason)
			stall(far, cpu, server, reason, now);
		set_wait(far, cpu, WAIT_LEASE);
		return;
	}
	frame = take(far, cpu);
	if (frame == ENGINE_NONE)
		return;
	pcache_give_page(far, frame, page, PAGE_ZERO);
	memset(pcache_memory(far, frame), 0, PAGE_SIZE);
	extent_use(far, page);
	pcache_map(far, frame, write);
	far->counters.zero_fills++;
	done(far, cpu, frame, FAULT_ZERO, now);
}

static void wait_fill(struct far *far, unsigned cpu, unsigned server, uint32_t frame, uint64_t now)
{
	struct waiter *w = &far->waiter[cpu];

	set_wait(far, cpu, WAIT_FILL);
	w->frame = frame;
	far->frame[frame].waiters |= (uint16_t)(1u << cpu);
	if (!far->server[server].ready)
		stall(far, cpu, server, "server away", now);
}

bool fault_post_read(struct far *far, uint32_t frame, uint64_t now)
{
	struct frame *f = &far->frame[frame];
	const struct far_server *s = &far->server[engine_server_of(far, f->page)];
	const struct extent *e = engine_extent_of(far, f->page);
	uint64_t offset = (uint64_t)(f->page % ENGINE_EXTENT_PAGES) * PAGE_SIZE;

	f->time = now;
	return s->ready && extent_held(e) &&
	       session_read(s->session, e->address + offset, e->rkey, pcache_memory(far, frame),
		       frame, now);
}

/* Posts the READ of a FILLING frame, or puts it where it is tried again. */
static bool post_read(struct far *far, unsigned server, uint32_t frame, uint64_t now)
{
	if (fault_post_read(far, frame, now))
		return true;
	far->frame[frame].time = 0;
	pcache_append(far, LIST_REFILL + server, frame);
	return false;
}

static void fill_remote(struct far *far, unsigned cpu, uint32_t page, uint64_t entry, uint64_t now)
{
	uint32_t frame = take(far, cpu);
	unsigned server = engine_server_of(far, page);

	if (frame == ENGINE_NONE)
		return;
	pcache_give_page(far, frame, page, PAGE_REMOTE)->crc = page_entry_value(entry);
	slat_write(&far->leaf[page], page_entry(PAGE_FILLING, frame));
	far->sample[far->counters.remote_fills++ % ENGINE_SAMPLES] = page;
	wait_fill(far, cpu, server, frame, now);
	post_read(far, server, frame, now);
}

static void present(struct far *far, unsigned cpu, uint64_t entry, bool write, uint64_t now)
{
	uint32_t frame = pcache_mapped(far, entry);

	prefetch_touched(far, &far->frame[frame]);
	if (write && !(entry & far->format.writable))
		pcache_unprotect(far, frame);
	else
		far->counters.fault_present++;
	done(far, cpu, frame, FAULT_OTHER, now);
}

static void resolve(struct far *far, unsigned cpu, uint32_t page, bool write, uint64_t now)
{
	uint64_t entry = slat_read(&far->leaf[page]);
	uint32_t frame = page_entry_value(entry);

	if (slat_present(&far->format, entry)) {
		present(far, cpu, entry, write, now);
		return;
	}
	/* Not again for one that waited for a frame or a lease: it would look like another stream. */
	if (far->prefetch_max > 0 && far->waiter[cpu].wait == WAIT_NONE)
		prefetch_note(far, cpu, page);
	switch (page_entry_state(entry)) {
	case PAGE_ZERO:
		fill_zero(far, cpu, page, write, now);
		break;
	case PAGE_REMOTE:
		fill_remote(far, cpu, page, entry, now);
		break;
	case PAGE_FILLING:
		far->counters.fill_joined++;
		if (far->frame[frame].prefetched != PREFETCHED_NOT) {
			prefetch_hit(far, &far->frame[frame]);
			far->frame[frame].time = now; /* since when somebody waits */
		}
		wait_fill(far, cpu, engine_server_of(far, page), frame, now);
		break;
	case PAGE_UNSETTLED:
	case PAGE_VICTIM_CLEAN:
	case PAGE_VICTIM_DIRTY:
		victim_take_back(far, frame, write);
		far->counters.victim_hits++;
		done(far, cpu, frame, FAULT_VICTIM, now);
		break;
	default:
		panic("far page %u: entry %llx", page, (unsigned long long)entry);
	}
}

static uint32_t page_of(const struct far *far, unsigned cpu)
{
	uint64_t page = (far->mailbox[cpu].gpa - far->base) >> PAGE_SHIFT;

	check(page < far->pages);
	return (uint32_t)page;
}

void fault_serve(struct far *far, unsigned cpu, uint64_t now)
{
	struct mailbox *m = &far->mailbox[cpu];
	uint32_t page = page_of(far, cpu);

	far->waiter[cpu].taken = read_clock(far, now);
	far->counters.faults++;
	resolve(far, cpu, page, m->access == MAILBOX_WRITE, now);
	/* Of the others EVENT_MAP tells enough. */
	if (far->waiter[cpu].wait >= WAIT_FRAME)
		event_record(EVENT_FAULT, page, m->access);
}

void fault_again(struct far *far, uint64_t now)
{
	if (far->waiting[WAIT_FRAME] + far->waiting[WAIT_LEASE] == 0)
		return;
	for (unsigned cpu = 0; cpu < far->cpus; cpu++) {
		if (far->waiter[cpu].wait >= WAIT_FRAME)
			resolve(far, cpu, page_of(far, cpu),
				far->mailbox[cpu].access == MAILBOX_WRITE, now);
	}
}

void fault_refill(struct far *far, unsigned server, uint64_t now)
{
	struct list *l = &far->list[LIST_REFILL + server];

	if (!far->server[server].ready)
		return;
	for (uint32_t left = l->count; left > 0; left--) {
		uint32_t frame = l->head;
		uint64_t not_before = far->frame[frame].time;

		pcache_unlink(far, frame);
		if (not_before > now)
			pcache_append(far, LIST_REFILL + server, frame);
		else if (!post_read(far, server, frame, now))
			return;
	}
}

/* Every vCPU that waits for the frame, and a map of it for each. */
static void complete(struct far *far, uint32_t frame, uint64_t now)
{
	uint32_t waiters = far->frame[frame].waiters;

	far->frame[frame].tries = 0;
	pcache_map(far, frame, false);
	while (waiters != 0) {
		unsigned cpu = (unsigned)__builtin_ctz(waiters);

		waiters &= waiters - 1;
		done(far, cpu, frame, FAULT_REMOTE, now);
	}
}

/*
 * Another content than was written. A READ that overtook something is right the next time, so it is
 * read again for about a second; a server that goes on like that has lost the page.
 */
static void corrupt(struct far *far, unsigned server, uint32_t frame, uint32_t crc, uint64_t now)
{
	struct frame *f = &far->frame[frame];

	far->counters.fill_corrupt++;
	if (++f->tries >= TRIES_MAX)
		panic_guest("server %u (%s) returns another content of far page %u than was "
			    "written: CRC32C %08x instead of %08x, %u times",
			server, far->server[server].name, f->page, crc, f->crc, f->tries);
	f->time = now + (1ull << (RECHECK_SHIFT + f->tries));
}

void fault_read_done(
	struct far *far, unsigned server, uint32_t frame, enum session_status status, uint64_t now)
{
	struct frame *f = &far->frame[frame];
	bool ok = status == SESSION_OK;
	uint32_t crc = 0;

	check(frame < far->frames && f->state == PAGE_FILLING && f->list == LIST_NONE);
	if (ok) {
		if (f->waiters)
			histogram_add(&far->histograms.remote[FAR_STAGE_WIRE], now - f->time);
		crc = crc_castagnoli(pcache_memory(far, frame), PAGE_SIZE);
		ok = crc == f->crc || planted(PLANT_MAP_STALE);
	}
	ok |= planted(PLANT_MAP_ERRORED) && status != SESSION_OK;
	if (!f->waiters) {
		far->counters.fill_corrupt += status == SESSION_OK && !ok;
		prefetch_arrived(far, frame, ok);
		return;
	}
	if (ok) {
		complete(far, frame, now);
		return;
	}
	/* R4: not content. The page stays FILLING and is read again. */
	far->counters.fill_retries++;
	event_record(EVENT_FILL, f->page, frame);
	f->time = now;
	if (status == SESSION_OK)
		corrupt(far, server, frame, crc, now);
	pcache_append(far, LIST_REFILL + server, frame);
}

static void give_up(struct far *far, uint32_t frame)
{
	struct frame *f = &far->frame[frame];
	unsigned server = engine_server_of(far, f->page);

	session_abandon(far->server[server].session, frame);
	far->counters.fill_abandoned++;
	for (unsigned cpu = 0; cpu < far->cpus; cpu++) {
		if (!(f->waiters & 1u << cpu))
			continue;
		set_wait(far, cpu, WAIT_FRAME);
		stall(far, cpu, server, "server slow", far->waiter[cpu].taken);
	}
	slat_write(&far->leaf[f->page], page_entry(PAGE_REMOTE, f->crc));
	pcache_state(far, f, PAGE_REMOTE);
	pcache_free(far, frame);
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* ns at which this vCPU's READ is given up. */
static uint64_t give_up_at(const struct far *far, unsigned cpu)
{
	const struct waiter *w = &far->waiter[cpu];

	if (w->wait != WAIT_FILL || far->frame[w->frame].list != LIST_NONE)
		return UINT64_MAX;
	return later(far->frame[w->frame].time, far->resumed) + far->read_patience;
}

/* Whose fault it is that no frame comes back: the page that waits may be another server's. */
static unsigned culprit(const struct far *far, unsigned server)
{
	for (unsigned i = 0; i < far->servers; i++) {
		if (!far->server[i].ready)
			return i;
		if (far->server[i].in_flight > far->server[server].in_flight)
			server = i;
	}
	return server;
}

/*
 * A fault that waits says so: at once if its server is away, also when the server went only after
 * the fault had come, and after a while whatever it waits for.
 */
static void tell(struct far *far, unsigned cpu, uint64_t now)
{
	const struct waiter *w = &far->waiter[cpu];
	unsigned server = engine_server_of(far, page_of(far, cpu));
	uint64_t start = later(w->taken, far->resumed);
	bool slow = start + PATIENCE_NS <= now;

	if (w->wait == WAIT_FRAME && slow)
		server = culprit(far, server);
	if (!far->server[server].ready && (slow || w->wait != WAIT_FRAME))
		stall(far, cpu, server, "server away", slow ? start : now);
	else if (slow)
		stall(far, cpu, server,
			w->wait != WAIT_FILL && far->server[server].refusing ? "pool full"
									     : "server slow",
			start);
}

void fault_patience(struct far *far, uint64_t now)
{
	for (unsigned cpu = 0; cpu < far->cpus; cpu++) {
		if (give_up_at(far, cpu) <= now)
			give_up(far, far->waiter[cpu].frame);
		if (far->waiter[cpu].wait != WAIT_NONE)
			tell(far, cpu, now);
	}
}

uint64_t fault_deadline(const struct far *far)
{
	uint64_t deadline = UINT64_MAX;

	for (unsigned cpu = 0; cpu < far->cpus; cpu++) {
		const struct waiter *w = &far->waiter[cpu];
		uint64_t at = give_up_at(far, cpu);

		if (w->wait == WAIT_NONE)
			continue;
		if (w->wait == WAIT_FILL && far->frame[w->frame].list != LIST_NONE &&
			far->frame[w->frame].time > far->now)
			at = far->frame[w->frame].time;
		if (!w->stalled && later(w->taken, far->resumed) + PATIENCE_NS < at)
			at = later(w->taken, far->resumed) + PATIENCE_NS;
		if (at < deadline)
			deadline = at;
	}
	return deadline;
}
