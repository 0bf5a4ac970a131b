/* SPDX-License-Identifier: MIT */
/* A queue pair on a card whose every frame the test reads and answers by hand. */
#ifndef ANNEX_TESTS_QP_FIXTURE_H
#define ANNEX_TESTS_QP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "fabric/qp.h"
#include "unit/fabric_tap.h"

#define MS       1000000ull
#define S        1000000000ull
#define NUMBER   0xabcdu
#define REMOTE   0x11u
#define ADDRESS  0x7f0000001000ull
#define RKEY     0x1234u
#define EXPECTED 0x700u

struct done {
	enum qp_kind kind;
	uint32_t tag;
	enum session_status status;
};

struct fixture {
	struct tap tap;
	struct port port;
	struct qp qp;
	uint64_t now;
	struct done done[256];
	unsigned dones;
	unsigned messages;
	uint8_t message[RPC_MESSAGE_MAX];
	bool chain; /* post another READ from within a completion */
	uint8_t page[32][SESSION_PAGE];
	uint8_t data[SESSION_PAGE];
};

/* cmocka setup and teardown: *state is a fixture whose queue pair is still to be opened. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
#define fixture_test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

void fixture_open(struct fixture *f, uint32_t mtu, uint32_t psn, unsigned reads);

/* The i-th frame sent since the last look, decoded; its ICRC is checked by that. */
struct wire_packet fixture_sent(struct fixture *f, unsigned i);
void fixture_expect_sent(struct fixture *f, unsigned i, unsigned opcode, uint32_t psn);
/* The i-th completion. */
void fixture_expect_done(struct fixture *f, unsigned i, uint32_t tag, enum session_status status);

/* Posts a READ into f->page[tag] or a WRITE of f->data; it must be taken. */
void fixture_read(struct fixture *f, uint32_t tag);
void fixture_write(struct fixture *f, uint32_t tag);

/* What the server sends, 10 us later; its addresses are filled in. */
void fixture_input(struct fixture *f, struct wire_packet p);
void fixture_ack(struct fixture *f, uint32_t psn, uint8_t syndrome);
/* Response packet i of n, with the content that f->data has there. */
void fixture_respond(struct fixture *f, uint32_t psn, unsigned i, unsigned n);

/* A turn of the queue pair at this time, ns. */
void fixture_turn(struct fixture *f, uint64_t at);

#endif
