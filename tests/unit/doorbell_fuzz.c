/* SPDX-License-Identifier: MIT */
/*
 * A hostile agent at the doorbell of a busy guest, from a fixed seed: random requests, words, ranges,
 * counts and rates before the real engine, while vCPUs touch pages, servers answer, fail and go away.
 * Whatever is asked, every page has the content that was last written to it, the engine's rules hold
 * (far_verify()), pins stay within their budget, requests within their rate, and what nobody asks for
 * any longer is released. DOORBELL_FUZZ_REQUESTS says how many requests (default 100000, a few
 * seconds; 11000000 take five minutes), DOORBELL_FUZZ_SEED where to begin.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "far/far.h"
#include "service/doorbell.h"
#include "tests/unit/far_fixture.h"

#define MS      1000000ull
#define ADDRESS 0x7000000000ull /* of the server's memory (far_fixture.c) */
#define CPUS    1u /* the pcache's floor leaves frames for pins then */
#define BUDGET  64u
#define USED    2000u /* pages that the guest touches: many more than frames */
#define ROUND   20000u /* requests to one engine */
#define VERIFY  500u /* requests between two looks at everything */
#define RINGS   4u

static struct doorbell bell;
static struct ring rings[RINGS];
static uint64_t random_state;
static uint64_t content[FIXTURE_PAGES];
static uint32_t touched; /* page of the fault under way */
static bool faulting, writing;
static uint64_t answers[DOORBELL_RESULTS], asked[DOORBELL_REQUESTS + 1];
static uint64_t accepted_at; /* ns, of the rate's window */
static uint64_t accepted;
static bool away;
static bool hurried; /* rings faster than the rate allows */

static uint64_t draw(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % below;
}

static uint64_t any(void)
{
	return draw(UINT64_MAX);
}

/* The guest: one vCPU that reads and writes. */

static void look(void)
{
	uint64_t entry = fixture.window.leaf[touched];

	if (!fixture_done(0))
		return;
	fixture_resume(0);
	faulting = false;
	assert_true(slat_present(fixture.window.format, entry));
	if (writing && !(entry & fixture.window.format->writable)) {
		faulting = true;
		fixture_fault(0, touched, true);
		return;
	}
	assert_int_equal(fixture_peek(touched), content[touched]);
	if (!writing)
		return;
	content[touched] = draw(4) ? any() : 0;
	fixture_poke(touched, content[touched]);
}

static void touch(void)
{
	uint64_t entry;

	if (faulting)
		return;
	touched = (uint32_t)(draw(3) ? draw(USED) : draw(300));
	writing = draw(2);
	entry = fixture.window.leaf[touched];
	if (slat_present(fixture.window.format, entry) &&
		(!writing || entry & fixture.window.format->writable)) {
		assert_int_equal(fixture_peek(touched), content[touched]);
		if (writing) {
			content[touched] = any();
			fixture_poke(touched, content[touched]);
		}
		return;
	}
	faulting = true;
	fixture_fault(0, touched, writing);
	look();
}

/* Extents are named again before the server is called ready. */
static void come_back(void)
{
	for (uint32_t i = 0; i < fixture.far->extents; i++)
		if (fixture.far->extent[i].state == EXTENT_ABSENT)
			far_session_events.extent(fixture.far, 0, i, RPC_EXTENT_HELD,
				ADDRESS + (uint64_t)i * RPC_EXTENT_SIZE, 78);
	fixture_ready();
	away = false;
}

static void release(void)
{
	for (uint32_t i = 0; i < fixture.far->extents; i++)
		far_session_events.released(fixture.far, 0, i);
}

static void servers(void)
{
	if (away) {
		if (draw(200) == 0)
			come_back();
		return;
	}
	if (draw(2000) == 0) {
		fixture_lose();
		away = true;
		return;
	}
	if (draw(3))
		fixture_grant();
	if (draw(10) == 0)
		release();
	if (draw(2))
		fixture_answer_writes(SESSION_OK);
	if (draw(2))
		fixture_answer_reads(draw(40) ? SESSION_OK : SESSION_BROKEN);
}

static uint64_t any_range(void)
{
	static const uint64_t pages[] = {1, 1, 2, 4, 8, 16, 63, 64, 65, 511, 512, 513, 4096};
	uint64_t page = draw(8) ? draw(USED) : draw(FIXTURE_PAGES + 600);
	uint64_t word = FIXTURE_BASE + page * PAGE_SIZE + pages[draw(draw(3) ? 6 : 13)] - 1;

	switch (draw(32)) {
	case 0:
		return any();
	case 1:
		return word ^ 1ull << draw(64);
	case 2:
		return FIXTURE_BASE - draw(3) * PAGE_SIZE + draw(PAGE_SIZE);
	case 3:
		return FIXTURE_BASE + (FIXTURE_PAGES - draw(3)) * PAGE_SIZE + draw(PAGE_SIZE);
	default:
		return word;
	}
}

static void fill(struct ring *r)
{
	static const uint64_t telling[] = {0, 1, 2, 64, 128, 192, 256, 1023, 1024, 1025, 1920, 1921,
		1ull << 32, 1ull << 63, UINT64_MAX};

	r->request = draw(50) ? draw(DOORBELL_REQUESTS) : any();
	/* A session that only lives for a few requests would never get far. */
	if ((r->request == DOORBELL_HELLO || r->request == DOORBELL_BYE) && draw(20))
		r->request = DOORBELL_PIN + draw(4);
	if (bell.state != DOORBELL_ALIVE && draw(4))
		r->request = DOORBELL_HELLO;
	r->session = draw(40) ? bell.session : any();
	for (unsigned i = 0; i < DOORBELL_WORDS; i++)
		r->word[i] = draw(4) ? telling[draw(15)] : any();
	if (r->request == DOORBELL_HELLO && draw(4))
		r->word[0] = DOORBELL_VERSION;
	if (r->request >= DOORBELL_PIN && r->request <= DOORBELL_COLD) {
		unsigned n = (unsigned)(draw(3) ? 1 : draw(DOORBELL_WORDS + 1));

		for (unsigned i = 0; i < DOORBELL_WORDS; i++)
			r->word[i] = i < n ? any_range() : draw(20) ? 0 : any();
	}
	if (r->request == DOORBELL_PUT && draw(4))
		r->word[0] = draw(3) << 32 | draw(40) * (draw(8) ? DOORBELL_CHUNK : 1);
	if ((r->request == DOORBELL_COMMIT || r->request == DOORBELL_GET) && draw(2)) {
		r->word[r->request == DOORBELL_COMMIT ? 2 : 0] = bell.message;
		r->word[1] = r->request == DOORBELL_GET ? draw(5) * DOORBELL_CHUNK : draw(2000);
	}
}

static void look_at_pins(void)
{
	struct far_pins pins;

	far_pins(fixture.far, &pins);
	assert_int_equal(pins.budget, BUDGET);
	assert_true(pins.pinned <= BUDGET && pins.pinning <= BUDGET);
	if (!fixture.far->unpinning)
		assert_true(pins.pinned + pins.pinning <= BUDGET);
}

/* Between two looks: a burst, and what the time between them gives. */
static void look_at_rate(enum doorbell_result result)
{
	accepted += result != DOORBELL_BUSY;
	assert_true(accepted <=
		    DOORBELL_RATE + 1 + DOORBELL_RATE * (fixture.now - accepted_at) / (1000 * MS));
	if (fixture.now < accepted_at + 10 * MS)
		return;
	accepted = 0;
	accepted_at = fixture.now;
}

static void look_at_answer(const struct ring *r)
{
	assert_true(r->result < DOORBELL_RESULTS);
	answers[r->result]++;
	look_at_rate(r->result);
	if (r->result != DOORBELL_OK)
		return;
	asked[r->request]++;
	if (r->request == DOORBELL_SAMPLE) {
		assert_true(r->word[0] < DOORBELL_WORDS);
		for (uint64_t i = 1; i < DOORBELL_WORDS; i++) {
			uint64_t page = (r->word[i] - FIXTURE_BASE) / PAGE_SIZE;

			assert_true(i > r->word[0] ? r->word[i] == 0 : page < USED);
		}
	}
	if (r->request == DOORBELL_BEAT) {
		assert_true(r->word[0] <= BUDGET);
		assert_true(r->word[4] <= DOORBELL_MESSAGE_MAX);
	}
}

static void ring_some(void)
{
	for (unsigned i = 0; i < RINGS; i++) {
		if (rings[i].state == MAILBOX_DONE) {
			look_at_answer(&rings[i]);
			rings[i].state = MAILBOX_EMPTY;
		}
		if (rings[i].state == MAILBOX_EMPTY && draw(2)) {
			fill(&rings[i]);
			rings[i].result = UINT32_MAX;
			rings[i].state = MAILBOX_POSTED;
		}
	}
}

static void turn(void)
{
	servers();
	look();
	far_serve(fixture.far, fixture.now);
	look();
	doorbell_turn(&bell, rings, RINGS, fixture.now);
	look_at_pins();
	if (draw(6000) == 0)
		hurried = !hurried;
	fixture.now += draw(10000) ? draw(hurried ? 2000 : 700000) : draw(300 * MS);
	far_reclaim(fixture.far, fixture.now);
	look();
	if (draw(300) == 0)
		doorbell_tell(&bell, "0123456789", draw(10) + 1);
}

static void quiet_turn(void)
{
	look();
	fixture_turns(1);
	fixture_grant();
	fixture_answer_writes(SESSION_OK);
	fixture_answer_reads(SESSION_OK);
	release();
	look();
	doorbell_turn(&bell, rings, 0, fixture.now);
}

/* The agent is gone. In seconds the engine is as if it had never been; and every page is right. */
static void calm(void)
{
	const struct far_counters *c;
	struct far_pins pins;

	if (away)
		come_back();
	for (unsigned i = 0; i < 15000; i++)
		quiet_turn();
	assert_false(faulting);
	c = far_counters(fixture.far);
	assert_true(c->evictions > ROUND / 10 && c->remote_fills > ROUND / 10);
	assert_true(c->hint_fills > ROUND / 100 && c->pins_released > 0);
	far_pins(fixture.far, &pins);
	assert_int_equal(pins.pinned + pins.pinning + pins.queued, 0);
	assert_int_not_equal(bell.state, DOORBELL_ALIVE);
	for (uint32_t page = 0; page < FIXTURE_PAGES; page++) {
		touched = page;
		writing = false;
		faulting = true;
		fixture_fault(0, page, false);
		for (unsigned i = 0; i < 100 && faulting; i++)
			quiet_turn();
		assert_false(faulting);
	}
	far_verify(fixture.far);
}

static void begin(void)
{
	const char *reason;

	assert_int_equal(fixture_setup(NULL), 0);
	fixture.config.cpus = CPUS;
	fixture.config.pin = BUDGET;
	fixture.config.prefetch = draw(2) * FAR_PREFETCH_MAX;
	fixture.far = far_start(&fixture.config, &reason);
	assert_non_null(fixture.far);
	fixture_ready();
	doorbell_start(&bell, fixture.far, FIXTURE_BASE, FIXTURE_PAGES, fixture.now);
	memset(rings, 0, sizeof(rings));
	memset(content, 0, sizeof(content));
	faulting = away = false;
	accepted = 0;
	accepted_at = fixture.now;
}

static void hostile_agents(void **state)
{
	const char *wanted = getenv("DOORBELL_FUZZ_REQUESTS"),
		   *first = getenv("DOORBELL_FUZZ_SEED");
	uint64_t requests = wanted ? strtoull(wanted, NULL, 10) : 100000, done = 0, verified = 0;
	uint64_t seed = first ? strtoull(first, NULL, 10) : 1;

	for (; done < requests; seed++) {
		random_state = 0x9e3779b97f4a7c15ull * seed;
		begin();
		print_message("seed %lu\n", (unsigned long)seed);
		while (bell.counters.rings < ROUND) {
			ring_some();
			for (uint64_t n = draw(4); n > 0; n--)
				touch();
			turn();
			if (bell.counters.rings / VERIFY != verified) {
				verified = bell.counters.rings / VERIFY;
				far_verify(fixture.far);
			}
		}
		done += bell.counters.rings;
		calm();
		fixture_teardown(NULL);
	}
	for (unsigned i = 0; i < DOORBELL_RESULTS; i++)
		print_message("result %u: %lu\n", i, (unsigned long)answers[i]);
	for (unsigned i = 0; i < DOORBELL_REQUESTS; i++)
		print_message("request %u: %lu good\n", i, (unsigned long)asked[i]);
	/* A fuzzer that never gets behind the first door shows nothing. */
	for (unsigned i = 0; i < DOORBELL_RESULTS; i++)
		assert_true(answers[i] > 0);
	for (unsigned i = 0; i < DOORBELL_REQUESTS; i++)
		assert_true(asked[i] > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_agents),
	};

	return cmocka_run_group_tests_name("doorbell_fuzz", tests, NULL, NULL);
}
