/* SPDX-License-Identifier: MIT */
/*
 * The server memory behind the far window. An extent's lease is asked for when its first page gets
 * content, long before anything is written to it, and is given back when no page of it has had
 * content for a while.
 */
#include "far/extent.h"
#include "far/pcache.h"
#include "far/victim.h"
#include "lib/log.h"

#define RETRY_NS    200000000ull /* a refused lease is asked for again */
#define IDLE_NS     10000000ull /* one step of the walk over all extents, looking for unused ones */
#define IDLE_STEPS  100u /* of one walk */
#define WALK_BUDGET 64u

void extent_start(struct far *far)
{
	for (uint32_t i = 0; i < far->extents; i++)
		far->extent[i] = (struct extent){.state = EXTENT_NONE};
}

static struct far_server *server_of(struct far *far, uint32_t index)
{
	return &far->server[index % far->servers];
}

/* Waits for extent_turn(): to be leased, leased anew, or released because it is lost. */
static bool wanting(enum extent_state state)
{
	return state == EXTENT_WANTED || state == EXTENT_REFUSED || state == EXTENT_LOST;
}

static void set_state(struct far *far, struct extent *e, enum extent_state state)
{
	bool held = extent_held(e), holds;

	far->wanted -= wanting(e->state);
	far->lost -= e->state == EXTENT_LOST;
	e->state = (uint8_t)state;
	far->wanted += wanting(state);
	far->lost += state == EXTENT_LOST;
	holds = extent_held(e);
	far->leased += holds;
	far->leased -= held;
	if (holds != held)
		far->unleased += holds ? -(uint32_t)e->used : e->used;
}

static void want(struct far *far, struct extent *e)
{
	if (e->state == EXTENT_NONE)
		set_state(far, e, EXTENT_WANTED);
}

void extent_want(struct far *far, uint32_t page)
{
	want(far, engine_extent_of(far, page));
}

bool extent_first_touch(struct far *far, uint32_t page)
{
	struct extent *e = engine_extent_of(far, page);
	const struct far_server *s;

	if (e->state == EXTENT_HELD)
		return true;
	if (e->state == EXTENT_IDLE) {
		set_state(far, e, EXTENT_HELD);
		return true;
	}
	want(far, e);
	s = &far->server[engine_server_of(far, page)];
	/* Until the lease is there the frame can go nowhere: no more of them than the reserve bears. */
	return s->ready && !s->refusing && e->state != EXTENT_LOST && far->unleased < far->low;
}

const char *extent_reason(const struct far *far, unsigned server)
{
	if (!far->server[server].ready)
		return "server away";
	return far->server[server].refusing ? "pool full" : NULL;
}

void extent_use(struct far *far, uint32_t page)
{
	struct extent *e = engine_extent_of(far, page);

	e->used++;
	far->unleased += !extent_held(e);
}

void extent_unuse(struct far *far, uint32_t page)
{
	struct extent *e = engine_extent_of(far, page);

	check(e->used > 0);
	e->used--;
	far->unleased -= !extent_held(e);
}

/*
 * The server no longer has the extent's content. Pages that are nowhere else end the guest (never
 * zeros in their place); of the others the frame here is now the only copy, so it is dirty.
 */
static void lose(struct far *far, unsigned server, uint32_t index)
{
	uint32_t first = index * ENGINE_EXTENT_PAGES, gone = 0;
	uint32_t end =
		first + ENGINE_EXTENT_PAGES < far->pages ? first + ENGINE_EXTENT_PAGES : far->pages;

	for (uint32_t page = first; page < end; page++) {
		uint64_t entry = slat_read(&far->leaf[page]);
		bool present = slat_present(&far->format, entry);
		enum page_state state = page_entry_state(entry);
		uint32_t frame;

		if (!present && (state == PAGE_REMOTE || state == PAGE_FILLING))
			gone++;
		if (!present && (state <= PAGE_FILLING || state == PAGE_MOVING))
			continue;
		frame = present ? pcache_mapped(far, entry) : page_entry_value(entry);
		if (!far->frame[frame].zero)
			victim_dirty(far, frame);
	}
	if (gone > 0)
		panic_guest("server %u (%s) has lost extent %u: %u of the guest's pages were only "
			    "there",
			server, far->server[server].name, index, gone);
	log_warning("server %u (%s) has lost extent %u; what it held is still here", server,
		far->server[server].name, index);
}

static bool ours(const struct far *far, unsigned server, uint32_t index)
{
	return index < far->extents && index % far->servers == server;
}

static void unblock(struct far *far)
{
	far->unblock = far->list[LIST_BLOCKED].count;
}

void extent_away(struct far *far, unsigned server)
{
	for (uint32_t i = server; i < far->extents; i += far->servers) {
		struct extent *e = &far->extent[i];

		if (extent_held(e))
			set_state(far, e, EXTENT_ABSENT);
	}
}

void extent_named(void *context, unsigned server, uint32_t index, uint32_t state, uint64_t address,
	uint32_t rkey)
{
	struct far *far = context;
	struct extent *e;

	if (!ours(far, server, index))
		return;
	e = &far->extent[index];
	/* The session repeats a RELEASE until it is answered: named meanwhile is not held. */
	if (e->state == EXTENT_RELEASING)
		return;
	if (state != RPC_EXTENT_HELD) {
		lose(far, server, index);
		set_state(far, e, EXTENT_LOST);
		return;
	}
	e->address = address;
	e->rkey = rkey;
	if (e->state == EXTENT_ASKED) {
		far->counters.leases++;
		far->server[server].refusing = false;
	}
	set_state(far, e, EXTENT_HELD);
	unblock(far);
}

void extent_refused(void *context, unsigned server, uint32_t index, enum rpc_error code)
{
	struct far *far = context;
	struct extent *e;

	if (!ours(far, server, index))
		return;
	e = &far->extent[index];
	if (e->state != EXTENT_ASKED)
		return;
	far->counters.lease_refusals++;
	if (code == RPC_ERROR_LOST) {
		lose(far, server, index);
		set_state(far, e, EXTENT_LOST);
		return;
	}
	if (!far->server[server].refusing)
		log_warning("server %u (%s) refuses extent %u: error %u", server,
			far->server[server].name, index, code);
	far->server[server].refusing = true;
	far->server[server].retry_at = far->now + RETRY_NS;
	set_state(far, e, EXTENT_REFUSED);
}

void extent_released(void *context, unsigned server, uint32_t index)
{
	struct far *far = context;
	struct extent *e;

	if (!ours(far, server, index))
		return;
	e = &far->extent[index];
	if (e->state != EXTENT_RELEASING)
		return;
	far->counters.releases++;
	set_state(far, e, EXTENT_NONE);
	if (e->used > 0)
		want(far, e);
}

void extent_back(struct far *far, unsigned server)
{
	far->server[server].ready = true;
	far->server[server].refusing = false;
	for (uint32_t i = server; i < far->extents; i += far->servers) {
		struct extent *e = &far->extent[i];

		if (e->state == EXTENT_ABSENT) {
			lose(far, server, i);
			set_state(far, e, EXTENT_NONE);
		}
		if (e->used > 0)
			want(far, e);
	}
	unblock(far);
}

uint64_t extent_used_pages(const struct far *far, unsigned server)
{
	uint64_t pages = 0;

	for (uint32_t i = server; i < far->extents; i += far->servers)
		pages += far->extent[i].used;
	return pages;
}

static void ask(struct far *far, uint32_t index, uint64_t now)
{
	struct extent *e = &far->extent[index];
	struct far_server *s = server_of(far, index);

	if (!s->ready || !wanting(e->state))
		return;
	if (e->state == EXTENT_LOST) {
		if (session_release(s->session, index))
			set_state(far, e, EXTENT_RELEASING);
	} else if (e->state == EXTENT_WANTED || s->retry_at <= now) {
		if (session_lease(s->session, index))
			set_state(far, e, EXTENT_ASKED);
	}
}

/* Unused during a whole walk: given back. Nothing of it is outstanding then: no page has a frame. */
static void look_idle(struct far *far, uint32_t index)
{
	struct extent *e = &far->extent[index];
	struct far_server *s = server_of(far, index);

	if (!s->ready || !extent_held(e))
		return;
	if (e->used > 0)
		set_state(far, e, EXTENT_HELD);
	else if (e->state == EXTENT_HELD)
		set_state(far, e, EXTENT_IDLE);
	else if (session_release(s->session, index))
		set_state(far, e, EXTENT_RELEASING);
}

void extent_turn(struct far *far, uint64_t now)
{
	for (unsigned budget = WALK_BUDGET; far->wanted > 0 && budget > 0; budget--) {
		far->extent_hand = (far->extent_hand + 1) % far->extents;
		ask(far, far->extent_hand, now);
	}
	if (far->idle_at > now)
		return;
	far->idle_at = now + IDLE_NS;
	for (uint32_t i = 0; i <= far->extents / IDLE_STEPS; i++) {
		far->idle_hand = (far->idle_hand + 1) % far->extents;
		look_idle(far, far->idle_hand);
	}
}

uint64_t extent_deadline(const struct far *far)
{
	uint64_t deadline = far->leased > 0 ? far->idle_at : UINT64_MAX;

	if (far->wanted > 0 && far->now + ENGINE_RETRY_NS < deadline)
		deadline = far->now + ENGINE_RETRY_NS;
	return deadline;
}
