/* SPDX-License-Identifier: MIT */
/*
 * Shootdown (architecture section 6): makes every vCPU forget its cached translations, and knows
 * when that is so. The service core raises the epoch and never waits in place; a vCPU flushes on its
 * way into the guest. Neutral: the kick is given by the machine (an NMI) or by virt/fake.
 */
#ifndef ANNEX_SHOOTDOWN_H
#define ANNEX_SHOOTDOWN_H

#include <stdbool.h>
#include <stdint.h>

#define SHOOTDOWN_CPUS 16u

struct shootdown_cpu {
	_Atomic uint32_t in_guest;
	_Atomic uint64_t flushed; /* every translation cached before this epoch is forgotten */
} __attribute__((aligned(64)));

struct shootdown {
	_Atomic uint64_t epoch;
	uint32_t cpus;
	uint64_t kicked_at[SHOOTDOWN_CPUS]; /* ns; service core only */
	uint64_t kicks; /* counter */
	void (*kick)(void *context, unsigned cpu);
	void *context;
	struct shootdown_cpu cpu[SHOOTDOWN_CPUS];
};

void shootdown_init(struct shootdown *s, unsigned cpus, void (*kick)(void *context, unsigned cpu),
	void *context);

/*
 * vCPU, interrupts held off so that no kick is lost between this and the entry (SVM: GIF=0): marks
 * it in the guest, returns true if it must flush before entering. With true the caller flushes as
 * part of the entry and calls shootdown_flushed() with *epoch once the flush is certain to happen
 * with it.
 */
bool shootdown_enter(struct shootdown *s, unsigned cpu, uint64_t *epoch);
void shootdown_flushed(struct shootdown *s, unsigned cpu, uint64_t epoch);

/* vCPU, directly after an exit. */
void shootdown_leave(struct shootdown *s, unsigned cpu);

/*
 * Service core, after the entries were changed: raises the epoch, kicks whom it must, returns the
 * epoch that this batch has to see settled.
 */
uint64_t shootdown_raise(struct shootdown *s, uint64_t now);

/* Service core: every vCPU is out of the guest, or has flushed since epoch. */
bool shootdown_settled(struct shootdown *s, uint64_t epoch);

/* Service core, each turn while something is unsettled: repeats kicks that got no answer in 1 ms. */
void shootdown_turn(struct shootdown *s, uint64_t now);

#endif
