/* SPDX-License-Identifier: MIT */
/*
 * The far-memory engine as the service loop sees it. One caller, the service core; nothing here
 * blocks, allocates or takes a lock. Time is handed in (ns, monotonic), so that the host build runs
 * it in simulated time.
 */
#ifndef ANNEX_FAR_H
#define ANNEX_FAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "far/mailbox.h"
#include "lib/histogram.h"
#include "slat/format.h"
#include "slat/shootdown.h"

struct session;
struct far;

#define FAR_SERVERS         4u
#define FAR_RANGES          4u
#define FAR_FRAMES_PER_CPU  128u /* the pcache's floor (architecture section 4) */
#define FAR_BYTES_PER_FRAME 32u
/*
 * Three lives of a queue pair (10 s without progress end one): a READ unanswered for so long is lost
 * though the queue pair goes on. Much shorter would never end where round trips take longer.
 */
#define FAR_READ_PATIENCE_NS 30000000000ull
#define FAR_PREFETCH_MAX     32u
#define FAR_STALL_HOLD_NS    5000000000ull /* after this all vCPUs are held together */

/* Local RAM of the pcache: page-aligned, reachable at `memory`, known to the SLAT as `hpa`. */
struct far_range {
	void *memory;
	uint64_t hpa;
	uint32_t frames;
};

struct far_config {
	struct slat_window window;
	struct shootdown *shootdown;
	struct mailbox *mailbox; /* [cpus] */
	unsigned cpus;
	struct far_range range[FAR_RANGES];
	unsigned ranges;
	struct session *server[FAR_SERVERS]; /* extent i stands on server i % servers */
	unsigned servers;
	const char *server_name[FAR_SERVERS]; /* for reports; NULL: only its number is known */
	uint64_t (*clock)(void); /* ns, same clock as `now`, for the histograms; NULL: `now` is */
	uint64_t read_patience; /* ns; 0: FAR_READ_PATIENCE_NS */
	uint32_t prefetch; /* most pages filled ahead at a time, to FAR_PREFETCH_MAX; 0: none */
	uint32_t pin; /* most pages that hints may pin; 0: none */
	void *tables; /* far_tables_size() bytes, page-aligned, any content */
};

/* Pages by state; their sum is the window's size at any time. */
struct far_states {
	uint64_t zero, remote, filling, resident, unsettled, victim_clean, victim_dirty, cleaning,
		moving;
};

/* Counters only grow. X(name, what it counts). */
#define FAR_COUNTERS(X)                                                                            \
	X(faults, "mailboxes served")                                                              \
	X(fault_present, "faults on a page that another had mapped meanwhile")                     \
	X(zero_fills, "first touches answered with a zeroed frame")                                \
	X(victim_hits, "faults answered by taking a victim or unsettled page back")                \
	X(remote_fills, "faults answered by an RDMA READ")                                         \
	X(fill_joined, "faults that joined a fill under way")                                      \
	X(fill_retries, "fills started again after an error or a lost queue pair")                 \
	X(fill_corrupt, "fills whose CRC32C was not the entry's")                                  \
	X(fault_waits, "faults that found no free frame")                                          \
	X(write_unprotects, "writes to a page being cleaned")                                      \
	X(evictions, "resident pages unmapped by reclaim")                                         \
	X(clean_drops, "clean victims whose frame was taken")                                      \
	X(batches, "shootdowns of reclaim and cleaning")                                           \
	X(writebacks, "WRITEs sent for dirty pages")                                               \
	X(writeback_acks, "WRITEs acknowledged")                                                   \
	X(writeback_stale, "acknowledgements of an older generation")                              \
	X(writeback_retries, "WRITEs sent again after a lost queue pair")                          \
	X(zero_elided, "dirty pages found all-zero, nothing sent")                                 \
	X(cleanings, "resident pages written back in place")                                       \
	X(fill_abandoned, "READs given up because no answer came in time")                         \
	X(prefetch_fills, "pages read before they were touched")                                   \
	X(prefetch_zero_fills, "pages zeroed before they were touched")                            \
	X(prefetch_hits, "prefetched pages that were touched then")                                \
	X(prefetch_wasted, "prefetched pages given up untouched")                                  \
	X(hints, "ranges of hints accepted")                                                       \
	X(hint_pages, "pages of hints dealt with")                                                 \
	X(hint_fills, "pages filled because of a hint")                                            \
	X(hint_dropped, "pages of hints given up: no frame, server or lease, or a failed READ")    \
	X(pins_released, "pins ended by UNPIN or with their session")                              \
	X(leases, "extents leased")                                                                \
	X(lease_refusals, "leases that a server refused for now")                                  \
	X(releases, "extents given back")                                                          \
	X(stalls, "times that a fault had to wait for an absent or slow server")

struct far_counters {
#define X(name, text) uint64_t name;
	FAR_COUNTERS(X)
#undef X
};

enum far_stage {
	FAR_STAGE_QUEUE, /* posted by the vCPU -> taken by the service core */
	FAR_STAGE_WIRE, /* READ posted -> its data here */
	FAR_STAGE_MAP, /* data here -> mailbox done */
	FAR_STAGE_TOTAL, /* posted -> done */
	FAR_STAGES,
};

struct far_histograms {
	struct histogram remote[FAR_STAGES];
	struct histogram zero; /* total */
	struct histogram victim; /* total */
};

/* What the guest is told, and `annex` shows. */
struct far_stall {
	bool stalled; /* a fault waits for an absent or slow server, or for a refused lease */
	bool hold; /* longer than FAR_STALL_HOLD_NS: vCPUs are to be held */
	uint64_t since; /* ns */
	unsigned server; /* index */
	const char *reason; /* "server away", "server slow", "pool full"; "" when not stalled */
};

/* Bytes for `tables`: 32 per frame, 16 per extent and a fixed part. */
size_t far_tables_size(uint32_t frames, uint32_t pages);

/*
 * Builds the engine in config->tables: every page ZERO, every frame free. Returns NULL and a reason
 * if the configuration cannot work (fewer frames than the floor, unaligned window, no server, a
 * budget of pins that leaves too few frames).
 * The caller hands far_session_events with the returned pointer to session_listen() of each server.
 */
struct far *far_start(const struct far_config *config, const char **reason);

/* The turns of the service loop, in its order. Each does a bounded amount of work. */
void far_serve(struct far *far, uint64_t now); /* mailboxes */
void far_reclaim(struct far *far, uint64_t now); /* settle, write back, reclaim, lease ahead */

/* When the engine next wants a turn though nothing happens: ns, or UINT64_MAX. */
uint64_t far_deadline(const struct far *far);

/* True while a turn would find work at once; the service core must not halt. */
bool far_busy(const struct far *far);

void far_stall(const struct far *far, struct far_stall *stall);
void far_states(const struct far *far, struct far_states *states);
const struct far_counters *far_counters(const struct far *far);
const struct far_histograms *far_histograms(const struct far *far);
void far_frames(
	const struct far *far, uint32_t *total, uint32_t *free, uint32_t *low, uint32_t *high);
void far_extents(const struct far *far, uint32_t *total, uint32_t *leased, uint32_t *lost);

/*
 * Hints: what the guest's agent knows of its pages (annex/doorbell.h). They take effect in the order
 * in which they were accepted, a few pages a turn, and never change content.
 */
enum far_hint {
	FAR_HINT_PIN, /* filled in the background, and not evicted while pinned */
	FAR_HINT_UNPIN,
	FAR_HINT_PREFETCH, /* filled in the background, from frames to spare or those of cold pages */
	FAR_HINT_COLD, /* evicted before others, unless touched again or pinned */
};

enum far_hint_result {
	FAR_HINT_OK,
	FAR_HINT_BAD_RANGE, /* empty, not page-aligned, or not all of it in the far window */
	FAR_HINT_OVER_BUDGET, /* PIN: more than the budget with what is pinned, or is to be */
	FAR_HINT_BUSY, /* the queue has no room: later */
};

struct far_hint_range {
	uint64_t gpa;
	uint32_t pages;
};

struct far_pins {
	uint64_t pinned; /* pages */
	uint64_t pinning; /* pages of accepted PINs whose turn has not come */
	/* Pages; the first two exceed it together only while an ended session's pins are released. */
	uint64_t budget;
	uint64_t queued; /* pages of all hints whose turn has not come */
};

/*
 * Accepts all of the ranges or none; O(count). A page that is pinned already counts against the
 * budget once more until its turn has come.
 */
enum far_hint_result far_hint(
	struct far *far, enum far_hint hint, const struct far_hint_range *range, unsigned count);

/* The session that sent them ended: what is queued is dropped, the pins go during the next turns. */
void far_hint_forget(struct far *far);
void far_pins(const struct far *far, struct far_pins *pins);

/*
 * Guest-physical addresses of the pages that faults had read from a server since the last call,
 * newest last: the newest `max`, of the last 64; returns how many.
 */
unsigned far_samples(struct far *far, uint64_t *gpa, unsigned max);

/* One line on a page and its frame, for the panic report. Any CPU, no side effects. */
void far_describe(const struct far *far, uint64_t gpa, char *buffer, size_t size);

/* Walks everything and panics if a rule is broken; slow, for tests and the panic path. */
void far_verify(const struct far *far);

/* The engine's half of the session contract (fabric/session.h). */
extern const struct session_events far_session_events;

#endif
