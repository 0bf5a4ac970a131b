/* SPDX-License-Identifier: MIT */
/*
 * The guest: vCPUs that read and write words of far pages through their simulated translations and
 * know what must be there. Every call of guest_step() is one step of one vCPU; whatever else happens
 * in the machine happens between two of them.
 */
#include <string.h>
#include "far/page.h"
#include "sim/sim.h"

#define GUEST_EXTENT ((uint32_t)(RPC_EXTENT_SIZE / PAGE_SIZE)) /* pages */

static const unsigned word_at[SIM_WORDS] = {0, 511, 64, 129, 200, 333, 447, 498};

/* Whose entries change: slat/format.h in tests/sim/between knows only the entry. */
static struct sim *current;

uint32_t guest_page(const struct sim *s, uint32_t work)
{
	uint32_t extent = work % s->extents, offset = work / s->extents;

	return extent * GUEST_EXTENT + offset;
}

/* One extent's pages become zero one after another, so that it can be given back. */
static void wipe_phase(struct sim *s)
{
	if (s->avoided > 0) {
		s->avoided--;
		return;
	}
	if (s->extents < 2 || s->wiped > 0 || !random_chance(&s->random, 200))
		return;
	s->wipe = random_below(&s->random, s->extents);
	s->wiped = 1;
}

void guest_phase(struct sim *s)
{
	uint32_t spans[] = {s->frames / 8, s->frames / 2, s->frames, 2 * s->frames, s->work};

	s->span = spans[random_below(&s->random, 5)];
	s->fresh = random_chance(&s->random, 300) ? 1000 : 10;
	if (s->span > s->work || s->span < SIM_ACCESSES)
		s->span = s->work;
	s->base = random_below(&s->random, s->work);
	s->writes = (uint32_t[]){20, 200, 500, 900}[random_below(&s->random, 4)];
	s->runs = (uint32_t[]){0, 2, 20}[random_below(&s->random, 3)];
	wipe_phase(s);
}

static bool avoided(const struct sim *s, uint32_t work)
{
	return s->avoided > 0 && work % s->extents == s->wipe;
}

static uint32_t pick(struct sim *s)
{
	for (;;) {
		uint32_t work = (s->base + random_below(&s->random, s->span)) % s->work;

		if (!avoided(s, work))
			return work;
		s->base++;
	}
}

/* All words of one page become zero. */
static void choose_zeroing(struct vcpu *v, uint32_t work)
{
	v->accesses = SIM_WORDS;
	for (unsigned i = 0; i < SIM_WORDS; i++)
		v->access[i] = (struct access){.work = work, .word = i, .write = true};
}

static void choose_wiping(struct sim *s, struct vcpu *v)
{
	uint32_t work = s->wipe + (s->wiped - 1) * s->extents;

	if (work >= s->work) {
		s->wiped = 0;
		s->avoided = 4;
		work = pick(s);
	} else {
		s->wiped++;
	}
	choose_zeroing(v, work);
}

/* A page that was unmapped not long ago and need not be read from a server. */
static bool thrash(struct sim *s, uint32_t *work)
{
	uint64_t entry;

	if (s->evictions == 0)
		return false;
	*work = s->evicted[random_below(&s->random, SIM_EVICTED) % s->evictions];
	entry = slat_read(&s->window.leaf[guest_page(s, *work)]);
	if (avoided(s, *work))
		return false;
	return slat_present(s->format, entry) || page_entry_state(entry) > PAGE_FILLING;
}

static struct access choose_access(struct sim *s, struct vcpu *v)
{
	struct access a = {.work = pick(s), .word = random_below(&s->random, SIM_WORDS)};
	uint32_t all = s->extents * BACKEND_SLOT_PAGES;

	if (v->drawn_left > 0 && random_chance(&s->random, 400)) {
		v->drawn_left--;
		a.work = v->drawn;
	} else if (random_chance(&s->random, 40) && thrash(s, &a.work)) {
		a.write = true;
	} else if (s->work < all && random_chance(&s->random, s->fresh)) {
		a.work = s->work + random_below(&s->random, all - s->work);
		while (avoided(s, a.work))
			a.work = pick(s);
		return a;
	}
	a.write |= random_chance(&s->random, s->writes);
	if (!random_chance(&s->random, 60))
		a.value = random_next(&s->random) | 1;
	return a;
}

/* The next page upwards or downwards, one access each; beyond the guest's own pages it only reads. */
static bool choose_run(struct sim *s, struct vcpu *v)
{
	uint32_t all = s->extents * BACKEND_SLOT_PAGES;

	if (v->run_left == 0) {
		if (!random_chance(&s->random, s->runs))
			return false;
		v->run = pick(s);
		v->run_left =
			2 + random_below(&s->random, random_chance(&s->random, 500) ? 8 : 200);
		v->run_step = (int)s->extents * (random_chance(&s->random, 500) ? 1 : -1);
	}
	v->run_left--;
	/* Now and then a page is left out, or the run ends early. */
	v->run += (uint32_t)(random_chance(&s->random, 20) ? 2 * v->run_step : v->run_step);
	if (v->run >= all || avoided(s, v->run) || random_chance(&s->random, 5)) {
		v->run_left = 0;
		return false;
	}
	v->accesses = 1;
	v->access[0] = (struct access){.work = v->run, .word = random_below(&s->random, SIM_WORDS)};
	if (v->run < s->work && random_chance(&s->random, s->writes)) {
		v->access[0].write = true;
		v->access[0].value = random_next(&s->random) | 1;
	}
	return true;
}

static void choose(struct sim *s, struct vcpu *v)
{
	v->at = 0;
	v->faults = 0;
	if (s->audit) {
		v->accesses = 1;
		v->access[0] = (struct access){.work = s->audited++ % s->work};
		return;
	}
	if (choose_run(s, v))
		return;
	if (s->wiped > 0 && random_chance(&s->random, 800)) {
		choose_wiping(s, v);
		return;
	}
	if (s->fresh < 500 && random_chance(&s->random, 40)) {
		choose_zeroing(v, pick(s));
		return;
	}
	v->accesses =
		random_chance(&s->random, 700) ? 1 : 1 + random_below(&s->random, SIM_ACCESSES);
	for (unsigned i = 0; i < v->accesses; i++)
		v->access[i] = choose_access(s, v);
}

void guest_start(struct sim *s)
{
	current = s;
	for (unsigned i = 0; i < s->cpus; i++) {
		s->vcpu[i].state = VCPU_OUT;
		choose(s, &s->vcpu[i]);
	}
}

static void check_word(const struct sim *s, unsigned cpu, const struct access *a, uint64_t seen)
{
	if (seen == s->expected[a->work][a->word])
		return;
	sim_fail("vCPU %u read %016llx at page %u word %u, where %016llx was written", cpu,
		(unsigned long long)seen, guest_page(s, a->work), a->word,
		(unsigned long long)s->expected[a->work][a->word]);
}

static void check_page(const struct sim *s, unsigned cpu, uint32_t work, const uint64_t *words)
{
	uint64_t page[PAGE_SIZE / 8] = {0};

	for (unsigned i = 0; i < SIM_WORDS; i++)
		page[word_at[i]] = s->expected[work][i];
	if (memcmp(page, words, PAGE_SIZE))
		sim_fail("vCPU %u: page %u is not what was written", cpu, guest_page(s, work));
}

/* The translation just used is no more what the tables say. */
static bool stale(const struct sim *s, const struct access *a, uint64_t hpa)
{
	uint64_t entry = slat_read(&s->window.leaf[guest_page(s, a->work)]);

	return !slat_present(s->format, entry) || slat_address(s->format, entry) != hpa ||
	       (a->write && !(entry & s->format->writable));
}

static bool try_access(struct sim *s, unsigned cpu, const struct access *a)
{
	struct vcpu *v = &s->vcpu[cpu];
	uint64_t hpa, *words;

	if (!fake_access(&v->cpu, guest_page(s, a->work), a->write, &hpa))
		return false;
	if (hpa < SIM_HPA || hpa >= SIM_HPA + (uint64_t)s->frames * PAGE_SIZE)
		sim_fail("vCPU %u: page %u translates to %llx", cpu, guest_page(s, a->work),
			(unsigned long long)hpa);
	s->accesses++;
	if (stale(s, a, hpa))
		s->stale[a->write]++;
	words = (uint64_t *)(void *)(s->memory + (hpa - SIM_HPA));
	if (a->write) {
		words[word_at[a->word]] = a->value;
		s->expected[a->work][a->word] = a->value;
	} else {
		check_word(s, cpu, a, words[word_at[a->word]]);
	}
	if (s->audit || random_chance(&s->random, 20))
		check_page(s, cpu, a->work, words);
	return true;
}

static void leave(struct sim *s, unsigned cpu, enum vcpu_state state)
{
	shootdown_leave(&s->shootdown, cpu);
	s->vcpu[cpu].drawn_left = 0; /* its old translation ends here: no reason to come back */
	s->vcpu[cpu].state = state;
}

static void step_guest(struct sim *s, unsigned cpu)
{
	struct vcpu *v = &s->vcpu[cpu];

	if (v->kicked && random_chance(&s->random, v->kick_chance)) {
		v->kicked = false;
		v->at = 0; /* the interrupted instruction begins again */
		leave(s, cpu, VCPU_OUT);
		return;
	}
	if (v->idle_until > s->now)
		return;
	if (random_chance(&s->random, 2))
		fake_evict(&v->cpu, guest_page(s, pick(s)));
	if (!try_access(s, cpu, &v->access[v->at])) {
		leave(s, cpu, VCPU_FAULT);
		return;
	}
	if (++v->at < v->accesses)
		return;
	v->instructions++;
	choose(s, v);
	if (!s->audit && random_chance(&s->random, 3))
		v->idle_until = s->now + random_below(&s->random, 200000);
}

/* What was mapped for this vCPU last must be mapped still (architecture section 4). */
static void check_recent(const struct sim *s, unsigned cpu, uint32_t page)
{
	const struct vcpu *v = &s->vcpu[cpu];
	uint32_t kept = v->recents < SIM_RECENT ? v->recents : SIM_RECENT;

	if (slat_present(s->format, slat_read(&s->window.leaf[page])))
		return;
	for (uint32_t i = 0; i < kept; i++) {
		if (v->recent[i] == page)
			sim_fail("page %u was taken from vCPU %u, which had it mapped among its "
				 "last %u",
				page, cpu, SIM_RECENT);
	}
}

static void step_fault(struct sim *s, unsigned cpu)
{
	struct vcpu *v = &s->vcpu[cpu];
	const struct access *a = &v->access[v->at];
	uint32_t page = guest_page(s, a->work);
	uint64_t entry = slat_read(&s->window.leaf[page]);
	struct mailbox *m = &s->mailbox[cpu];

	hints_fault(s, page);
	if (slat_present(s->format, entry) && (!a->write || (entry & s->format->writable))) {
		v->at = 0;
		v->state = VCPU_OUT;
		return;
	}
	check_recent(s, cpu, page);
	/* Each page can be missing once and be write-protected once: then it is held for this vCPU. */
	if (++v->faults > 2 * v->accesses)
		sim_fail("vCPU %u: no progress, %u faults in an instruction of %u accesses", cpu,
			v->faults, v->accesses);
	m->gpa = s->window.base + (uint64_t)page * PAGE_SIZE + 8 * word_at[a->word];
	m->access = a->write ? MAILBOX_WRITE : MAILBOX_READ;
	m->posted = s->now;
	__atomic_store_n((uint32_t *)&m->state, MAILBOX_POSTED, __ATOMIC_SEQ_CST);
	v->state = VCPU_WAIT;
}

static void step_wait(struct sim *s, unsigned cpu)
{
	struct vcpu *v = &s->vcpu[cpu];
	struct mailbox *m = &s->mailbox[cpu];

	if (__atomic_load_n((uint32_t *)&m->state, __ATOMIC_ACQUIRE) != MAILBOX_DONE)
		return;
	v->recent[v->recents++ % SIM_RECENT] = (uint32_t)((m->gpa - s->window.base) / PAGE_SIZE);
	__atomic_store_n((uint32_t *)&m->state, MAILBOX_EMPTY, __ATOMIC_RELEASE);
	v->at = 0;
	v->state = VCPU_OUT;
}

void guest_step(struct sim *s, unsigned cpu)
{
	struct vcpu *v = &s->vcpu[cpu];

	s->depth++; /* a step, and a walk of the tables in it, is one */
	switch (v->state) {
	case VCPU_OUT:
		v->flush = shootdown_enter(&s->shootdown, cpu, &v->epoch);
		v->state = VCPU_ENTERING;
		break;
	case VCPU_ENTERING:
		if (v->flush) {
			fake_flush(&v->cpu);
			shootdown_flushed(&s->shootdown, cpu, v->epoch);
		}
		v->state = VCPU_GUEST;
		break;
	case VCPU_GUEST:
		step_guest(s, cpu);
		break;
	case VCPU_FAULT:
		step_fault(s, cpu);
		break;
	case VCPU_WAIT:
		step_wait(s, cpu);
		break;
	}
	s->depth--;
}

void guest_interleave(void *context)
{
	struct sim *s = context;

	if (s->depth++ == 0) {
		for (unsigned i = random_below(&s->random, 4); i > 0; i--)
			guest_step(s, random_below(&s->random, s->cpus));
	}
	s->depth--;
}

void guest_kick(void *context, unsigned cpu)
{
	struct sim *s = context;

	/* Some are lost: they are repeated after a while. */
	if (!random_chance(&s->random, 20))
		s->vcpu[cpu].kicked = true;
	s->vcpu[cpu].kick_chance = (uint32_t[]){10, 100, 500}[random_below(&s->random, 3)];
	guest_interleave(s);
}

/* One access to just this page by a vCPU between two instructions; a violation is not taken. */
static void touch(struct sim *s, uint32_t work)
{
	struct access a = {.work = work, .word = random_below(&s->random, SIM_WORDS)};
	unsigned first = random_below(&s->random, s->cpus);

	a.write = random_chance(&s->random, s->writes);
	if (a.write && !random_chance(&s->random, 100))
		a.value = random_next(&s->random) | 1;
	for (unsigned i = 0; i < s->cpus; i++) {
		unsigned cpu = (first + i) % s->cpus;
		struct vcpu *v = &s->vcpu[cpu];

		for (unsigned k = 0; k < 3 && v->state != VCPU_GUEST; k++)
			guest_step(s, cpu);
		if (v->state != VCPU_GUEST || v->at != 0)
			continue;
		if (!try_access(s, cpu, &a))
			return;
		v->idle_until = 0;
		v->drawn = work;
		v->drawn_left = 20;
		if (v->faults == 0)
			choose(s, v);
		return;
	}
}

void guest_between(const _Atomic uint64_t *entry, bool before)
{
	struct sim *s = current;
	uint32_t page, work;

	if (!s || s->depth > 0 || s->audit || entry < s->window.leaf ||
		entry >= s->window.leaf + s->window.pages)
		return;
	page = (uint32_t)(entry - s->window.leaf);
	work = page % GUEST_EXTENT * s->extents + page / GUEST_EXTENT;
	if (work >= s->work)
		return;
	s->depth++;
	if (before && random_chance(&s->random, 300))
		touch(s, work);
	else if (!slat_present(s->format, slat_read(entry)))
		s->evicted[s->evictions++ % SIM_EVICTED] = work;
	s->depth--;
}

bool guest_blocked(const struct sim *s, unsigned cpu)
{
	const struct vcpu *v = &s->vcpu[cpu];

	if (v->state == VCPU_GUEST)
		return v->idle_until > s->now && !v->kicked;
	return v->state == VCPU_WAIT && __atomic_load_n((uint32_t *)&s->mailbox[cpu].state,
						__ATOMIC_ACQUIRE) != MAILBOX_DONE;
}
