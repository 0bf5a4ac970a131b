/* SPDX-License-Identifier: MIT */
/* One simulated machine: its memory, its vCPUs with what the guest expects to read, the engine. */
#ifndef ANNEX_SIM_SIM_H
#define ANNEX_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include "far/far.h"
#include "sim/backend.h"
#include "sim/random.h"
#include "virt/fake/fake.h"

#define SIM_CPUS     4u
#define SIM_WORDS    8u /* words of a page that the guest uses; all others stay zero */
#define SIM_ACCESSES 8u /* of one instruction */
#define SIM_RECENT   64u
#define SIM_EXTENTS  6u
#define SIM_WORK_MAX (SIM_EXTENTS * BACKEND_SLOT_PAGES)
#define SIM_EVICTED  64u
#define SIM_HPA      0x240000000ull

enum vcpu_state {
	VCPU_OUT, /* in the VMM, about to enter */
	VCPU_ENTERING, /* marked in the guest; flushes if it must */
	VCPU_GUEST,
	VCPU_FAULT, /* out of the guest with a violation */
	VCPU_WAIT, /* its mailbox is posted */
};

struct access {
	uint32_t work; /* which of the guest's pages */
	unsigned word;
	bool write;
	uint64_t value;
};

struct vcpu {
	enum vcpu_state state;
	struct fake_cpu cpu;
	bool flush;
	uint64_t epoch;
	bool kicked;
	uint32_t kick_chance; /* per mille of its steps in the guest */
	uint64_t idle_until;
	/* The instruction: all its accesses must succeed in one go. */
	struct access access[SIM_ACCESSES];
	unsigned accesses, at, faults;
	/* The pages that the engine mapped for this vCPU last. */
	uint32_t recent[SIM_RECENT];
	uint32_t recents;
	uint64_t instructions;
	uint32_t run, run_left; /* a run through one page after another */
	int run_step;
	uint32_t drawn; /* a page that its next instructions use, while drawn_left > 0 */
	unsigned drawn_left;
};

struct sim {
	uint64_t seed;
	struct random random;
	uint64_t now;
	uint64_t event;
	/* The machine. */
	unsigned cpus;
	const struct slat_format *format;
	struct slat_window window;
	uint8_t *memory;
	uint32_t frames;
	struct shootdown shootdown;
	struct mailbox mailbox[SIM_CPUS];
	struct vcpu vcpu[SIM_CPUS];
	void *tables;
	struct far *far;
	struct backend *backend;
	unsigned servers;
	uint32_t extents;
	bool overcommit;
	bool reboots;
	uint64_t read_patience; /* ns, 0: the engine's own */
	uint32_t prefetch;
	uint32_t pin; /* budget, pages */
	uint32_t hints; /* per mille of the events */
	uint8_t pin_seen[SIM_EXTENTS * 4096]; /* hints.c: by page of the window */
	uint32_t pin_dropped[SIM_EXTENTS *
			     4096]; /* the engine's counter when the PIN was accepted */
	/* The guest. */
	uint64_t expected[SIM_WORK_MAX][SIM_WORDS];
	uint32_t work; /* pages it uses */
	uint32_t base, span; /* of the present phase */
	uint32_t writes; /* per mille */
	uint32_t runs; /* per mille of instructions that begin a run */
	uint32_t fresh; /* per mille of accesses that read a page nobody has written */
	uint32_t wipe, wiped; /* the extent being zeroed page by page, and how many are */
	uint32_t avoided; /* phases for which it is left alone then */
	bool audit; /* the guest only reads, page after page */
	uint32_t audited;
	unsigned depth; /* inside an engine's turn */
	uint32_t evicted[SIM_EVICTED]; /* pages unmapped last: touched again more often */
	uint32_t evictions;
	uint64_t accesses, stale[2]; /* reads, writes through translations that are no more */
};

/* The simulation found something wrong: does not return. */
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* guest.c: the vCPUs. */
void guest_start(struct sim *s);
void guest_step(struct sim *s, unsigned cpu);
/* Some steps of any vCPUs, from inside an engine's turn. */
void guest_interleave(void *context);
void guest_kick(void *context, unsigned cpu);
void guest_phase(struct sim *s);
uint32_t guest_page(const struct sim *s, uint32_t work);
/* Nothing that the vCPU can do by itself now. */
bool guest_blocked(const struct sim *s, unsigned cpu);

/* hints.c: the guest's agent. */
void hints_step(struct sim *s);
/* Its session ends; after some turns nothing of it may be left. */
void hints_end(struct sim *s);
void hints_ended(const struct sim *s);
/* A vCPU found the page missing or write-protected. */
void hints_fault(const struct sim *s, uint32_t page);

/* world.c: builds a machine from the random numbers, runs it, takes it down. */
void world_start(struct sim *s);
/* Runs until `events` more have happened or the world is over. */
uint64_t world_run(struct sim *s, uint64_t events);
void world_end(struct sim *s);

#endif
