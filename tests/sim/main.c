/* SPDX-License-Identifier: MIT */
/*
 * build/sim [--seed N | --seeds A-B] [--events N] [--fault NAME] [--faults] [--verbose]
 *
 * Exit 0: every seed ran to its end. 1: something broke, and what. 2: usage.
 */
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "far/page.h"
#include "lib/crc.h"
#include "lib/event.h"
#include "lib/plant.h"
#include "sim/sim.h"
#include "tests/host/host.h"

enum plant plant_active = PLANT_NONE;

static const char *const plant_names[PLANT_COUNT] = {
	[PLANT_NONE] = "none",
	[PLANT_NO_SHOOTDOWN_WRITE] = "no-shootdown-write",
	[PLANT_NO_SHOOTDOWN_ZERO] = "no-shootdown-zero",
	[PLANT_DOUBLE_FREE] = "double-free",
	[PLANT_MAP_ERRORED] = "map-errored",
	[PLANT_MAP_STALE] = "map-stale",
	[PLANT_DROP_RECORD] = "drop-record",
	[PLANT_OLD_ACK] = "old-ack",
	[PLANT_NO_FENCE] = "no-fence",
	[PLANT_ABANDONED_READ] = "abandoned-read",
	[PLANT_OLD_BATCH] = "old-batch",
	[PLANT_RECLAIM_RECENT] = "reclaim-recent",
	[PLANT_PREFETCH_LOST] = "prefetch-lost",
	[PLANT_PREFETCH_RESERVE] = "prefetch-reserve",
	[PLANT_RECLAIM_PINNED] = "reclaim-pinned",
	[PLANT_HINT_LOST] = "hint-lost",
};

struct options {
	uint64_t first, last; /* seeds */
	uint64_t events; /* per seed */
	bool verbose;
};

struct totals {
	uint64_t events, worlds, stopped, instructions, accesses, stale[2];
	struct far_counters far;
	struct backend_totals backend;
};

static struct sim *sim;
static struct totals totals;
static jmp_buf failed;
static char failure[512];

void sim_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(failure, sizeof(failure), format, args);
	va_end(args);
	longjmp(failed, 1);
}

static void add(void *sum, const void *part, size_t size)
{
	for (size_t i = 0; i < size / sizeof(uint64_t); i++)
		((uint64_t *)sum)[i] += ((const uint64_t *)part)[i];
}

static void account(const struct sim *s)
{
	struct backend_totals b;

	backend_totals(s->backend, &b);
	add(&totals.far, far_counters(s->far), sizeof(totals.far));
	add(&totals.backend, &b, sizeof(b));
	totals.worlds++;
	totals.accesses += s->accesses;
	totals.stale[0] += s->stale[0];
	totals.stale[1] += s->stale[1];
	for (unsigned i = 0; i < s->cpus; i++)
		totals.instructions += s->vcpu[i].instructions;
}

/* A server whose store has lost the session says so; only a host's reboot can do that. */
static bool session_gone(const struct sim *s)
{
	bool rebooted = false;

	for (unsigned i = 0; i < s->servers; i++)
		rebooted |= backend_rebooted(s->backend, i);
	return rebooted && strstr(host_panic_text(), "has ended the session") != NULL;
}

/* The guest was stopped: right only if a server lost pages that were nowhere else. */
static bool stopped_rightly(const struct sim *s)
{
	if (session_gone(s))
		return true;
	if (strstr(host_panic_text(), "has lost extent") == NULL)
		return false;
	for (uint32_t page = 0; page < s->window.pages; page++) {
		uint64_t entry = slat_read(&s->window.leaf[page]);
		enum page_state state = page_entry_state(entry);
		unsigned server = page / (uint32_t)(RPC_EXTENT_SIZE / PAGE_SIZE) % s->servers;

		if (!slat_present(s->format, entry) && backend_rebooted(s->backend, server) &&
			(state == PAGE_REMOTE || state == PAGE_FILLING))
			return true;
	}
	return false;
}

static void report(const struct options *o)
{
	struct event_row row[EVENT_KEPT];
	unsigned count = event_last(row);

	fprintf(stderr, "sim (%s): seed %llu event %llu, %llu ns: %s\n", backend_name,
		(unsigned long long)sim->seed, (unsigned long long)sim->event,
		(unsigned long long)sim->now, failure);
	fprintf(stderr, "  %u vCPUs, %u frames, %u pages used, %u servers, %s; fault planted: %s\n",
		sim->cpus, sim->frames, sim->work, sim->servers, sim->format->name,
		plant_names[plant_active]);
	fprintf(stderr, "  again: make sim WORLD=%s SEED=%llu EVENTS=%llu\n", backend_name,
		(unsigned long long)sim->seed, (unsigned long long)o->events);
	if (!o->verbose)
		return;
	for (unsigned i = 0; i < count; i++)
		fprintf(stderr, "  %s %llx %llx\n", event_name(row[i].event),
			(unsigned long long)row[i].a, (unsigned long long)row[i].b);
}

/* One machine's life; how many events it took. */
static uint64_t world(uint64_t seed, unsigned life, uint64_t events)
{
	volatile uint64_t before;

	memset(sim, 0, sizeof(*sim));
	sim->seed = seed;
	sim->random.state = seed * 1000003 + life;
	if (setjmp(host_panic_jump) == 0) {
		host_panic_arm();
		world_start(sim);
		before = sim->event;
		world_run(sim, events);
		host_panic_disarm();
	} else if (host_panic_kind() != HOST_PANIC_GUEST || !stopped_rightly(sim)) {
		sim_fail("%s: %s",
			host_panic_kind() == HOST_PANIC_GUEST ? "guest stopped" : "panic",
			host_panic_text());
	} else {
		totals.stopped++;
		before = 0;
	}
	account(sim);
	world_end(sim);
	return sim->event - before;
}

static bool run_seed(uint64_t seed, const struct options *o)
{
	volatile uint64_t done = 0;
	volatile unsigned life = 0;

	if (setjmp(failed)) {
		report(o);
		world_end(sim);
		return false;
	}
	while (done < o->events)
		done += world(seed, life++, o->events - done);
	totals.events += done;
	if (o->verbose)
		printf("seed %llu: %llu events, %u machines\n", (unsigned long long)seed,
			(unsigned long long)done, life);
	return true;
}

static void summary(const struct options *o)
{
	const struct far_counters *f = &totals.far;
	const struct backend_totals *b = &totals.backend;

	printf("sim (%s): %llu seeds, %llu events, %llu machines (%llu stopped for lost extents)\n",
		backend_name, (unsigned long long)o->last - o->first + 1,
		(unsigned long long)totals.events, (unsigned long long)totals.worlds,
		(unsigned long long)totals.stopped);
	printf("  %llu instructions, %llu accesses (stale translations: %llu reads, %llu writes)\n",
		(unsigned long long)totals.instructions, (unsigned long long)totals.accesses,
		(unsigned long long)totals.stale[0], (unsigned long long)totals.stale[1]);
	printf("  %llu zero fills, %llu victim hits, %llu remote fills, "
	       "%llu evictions in %llu batches, %llu cleanings, %llu waits\n",
		(unsigned long long)f->zero_fills, (unsigned long long)f->victim_hits,
		(unsigned long long)f->remote_fills, (unsigned long long)f->evictions,
		(unsigned long long)f->batches, (unsigned long long)f->cleanings,
		(unsigned long long)f->fault_waits);
	printf("  %llu write-backs (%llu again, %llu stale acks), %llu zero pages, %llu leases, "
	       "%llu refused, %llu released, %llu corrupt fills, %llu abandoned, %llu stalls\n",
		(unsigned long long)f->writebacks, (unsigned long long)f->writeback_retries,
		(unsigned long long)f->writeback_stale, (unsigned long long)f->zero_elided,
		(unsigned long long)f->leases, (unsigned long long)f->lease_refusals,
		(unsigned long long)f->releases, (unsigned long long)f->fill_corrupt,
		(unsigned long long)f->fill_abandoned, (unsigned long long)f->stalls);
	printf("  prefetched: %llu by READ, %llu zeroed, %llu touched, %llu in vain\n",
		(unsigned long long)f->prefetch_fills, (unsigned long long)f->prefetch_zero_fills,
		(unsigned long long)f->prefetch_hits, (unsigned long long)f->prefetch_wasted);
	printf("  hints: %llu ranges, %llu pages, %llu filled, %llu dropped, %llu pins released\n",
		(unsigned long long)f->hints, (unsigned long long)f->hint_pages,
		(unsigned long long)f->hint_fills, (unsigned long long)f->hint_dropped,
		(unsigned long long)f->pins_released);
	printf("  %llu queue pairs lost, %llu faults injected, %llu late writes, %llu fenced, "
	       "%llu reboots, %llu restarts, %llu frames\n",
		(unsigned long long)b->queue_pairs_lost, (unsigned long long)b->faults,
		(unsigned long long)b->late, (unsigned long long)b->fenced,
		(unsigned long long)b->reboots, (unsigned long long)b->restarts,
		(unsigned long long)b->frames);
}

static int usage(void)
{
	fprintf(stderr, "usage: sim [--seed N | --seeds A-B] [--events N] [--fault NAME] "
			"[--faults] [--verbose]\n");
	return 2;
}

static bool plant(const char *name)
{
	for (unsigned i = 0; i < PLANT_COUNT; i++) {
		if (strcmp(name, plant_names[i]))
			continue;
		plant_active = i;
		return true;
	}
	fprintf(stderr, "sim: no fault called %s (see --faults)\n", name);
	return false;
}

static bool parse(int argc, char **argv, struct options *o, int *result)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 's'},
		{"seeds", required_argument, NULL, 'S'}, {"events", required_argument, NULL, 'e'},
		{"fault", required_argument, NULL, 'f'}, {"faults", no_argument, NULL, 'F'},
		{"verbose", no_argument, NULL, 'v'}, {NULL, 0, NULL, 0}};
	unsigned long long a, b;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 's' && sscanf(optarg, "%llu", &a) == 1)
			o->first = o->last = a;
		else if (c == 'S' && sscanf(optarg, "%llu-%llu", &a, &b) == 2 && a <= b)
			o->first = a, o->last = b;
		else if (c == 'e' && sscanf(optarg, "%llu", &a) == 1)
			o->events = a;
		else if (c == 'v')
			o->verbose = true;
		else if (c == 'F') {
			for (unsigned i = 1; i < PLANT_COUNT; i++)
				printf("%s\n", plant_names[i]);
			*result = 0;
			return false;
		} else if (c != 'f' || !plant(optarg)) {
			*result = usage();
			return false;
		}
	}
	return true;
}

int main(int argc, char **argv)
{
	struct options o = {.first = 1, .last = 1, .events = 100000};
	int result = 0;

	if (!parse(argc, argv, &o, &result))
		return result;
	crc_init(true);
	sim = calloc(1, sizeof(*sim));
	for (uint64_t seed = o.first; seed <= o.last && result == 0; seed++)
		result = run_seed(seed, &o) ? 0 : 1;
	if (result == 0)
		summary(&o);
	free(sim);
	return result;
}
