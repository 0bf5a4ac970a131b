/* SPDX-License-Identifier: MIT */
/*
 * The engine's state, shared by the files of vmm/far and by nobody else. The service core is its
 * only user: no locks.
 */
#ifndef ANNEX_FAR_ENGINE_H
#define ANNEX_FAR_ENGINE_H

#include <assert.h>
#include "fabric/session.h"
#include "far/far.h"
#include "far/page.h"
#include "lib/panic.h"

#define ENGINE_NONE         0xffffffffu /* no frame, no page */
#define ENGINE_RECENT       64u /* frames mapped last for a vCPU: not reclaimed */
#define ENGINE_EXTENT_PAGES (1u << (RPC_EXTENT_SHIFT - PAGE_SHIFT))
#define ENGINE_STREAMS      4u /* a vCPU's, at a time */
#define ENGINE_CANDIDATES   4u /* a vCPU's last faults that belong to none */
#define ENGINE_GAP_NS       500000000ull /* longer between two turns: deadlines restart */
#define ENGINE_RETRY_NS     1000000ull
#define ENGINE_HINTS        512u /* ranges queued */
#define ENGINE_SAMPLES      64u

/* Lists of frames; a frame is on one or on none. The last two kinds have one list per server. */
enum list_id {
	LIST_NONE,
	LIST_FREE,
	LIST_CLEAN, /* clean victims, oldest first */
	LIST_UNSETTLED, /* unmapped, shootdown not settled; ascending by epoch */
	LIST_CLEANING, /* write-protected, shootdown not settled; ascending by epoch */
	LIST_PASSED, /* RESIDENT, read by a stream that has gone on, or cold by a hint */
	LIST_BLOCKED, /* to be written, but their extent is not leased */
	LIST_WRITE, /* settled, to be written */
	LIST_REFILL = LIST_WRITE + FAR_SERVERS, /* FILLING, READ to be posted */
	LIST_COUNT = LIST_REFILL + FAR_SERVERS,
};

#define FRAME_FREE 15u /* state of a frame without a page */

/* A frame filled before its page was touched (prefetch.c), as far as is known. */
enum prefetched {
	PREFETCHED_NOT, /* filled for a fault, or touched since */
	PREFETCHED_MAP,
	PREFETCHED_KEEP, /* FILLING: to become a clean victim, so that its touch is a fault */
	PREFETCHED_HINT, /* FILLING for a hint: nobody's guess, so neither hit nor wasted */
};

/*
 * A frame has one owner (R3): a page in one state, or the free list. `dirty`: the content is newer
 * than what the server holds (a present entry's D bit may say so too). `zero` and `crc` describe
 * clean content.
 */
struct frame {
	uint32_t page;
	uint32_t
		generation : 29; /* raised whenever the page becomes writable (R6); survives freeing */
	uint32_t pin : 1; /* not to be evicted: FILLING, RESIDENT or CLEANING */
	uint32_t prefetched : 2; /* enum prefetched */
	uint32_t crc; /* CRC32C of clean content; of the expected content while FILLING */
	uint32_t next;
	uint32_t prev;
	uint8_t state : 4; /* enum page_state or FRAME_FREE */
	uint8_t list : 4;
	uint8_t tries : 4; /* FILLING: failed checks so far */
	uint8_t dirty : 1;
	uint8_t zero : 1; /* clean content is all zeros: the entry becomes ZERO */
	uint8_t writing : 1; /* a write-back record names this frame */
	uint8_t referenced : 1; /* CPUs without A bits: came back as a victim */
	union {
		uint16_t waiters; /* FILLING: bit set of vCPUs; none: prefetched */
		uint16_t recent; /* mapped: how many recent[] entries name it */
	};
	union {
		uint64_t epoch; /* of the last change of the entry that maps or mapped it (R1) */
		uint64_t time; /* FILLING: READ posted at; on a refill list: not before, ns */
	};
};

static_assert(sizeof(struct frame) == FAR_BYTES_PER_FRAME, "frame table budget");
static_assert(LIST_COUNT <= 16 && PAGE_STATES < FRAME_FREE, "bit fields of struct frame");
static_assert(SHOOTDOWN_CPUS <= 16, "bit set of waiters");

struct list {
	uint32_t head;
	uint32_t tail;
	uint32_t count;
};

enum extent_state {
	EXTENT_NONE,
	EXTENT_WANTED, /* to be asked for */
	EXTENT_ASKED,
	EXTENT_REFUSED, /* asked for again at server.retry_at */
	EXTENT_HELD,
	EXTENT_IDLE, /* held, and no page of it in use for a while */
	EXTENT_RELEASING,
	EXTENT_ABSENT, /* held before the queue pair died; not named again yet */
	EXTENT_LOST, /* content gone; to be released and leased anew */
};

struct extent {
	uint64_t address;
	uint32_t rkey;
	uint16_t used; /* pages that are not ZERO */
	uint8_t state;
	uint8_t zero;
};

static_assert(sizeof(struct extent) == 16, "extent table budget");

enum record_state {
	RECORD_FREE,
	RECORD_SENT,
	RECORD_LOST, /* the queue pair died first; sent again when the server is ready */
};

/* A write-back on its way: survives until the server has acknowledged it (R6). */
struct record {
	uint32_t page;
	uint32_t frame;
	uint32_t generation;
	uint32_t crc;
	uint8_t state;
};

struct far_server {
	struct session *session;
	const char *name;
	bool ready;
	bool refusing; /* the last lease was refused: no first touches in unleased extents */
	uint64_t retry_at; /* ns: refused leases are asked for again */
	uint32_t in_flight; /* records not free */
	uint32_t lost; /* records in RECORD_LOST */
	uint32_t prefetching; /* READs under way that no vCPU waits for */
	struct record record[SESSION_WRITES];
};

enum wait {
	WAIT_NONE,
	WAIT_FILL, /* for its frame's READ */
	WAIT_FRAME, /* served anew each turn: the reserve was gone */
	WAIT_LEASE, /* served anew each turn: no server stands behind the page yet */
	WAIT_KINDS,
};

enum fault_kind {
	FAULT_OTHER,
	FAULT_ZERO,
	FAULT_VICTIM,
	FAULT_REMOTE,
};

/* A range of which some pages are still to be dealt with. */
struct hint {
	uint32_t page;
	uint32_t left : 30;
	uint32_t kind : 2; /* enum far_hint */
};

/* What the oldest hint waits for. */
enum hint_wait {
	HINT_RUNS,
	HINT_FRAME, /* PIN: a frame above the low mark; reclaim makes one */
	HINT_COLD, /* PREFETCH: a cold page's frame */
	HINT_FABRIC, /* a READ or a lease */
};

/* Faults on one page after another, upwards or downwards. */
struct stream {
	uint32_t from, span; /* a fault here belongs to it; no span: no stream */
	uint32_t last; /* page of its newest fault */
	uint32_t marker; /* a fault here or beyond asks for the next window */
	uint32_t end; /* the next page to be looked at; pages before it were */
	uint32_t length; /* pages from its first fault to its newest */
	uint16_t left; /* pages of the window still to be looked at */
	uint8_t window; /* pages */
	int8_t step; /* 1 or -1 */
	bool mark; /* the next page that is not present becomes the marker */
};

/* One vCPU's fault. */
struct waiter {
	uint8_t wait;
	bool counted; /* in fault_waits */
	bool stalled;
	uint32_t frame; /* WAIT_FILL */
	uint64_t taken; /* ns */
	uint64_t stalled_since;
	unsigned server; /* it stalls for */
	const char *reason;
	uint32_t recent_at;
	uint32_t recent[ENGINE_RECENT];
	unsigned candidate_at, stream_at;
	uint32_t candidate[ENGINE_CANDIDATES];
	struct stream stream[ENGINE_STREAMS];
};

struct far {
	/* What every fault reads. */
	_Atomic uint64_t *leaf;
	_Atomic uint64_t *upper;
	struct slat_format format;
	uint64_t base;
	uint32_t pages;
	uint32_t frames;
	struct frame *frame;
	struct extent *extent;
	uint32_t extents;
	uint32_t cpus;
	uint32_t servers;
	uint32_t ranges;
	struct mailbox *mailbox;
	struct shootdown *shootdown;
	uint64_t (*clock)(void);
	struct list list[LIST_COUNT];
	uint64_t states[PAGE_STATES];
	struct far_range range[FAR_RANGES];

	/* Shootdown. */
	uint64_t settled; /* newest epoch known to be settled; never falls */
	uint64_t raised; /* newest epoch raised */
	uint64_t raised_at;
	uint32_t changes; /* entries changed since the last raise */

	/* Watermarks and CLOCK (pcache.c, reclaim.c). */
	uint32_t low, high;
	uint32_t taken; /* frames taken since the last batch */
	uint32_t rate; /* frames taken per ms, smoothed */
	uint64_t rate_at;
	uint32_t hand;
	uint32_t fruitless; /* mapped pages passed since one was taken */
	bool open; /* a batch is being collected */
	bool warm; /* by the hand too */
	uint64_t opened_at;
	uint64_t reclaim_at; /* not before, ns */
	uint64_t clean_at; /* not before, ns */
	uint32_t waiting[WAIT_KINDS]; /* vCPUs */

	/* Extents (extent.c). */
	uint32_t wanted; /* extents in WANTED or REFUSED or LOST */
	uint32_t leased;
	uint32_t lost;
	uint32_t unleased; /* pages in use in extents that are not held */
	uint32_t extent_hand;
	uint32_t idle_hand;
	uint64_t idle_at;
	uint32_t unblock; /* blocked frames still to be looked at again */

	/* Prefetch (prefetch.c). */
	uint32_t prefetch_max; /* pages of a window at most; 0: none is ever prefetched */
	uint32_t prefetch_limit; /* what the share of useless ones leaves of it */
	int32_t prefetch_credit;
	uint32_t prefetch_open; /* streams with pages left to be looked at */

	/* Hints (hint.c). */
	struct hint hint[ENGINE_HINTS];
	uint32_t hint_head;
	uint32_t hints; /* in hint[], from hint_head on */
	uint64_t hint_queued; /* pages of them */
	uint64_t hint_since; /* ns: the oldest has waited; 0: it does not */
	enum hint_wait hint_wait;
	uint32_t pin_budget, pinned, pinning; /* pages */
	uint32_t unpinning; /* frames whose pins are still to be released */
	bool cooled; /* pages became cold, and no shootdown was raised since */
	uint64_t sampled; /* remote fills already told */
	uint32_t sample[ENGINE_SAMPLES]; /* pages of remote fills, by their number */

	uint64_t read_patience; /* ns */
	uint64_t now; /* of the latest turn */
	uint64_t resumed; /* after the latest gap between turns */
	struct waiter waiter[SHOOTDOWN_CPUS];
	struct far_server server[FAR_SERVERS];
	struct far_counters counters;
	struct far_histograms histograms;
};

static inline unsigned engine_server_of(const struct far *far, uint32_t page)
{
	return page / ENGINE_EXTENT_PAGES % far->servers;
}

static inline struct extent *engine_extent_of(struct far *far, uint32_t page)
{
	return &far->extent[page / ENGINE_EXTENT_PAGES];
}

#endif
