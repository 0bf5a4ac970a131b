/* SPDX-License-Identifier: MIT */
/*
 * bell_fuzz SECONDS [SEED]: root rings the doorbell with everything it should not: ranges, lengths,
 * counts, sessions, requests, registers, widths and rates at random, sound ones between them. Exit 0
 * when each answer was one that annex/doorbell.h allows. What it does to the guest's memory others say.
 */
#include <signal.h>
#include "bell.h"
#include "tests/lab/workloads/lab.h"

#define PAGE_MASK (LAB_PAGE - 1u)
#define REQUESTS  (DOORBELL_REQUESTS + 2u) /* and any other */

static uint64_t state, session, base, pages, budget, most_pinned, most_queued;
static uint64_t rung, results[DOORBELL_RESULTS], by_request[REQUESTS], others, answered;
static uint32_t scratch[16];
static struct bell last;
static enum bell_access last_access;

static uint64_t below(uint64_t n)
{
	return lab_random(&state) % n;
}

static void __attribute__((noreturn)) wrong(const char *what, const struct bell *b)
{
	printf("sent     rax %lx rbx %lx rcx %lx rdx %lx\n", last.rax, last.rbx, last.rcx,
		last.rdx);
	for (unsigned i = 0; i < DOORBELL_WORDS; i++)
		printf("w%u       %016lx -> %016lx\n", i, last.word[i], b->word[i]);
	printf("answered rax %lx rbx %lx rcx %lx\n", b->rax, b->rbx, b->rcx);
	lab_fail("after %lu requests: %s", rung, what);
}

/* The IN itself has faulted: printf() was not under way. NOLINTBEGIN(bugprone-signal-handler) */
static void on_fault(int number)
{
	printf("after %lu requests signal %d by access %u, rax %lx rdx %lx\n", rung, number,
		last_access, last.rax, last.rdx);
	fflush(stdout);
	_exit(3);
}
/* NOLINTEND(bugprone-signal-handler) */

/* Any word: edges of what there are edges of, or noise. */
static uint64_t edge(void)
{
	const uint64_t edges[] = {0, 1, 2, 63, 64, 65, 511, 512, 513, 960, 1023, 1024, 1025, 1920,
		1984, 4095, 4096, UINT32_MAX, 1ull << 32, 1ull << 52, INT64_MAX, 1ull << 63,
		UINT64_MAX, UINT64_MAX - PAGE_MASK, base, base - 1, base + pages * LAB_PAGE,
		base + pages * LAB_PAGE - 1, base + (pages - 1) * LAB_PAGE, session, session + 1,
		session - 1, DOORBELL_MAGIC, DOORBELL_VERSION};
	uint64_t choice = below(8);

	if (choice < 4)
		return edges[below(sizeof(edges) / sizeof(*edges))];
	if (choice == 4)
		return edges[below(sizeof(edges) / sizeof(*edges))] ^ 1ull << below(64);
	return lab_random(&state) >> below(64);
}

/* A range: mostly a sound one, of few pages or of many, at times across an edge. */
static uint64_t range(void)
{
	uint64_t count = below(3) ? below(8) : below(DOORBELL_RANGE_PAGES);
	uint64_t first = below(6) ? below(pages - DOORBELL_RANGE_PAGES)
				  : pages - below(2 * DOORBELL_RANGE_PAGES);

	switch (below(24)) {
	case 0:
		return edge();
	case 1:
		return 0;
	case 2:
		return base - below(4) * LAB_PAGE + count * LAB_PAGE;
	default:
		return base + first * LAB_PAGE + count;
	}
}

/* Whether each range lies in the window; *sum: their pages. */
static int sound(const uint64_t *word, uint64_t *sum)
{
	*sum = 0;
	for (unsigned i = 0; i < DOORBELL_WORDS && word[i]; i++) {
		uint64_t count = (word[i] & PAGE_MASK) + 1, first = word[i] & ~(uint64_t)PAGE_MASK;

		if (count > DOORBELL_RANGE_PAGES || first < base ||
			(first - base) / LAB_PAGE >= pages ||
			count > pages - (first - base) / LAB_PAGE)
			return 0;
		*sum += count;
	}
	return 1;
}

static int is_hint(uint64_t request)
{
	return request >= DOORBELL_PIN && request <= DOORBELL_COLD;
}

/* What OK promises. */
static void check_ok(const struct bell *b)
{
	const uint64_t *w = b->word;
	uint64_t sum = 0;

	if (last.rbx >= DOORBELL_REQUESTS)
		wrong("a request that there is not was done", b);
	if (last.rbx == DOORBELL_HELLO) {
		if (last.word[0] != DOORBELL_VERSION || w[0] == 0 || w[0] == session)
			wrong("HELLO", b);
		session = w[0], base = w[1], pages = w[2], budget = w[3];
		if (base % LAB_PAGE || pages < 4 * DOORBELL_RANGE_PAGES || budget > pages)
			wrong("the far window cannot be so", b);
		return;
	}
	if (last.rcx != session)
		wrong("done in a session that is not open", b);
	if (is_hint(last.rbx) && !sound(last.word, &sum))
		wrong("a range outside the far window was accepted", b);
	if (last.rbx == DOORBELL_PIN && sum > budget)
		wrong("a pin beyond the budget was accepted", b);
	if (last.rbx == DOORBELL_BEAT) {
		if (w[1] != budget || w[0] > budget)
			wrong("more is pinned than the budget", b);
		most_pinned = w[0] > most_pinned ? w[0] : most_pinned;
		most_queued = w[2] > most_queued ? w[2] : most_queued;
	}
	for (uint64_t i = 1; last.rbx == DOORBELL_SAMPLE && i <= w[0]; i++)
		if (w[0] >= DOORBELL_WORDS || w[i] < base || w[i] >= base + pages * LAB_PAGE)
			wrong("a sample outside the far window", b);
	if (last.rbx == DOORBELL_BYE)
		session = 0;
}

static void check_answer(const struct bell *b)
{
	if (b->rbx != last.rbx || b->rcx != last.rcx || b->rdx != last.rdx)
		wrong("RBX, RCX or RDX changed", b);
	if (b->rax >= DOORBELL_RESULTS)
		wrong("no result's number", b);
	answered++;
	results[b->rax]++;
	by_request[last.rbx < REQUESTS ? last.rbx : REQUESTS - 1] += b->rax == DOORBELL_OK;
	if (b->rax == DOORBELL_OK)
		check_ok(b);
	else if (b->rax == DOORBELL_NO_SESSION && last.rcx == session)
		session = 0; /* ended: another's HELLO, or silence */
}

static uint32_t ring(struct bell *b)
{
	last = *b;
	last_access = BELL_IN;
	rung++;
	bell_touch(b, BELL_IN);
	check_answer(b);
	return (uint32_t)b->rax;
}

static struct bell request(uint64_t number)
{
	struct bell b = {
		.rax = DOORBELL_MAGIC, .rbx = number, .rcx = session, .rdx = DOORBELL_PORT};

	return b;
}

/* A session again, if need be after what the rate makes it wait. */
static void hello(void)
{
	for (unsigned tries = 0; tries < 5000; tries++) {
		struct bell b = request(DOORBELL_HELLO);

		b.word[0] = DOORBELL_VERSION;
		if (ring(&b) == DOORBELL_OK)
			return;
		usleep(1000);
	}
	lab_fail("no session in 5 s");
}

/* A request as the agent makes them, its words more or less at random. */
static void sensible(void)
{
	static const uint8_t choice[] = {DOORBELL_PIN, DOORBELL_PIN, DOORBELL_PREFETCH,
		DOORBELL_COLD, DOORBELL_UNPIN, DOORBELL_BEAT, DOORBELL_SAMPLE, DOORBELL_PUT,
		DOORBELL_COMMIT, DOORBELL_GET};
	struct bell b = request(choice[below(sizeof(choice))]);

	for (unsigned i = 0; i < DOORBELL_WORDS; i++)
		b.word[i] = is_hint(b.rbx) ? range() : edge();
	if (is_hint(b.rbx) && below(2))
		memset(b.word + 1 + below(4), 0, 5 * sizeof(*b.word));
	if (b.rbx == DOORBELL_PUT && below(4))
		b.word[0] = below(3) << 32 | below(40) * DOORBELL_CHUNK;
	if (b.rbx == DOORBELL_COMMIT && below(4))
		b.word[0] = below(3), b.word[1] = below(2100);
	ring(&b);
}

static void any_registers(void)
{
	struct bell b = request(below(2) ? below(DOORBELL_REQUESTS) : edge());

	b.rcx = below(2) ? session : edge();
	b.rax |= edge() << 32; /* EAX alone is the magic */
	for (unsigned i = 0; i < DOORBELL_WORDS; i++)
		b.word[i] = edge();
	ring(&b);
}

/* Not a doorbell's request: reads as ones, changes nothing. */
static void other_access(void)
{
	enum bell_access access = (enum bell_access)below(BELL_ACCESSES);
	struct bell b = request(below(DOORBELL_REQUESTS));
	uint64_t bits = access == BELL_IN8 ? 0xff : access == BELL_IN16 ? 0xffff : UINT32_MAX;

	for (unsigned i = 0; i < DOORBELL_WORDS; i++)
		b.word[i] = is_hint(b.rbx) ? range() : edge();
	if (access == BELL_IN)
		b.rax = (uint32_t)(edge() ^ 1ull << 33);
	if (access == BELL_IN && (uint32_t)b.rax == DOORBELL_MAGIC)
		b.rax ^= 4;
	if (access == BELL_INS)
		b.word[1] = (uint64_t)(uintptr_t)scratch;
	if (access == BELL_OUTS)
		b.word[0] = (uint64_t)(uintptr_t)scratch;
	last = b;
	last_access = access;
	rung++;
	others++;
	scratch[0] = scratch[1] = 0;
	bell_touch(&b, access);
	if (access <= BELL_IN8 && (b.rax & bits) != bits)
		wrong("another width or magic does not read as ones", &b);
	if (access == BELL_INS && (scratch[0] != UINT32_MAX || scratch[1] != 0))
		wrong("INS reads something", &b);
	b.word[0] -= access == BELL_OUTS ? 4 : 0;
	b.word[1] -= access == BELL_INS ? 4 : 0;
	if (b.rbx != last.rbx || b.rcx != last.rcx || memcmp(b.word, last.word, sizeof(b.word)))
		wrong("another access changes registers", &b);
}

static void once(void)
{
	uint64_t choice = below(100);

	if (!session && choice < 90)
		hello();
	if (choice < 70)
		sensible();
	else if (choice < 85)
		any_registers();
	else if (choice < 97)
		other_access();
	else if (choice < 99 || below(8))
		hello();
	else {
		struct bell b = request(DOORBELL_BYE);

		ring(&b);
	}
}

/* What is left behind is nothing: a new session has no pins within 15 s. */
static void end(void)
{
	double began;

	hello();
	began = lab_seconds();
	for (;;) {
		struct bell b = request(DOORBELL_BEAT);
		uint32_t result = ring(&b);

		if (result == DOORBELL_NO_SESSION)
			hello();
		if (result == DOORBELL_OK && b.word[0] == 0 && b.word[2] == 0)
			break;
		if (lab_seconds() - began > 15)
			wrong("pins or hints of an ended session are still there", &b);
		usleep(10000);
	}
	while (session) {
		struct bell b = request(DOORBELL_BYE);

		ring(&b);
		usleep(1000);
	}
}

static void report(double seconds)
{
	static const char *const names[] = {"ok", "unknown", "bad version", "no session",
		"bad argument", "over budget", "busy"};

	for (unsigned i = 0; i < DOORBELL_RESULTS; i++)
		printf("%s %lu, ", names[i], results[i]);
	printf("no doorbell %lu\ndone by request:", others);
	for (unsigned i = 0; i < REQUESTS; i++)
		printf(" %lu", by_request[i]);
	printf("\n%lu requests in %.0f s, %lu to the doorbell and %lu of them over the rate; at "
	       "most "
	       "%lu pages pinned of %lu, %lu queued\n",
		rung, seconds, answered, results[DOORBELL_BUSY], most_pinned, budget, most_queued);
}

int main(int argc, char **argv)
{
	double seconds = (double)lab_argument(argc, argv, 1, 20), began = lab_seconds(), took;
	uint32_t port;
	const char *error = bell_find(&port);

	state = lab_argument(argc, argv, 2, (unsigned long)time(NULL));
	printf("seed %lu\n", state);
	if (error)
		lab_fail("%s", error);
	/* All ports: string instructions are replayed at another one. */
	if (iopl(3) != 0)
		lab_fail("no ports: not root?");
	signal(SIGSEGV, on_fault);
	signal(SIGILL, on_fault);
	signal(SIGBUS, on_fault);
	hello();
	/* Bursts as fast as it goes, and calm times in which the queue empties. */
	while (lab_seconds() - began < seconds) {
		int calm = below(2) == 0;
		double until = lab_seconds() + (double)below(1500) / 1000;

		do {
			once();
			if (calm)
				usleep((useconds_t)below(2000));
		} while (lab_seconds() < until);
	}
	end();
	took = lab_seconds() - began;
	report(took);
	if (answered - results[DOORBELL_BUSY] > (took + 1) * DOORBELL_RATE * 1.05)
		lab_fail("more requests were done than the rate allows");
	if (results[DOORBELL_BUSY] == 0 && (double)answered / took > DOORBELL_RATE)
		lab_fail("no request was over the rate");
	if (most_pinned == 0 && budget > 0)
		lab_fail("nothing was ever pinned: not fuzzed");
	return 0;
}
