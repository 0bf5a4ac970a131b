/* SPDX-License-Identifier: MIT */
/*
 * A machine for the engine's unit tests: one server whose every answer the test gives by hand, and
 * vCPUs that are out of the guest unless the test says otherwise, so that batches settle at once.
 */
#ifndef ANNEX_TESTS_FAR_FIXTURE_H
#define ANNEX_TESTS_FAR_FIXTURE_H

#include "far/engine.h"
#include "virt/fake/fake.h"

#define FIXTURE_FRAMES 256u
#define FIXTURE_PAGES  8192u /* two extents */
#define FIXTURE_CPUS   2u
#define FIXTURE_PIN    64u /* pages, fixture_setup_pin() */
#define FIXTURE_BASE   0x4000000000ull
#define FIXTURE_HPA    0x100000000ull
#define FIXTURE_OPS    64u
#define FIXTURE_READS  16u

struct fixture_op {
	bool used;
	bool write;
	uint64_t address;
	void *to;
	uint32_t tag;
	uint8_t data[PAGE_SIZE]; /* of a WRITE: the copy */
};

struct session {
	bool ready;
	struct fixture_op op[FIXTURE_OPS];
	uint32_t reads, writes; /* posted so far */
	uint32_t abandoned;
	uint32_t leases, releases; /* asked so far */
	uint32_t last_lease, last_release;
};

struct fixture {
	struct far *far;
	struct far_config config;
	struct slat_window window;
	struct shootdown shootdown;
	struct mailbox mailbox[FIXTURE_CPUS];
	struct session session;
	uint8_t *memory;
	void *tables;
	uint64_t now;
	unsigned kicks;
};

extern struct fixture fixture;

/* cmocka setup and teardown: CPUs with A/D bits, the server ready, nothing leased. */
int fixture_setup(void **state);
int fixture_setup_plain(void **state); /* CPUs without A/D bits */
/* The same with one vCPU and a budget for pins. */
int fixture_setup_pin(void **state);
int fixture_setup_pin_plain(void **state);
int fixture_teardown(void **state);

/* Posts a fault and serves it; true if it was done at once. */
bool fixture_fault(unsigned cpu, uint32_t page, bool write);
bool fixture_done(unsigned cpu);
/* Takes the answer away: the vCPU goes on. */
void fixture_resume(unsigned cpu);
/* A fault that must be done at once, and resumed. */
void fixture_touch(unsigned cpu, uint32_t page, bool write);

/* Turns of far_reclaim(), 1 ms apart. */
void fixture_turns(unsigned turns);

/* The guest writes or reads a word of a mapped page, as a walker would mark it. */
void fixture_poke(uint32_t page, uint64_t value);
uint64_t fixture_peek(uint32_t page);

/* Grants every lease asked for. */
void fixture_grant(void);
/* Answers every WRITE (keeping it as the server's content) with this status; how many there were. */
unsigned fixture_answer_writes(enum session_status status);
/* Answers the READ of this tag with the content of the server. */
struct fixture_op *fixture_op(bool write);
unsigned fixture_answer_reads(enum session_status status);

/* The server's copy of a page. */
uint8_t *fixture_remote(uint32_t page);

enum page_state fixture_state(uint32_t page);
/* Touches pages first.., granting leases and answering READs. */
void fixture_press(unsigned cpu, uint32_t first, uint32_t count);

/* Leaves page 0 REMOTE with this content, and enough cold pages behind it. */
void fixture_make_remote(uint64_t value);
/* Puts the dirty page 0 into VICTIM dirty with its WRITE under way. */
void fixture_make_writing(uint64_t value);

void fixture_lose(void);
void fixture_ready(void);

#endif
