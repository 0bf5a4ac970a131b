/* SPDX-License-Identifier: MIT */
/*
 * Both sides are store-then-load: the service core stores the epoch and loads in_guest, a vCPU
 * stores in_guest and loads the epoch. Both stores are locked, so at least one side sees the other.
 */
#include "slat/shootdown.h"

#define REPEAT_NS 1000000ull

void shootdown_init(struct shootdown *s, unsigned cpus, void (*kick)(void *context, unsigned cpu),
	void *context)
{
	__atomic_store_n((uint64_t *)&s->epoch, 1, __ATOMIC_RELAXED);
	s->cpus = cpus;
	s->kicks = 0;
	s->kick = kick;
	s->context = context;
	for (unsigned i = 0; i < SHOOTDOWN_CPUS; i++) {
		s->kicked_at[i] = 0;
		__atomic_store_n((uint32_t *)&s->cpu[i].in_guest, 0, __ATOMIC_RELAXED);
		__atomic_store_n((uint64_t *)&s->cpu[i].flushed, 0, __ATOMIC_RELAXED);
	}
}

bool shootdown_enter(struct shootdown *s, unsigned cpu, uint64_t *epoch)
{
	struct shootdown_cpu *c = &s->cpu[cpu];

	__atomic_exchange_n((uint32_t *)&c->in_guest, 1, __ATOMIC_SEQ_CST);
	*epoch = __atomic_load_n((uint64_t *)&s->epoch, __ATOMIC_SEQ_CST);
	return __atomic_load_n((uint64_t *)&c->flushed, __ATOMIC_RELAXED) < *epoch;
}

void shootdown_flushed(struct shootdown *s, unsigned cpu, uint64_t epoch)
{
	uint64_t *flushed = (uint64_t *)&s->cpu[cpu].flushed;

	/* Only this vCPU raises it; it never goes back. */
	if (__atomic_load_n(flushed, __ATOMIC_RELAXED) < epoch)
		__atomic_store_n(flushed, epoch, __ATOMIC_SEQ_CST);
}

void shootdown_leave(struct shootdown *s, unsigned cpu)
{
	__atomic_exchange_n((uint32_t *)&s->cpu[cpu].in_guest, 0, __ATOMIC_SEQ_CST);
}

static bool behind(struct shootdown *s, unsigned cpu, uint64_t epoch)
{
	struct shootdown_cpu *c = &s->cpu[cpu];

	return __atomic_load_n((uint32_t *)&c->in_guest, __ATOMIC_SEQ_CST) &&
	       __atomic_load_n((uint64_t *)&c->flushed, __ATOMIC_SEQ_CST) < epoch;
}

static void kick(struct shootdown *s, unsigned cpu, uint64_t now)
{
	s->kicked_at[cpu] = now;
	s->kicks++;
	s->kick(s->context, cpu);
}

uint64_t shootdown_raise(struct shootdown *s, uint64_t now)
{
	uint64_t epoch = __atomic_add_fetch((uint64_t *)&s->epoch, 1, __ATOMIC_SEQ_CST);

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < s->cpus; i++) {
		if (behind(s, i, epoch))
			kick(s, i, now);
	}
	return epoch;
}

bool shootdown_settled(struct shootdown *s, uint64_t epoch)
{
	for (unsigned i = 0; i < s->cpus; i++) {
		if (behind(s, i, epoch))
			return false;
	}
	return true;
}

void shootdown_turn(struct shootdown *s, uint64_t now)
{
	uint64_t epoch = __atomic_load_n((uint64_t *)&s->epoch, __ATOMIC_SEQ_CST);

	for (unsigned i = 0; i < s->cpus; i++) {
		if (behind(s, i, epoch) && now - s->kicked_at[i] >= REPEAT_NS)
			kick(s, i, now);
	}
}
