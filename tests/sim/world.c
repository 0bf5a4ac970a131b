/* SPDX-License-Identifier: MIT */
/*
 * Builds a machine from the seed and lets its parts take turns: vCPU steps, pieces of the service
 * loop, network and servers, in random order, with time going on in between.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "far/page.h"
#include "sim/sim.h"

#define TIME_STEP    4000u /* ns, most between two events */
#define SKIP_MAX     200000000ull /* most that idle time is skipped at once */
#define CHAOS_EVERY  3000u
#define PHASE_EVERY  8000u
#define VERIFY_EVERY 5000u
#define STUCK_NS     60000000000ull /* without a fault's end in calm weather */
#define FULL_NS      3000000000ull /* of a stall for a full pool: the world ends */
#define FAR_BASE     0x4000000000ull

static void start_cpus(struct sim *s)
{
	for (unsigned i = 0; i < s->cpus; i++) {
		uint32_t pages = s->window.pages;

		fake_init(&s->vcpu[i].cpu, &s->window,
			calloc(pages, sizeof(struct fake_translation)), calloc(pages / 512, 1),
			calloc(pages, sizeof(uint32_t)));
	}
	shootdown_init(&s->shootdown, s->cpus, guest_kick, s);
}

static void start_memory(struct sim *s)
{
	s->window = (struct slat_window){.format = s->format,
		.base = FAR_BASE,
		.pages = s->extents * (uint32_t)(RPC_EXTENT_SIZE / PAGE_SIZE)};
	s->window.leaf = calloc(s->window.pages, sizeof(*s->window.leaf));
	s->window.upper = calloc(s->window.pages / 512, sizeof(*s->window.upper));
	for (uint32_t i = 0; i < s->window.pages / 512; i++)
		slat_write(&s->window.upper[i], s->format->present | s->format->writable);
	s->memory = aligned_alloc(PAGE_SIZE, (size_t)s->frames * PAGE_SIZE);
	memset(s->memory, 0x5a, (size_t)s->frames * PAGE_SIZE);
	s->tables = aligned_alloc(
		PAGE_SIZE, (far_tables_size(s->frames, s->window.pages) + PAGE_SIZE - 1) /
				   PAGE_SIZE * PAGE_SIZE);
}

static void start_engine(struct sim *s)
{
	struct far_config config = {.window = s->window,
		.shootdown = &s->shootdown,
		.mailbox = s->mailbox,
		.cpus = s->cpus,
		.ranges = 2,
		.servers = s->servers,
		.read_patience = s->read_patience,
		.prefetch = s->prefetch,
		.pin = s->pin,
		.tables = s->tables};
	uint32_t first = s->frames / 3;
	const char *reason;

	config.range[0] = (struct far_range){s->memory, SIM_HPA, first};
	config.range[1] = (struct far_range){s->memory + (size_t)first * PAGE_SIZE,
		SIM_HPA + (uint64_t)first * PAGE_SIZE, s->frames - first};
	for (unsigned i = 0; i < s->servers; i++)
		config.server[i] = backend_session(s->backend, i);
	s->far = far_start(&config, &reason);
	if (!s->far)
		sim_fail("far_start: %s", reason);
	for (unsigned i = 0; i < s->servers; i++)
		session_listen(config.server[i], &far_session_events, s->far);
}

/* The budget may be all that far_start() allows. */
static void draw_hints(struct sim *s)
{
	uint32_t floor = s->cpus * FAR_FRAMES_PER_CPU + s->frames / 8, most;

	s->hints = (uint32_t[]){0, 1, 1, 4}[random_below(&s->random, 4)];
	if (s->hints == 0 || s->frames <= floor)
		return;
	most = s->frames - floor < s->frames / 2 ? s->frames - floor : s->frames / 2;
	s->pin = random_chance(&s->random, 300) ? most : random_below(&s->random, most + 1);
}

void world_start(struct sim *s)
{
	struct random *r = &s->random;
	uint32_t per_server;

	s->now = random_below(r, 1000000000);
	s->cpus = 1 + random_below(r, SIM_CPUS);
	s->format = random_chance(r, 750) ? &fake_format_ad : &fake_format_plain;
	s->frames = s->cpus * FAR_FRAMES_PER_CPU + random_below(r, 200);
	s->servers = 1 + random_chance(r, 300);
	s->extents = s->servers + random_below(r, SIM_EXTENTS - s->servers + 1);
	per_server = (s->extents + s->servers - 1) / s->servers;
	s->overcommit = per_server > 1 && random_chance(r, 60);
	s->reboots = random_chance(r, 200);
	/* So short that READs are given up in plenty. */
	s->read_patience = random_chance(r, 500) ? random_between(r, 20000000, 250000000) : 0;
	s->prefetch = random_chance(r, 150) ? 0 : 1 + random_below(r, FAR_PREFETCH_MAX);
	draw_hints(s);
	s->work = random_below(r, 4 * s->frames) + s->frames / 2;
	if (s->reboots && random_chance(r, 500))
		s->work = s->frames - random_below(r, s->frames / 4);
	if (s->work > s->extents * BACKEND_SLOT_PAGES)
		s->work = s->extents * BACKEND_SLOT_PAGES;
	if (random_chance(r, 700) && s->work > s->extents * BACKEND_SLOT_PAGES / 2)
		s->work -= s->work / 4;
	s->backend = backend_new(&(struct backend_config){.seed = random_next(r),
		.servers = s->servers,
		.extents = s->extents,
		.pages = s->work / s->extents + 1,
		.slots = s->overcommit ? per_server - 1 : per_server + random_below(r, 2),
		.overcommit = s->overcommit,
		.interleave = guest_interleave,
		.context = s});
	start_memory(s);
	start_cpus(s);
	start_engine(s);
	guest_phase(s);
	guest_start(s);
}

void world_end(struct sim *s)
{
	if (s->backend)
		backend_free(s->backend);
	for (unsigned i = 0; i < s->cpus; i++) {
		free(s->vcpu[i].cpu.cached);
		free(s->vcpu[i].cpu.upper_cached);
		free(s->vcpu[i].cpu.filled);
	}
	free((void *)s->window.leaf);
	free((void *)s->window.upper);
	free(s->memory);
	free(s->tables);
}

static void service(struct sim *s)
{
	backend_advance(s->backend, s->now);
	far_serve(s->far, s->now);
	backend_receive(s->backend, s->now);
	backend_turn(s->backend, s->now);
	far_reclaim(s->far, s->now);
}

/* Nobody can go on by himself: time jumps to when something happens. */
static void skip_time(struct sim *s)
{
	uint64_t next = backend_next(s->backend), deadline;

	for (unsigned i = 0; i < s->cpus; i++) {
		const struct vcpu *v = &s->vcpu[i];

		if (v->state == VCPU_GUEST && v->idle_until < next)
			next = v->idle_until;
	}
	deadline = far_deadline(s->far);
	if (deadline < next)
		next = deadline;
	if (next > s->now + SKIP_MAX)
		next = s->now + SKIP_MAX;
	if (next > s->now)
		s->now = next;
	service(s);
}

/* A vCPU that can do something, or, when none can, time goes on to where one might. */
static void step_guests(struct sim *s)
{
	unsigned first = random_below(&s->random, s->cpus);

	for (unsigned i = 0; i < s->cpus; i++) {
		unsigned cpu = (first + i) % s->cpus;

		if (guest_blocked(s, cpu))
			continue;
		guest_step(s, cpu);
		return;
	}
	skip_time(s);
}

static void one_event(struct sim *s)
{
	uint32_t what = random_below(&s->random, 32);

	s->now += random_below(&s->random, TIME_STEP);
	if (s->hints > 0 && !s->audit && random_chance(&s->random, s->hints))
		hints_step(s);
	else if (what < 19)
		step_guests(s);
	else if (what < 22)
		far_serve(s->far, s->now);
	else if (what < 24)
		backend_receive(s->backend, s->now);
	else if (what < 25)
		backend_turn(s->backend, s->now);
	else if (what < 27)
		far_reclaim(s->far, s->now);
	else if (what < 29)
		backend_advance(s->backend, s->now);
	else
		service(s);
}

static void chaos(struct sim *s)
{
	if (random_chance(&s->random, 60))
		s->now += random_between(&s->random, 100000000, 3000000000); /* the VMM is paused */
	else if (random_chance(&s->random, 300))
		backend_calm(s->backend, s->now);
	else
		backend_chaos(s->backend, s->now, s->reboots);
	if (backend_broken(s->backend))
		sim_fail("%s", backend_broken(s->backend));
}

/* A stall for a full pool, with nobody to make room: what an overcommitted server leads to. */
static bool pool_full(const struct sim *s)
{
	struct far_stall stall;

	far_stall(s->far, &stall);
	return s->overcommit && stall.stalled && !strcmp(stall.reason, "pool full") &&
	       s->now - stall.since > FULL_NS;
}

static void tick(struct sim *s)
{
	if (s->event % PHASE_EVERY == 0)
		guest_phase(s);
	if (s->event % CHAOS_EVERY == 0 && !s->audit)
		chaos(s);
	if (s->event % VERIFY_EVERY == 0)
		far_verify(s->far);
}

static bool audited(const struct sim *s)
{
	return s->audited > s->work + 2 * s->cpus;
}

/* In calm weather every page is read once more: nothing may be lost, nobody may be stuck. */
static uint64_t audit(struct sim *s)
{
	uint64_t events = 0, calm = s->now, last = s->audited;

	s->audit = true;
	hints_end(s);
	backend_calm(s->backend, s->now);
	while (!audited(s) && !pool_full(s)) {
		s->event++;
		events++;
		one_event(s);
		tick(s);
		if (s->audited != last)
			calm = s->now;
		last = s->audited;
		if (s->now - calm > STUCK_NS) {
			struct far_stall stall;
			struct session_info info;

			far_stall(s->far, &stall);
			session_info(backend_session(s->backend, stall.server), &info);
			sim_fail("no progress for 60 s without faults; stalled: %s; server %u: %s: "
				 "%s",
				stall.stalled ? stall.reason : "no", stall.server,
				session_state_name(info.state), info.text);
		}
	}
	far_verify(s->far);
	if (!pool_full(s))
		hints_ended(s);
	return events;
}

uint64_t world_run(struct sim *s, uint64_t events)
{
	uint64_t done = 0;

	while (done < events && !pool_full(s)) {
		s->event++;
		done++;
		one_event(s);
		tick(s);
	}
	return done + audit(s);
}
