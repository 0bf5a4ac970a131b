/* SPDX-License-Identifier: MIT */
/*
 * Mutates real frames on their way into the fabric, from a fixed seed: whatever arrives, nothing is
 * read or written out of bounds (the sanitizers watch), no page comes back wrong, and once the noise
 * ends the session is ready again. FABRIC_FUZZ_FRAMES says how many mutated frames (default 30000).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "fabric/wire.h"
#include "lib/crc.h"
#include "unit/fabric_world.h"

#define SEEDS 512u /* real frames kept */

struct seed {
	size_t length;
	uint8_t data[4400];
};

static struct seed kept[SEEDS];
static uint32_t last_number, last_psn; /* of the newest real frame */
static unsigned keeps;

/* Stands before the simulated card: keeps real frames, and slips mutated ones in. */
static struct nic front;
static struct nic *behind;
static uint8_t mutant[NIC_FRAME_MAX];
static size_t mutant_length;
static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % below;
}

static bool front_send(
	struct nic *nic, const void *head, size_t head_length, const void *body, size_t body_length)
{
	return behind->ops->send(behind, head, head_length, body, body_length);
}

static bool front_receive(struct nic *nic, struct nic_frame *frame)
{
	if (mutant_length != 0) {
		*frame = (struct nic_frame){.data = mutant, .length = mutant_length};
		return true;
	}
	if (!behind->ops->receive(behind, frame))
		return false;
	if (frame->length <= sizeof(kept[0].data)) {
		struct seed *s = &kept[keeps < SEEDS ? keeps++ : draw(SEEDS)];

		s->length = frame->length;
		memcpy(s->data, frame->data, frame->length);
	}
	if (frame->length > WIRE_EXTENSION_AT) {
		last_number = wire_get24(frame->data + 47);
		last_psn = wire_get24(frame->data + 51);
	}
	return true;
}

static void front_release(struct nic *nic, const struct nic_frame *frame)
{
	if (mutant_length != 0)
		mutant_length = 0;
	else
		behind->ops->release(behind, frame);
}

static const struct nic_ops front_ops = {
	.name = "fuzz", .send = front_send, .receive = front_receive, .release = front_release};

/* Makes lengths, checksum and ICRC right again, so that a mutation gets behind the first door. */
static void repair(uint8_t *f, size_t length)
{
	uint32_t state;

	if (length < WIRE_EXTENSION_AT + WIRE_ICRC || wire_get16(f + 12) != WIRE_TYPE_IPV4)
		return;
	f[14] = 0x45;
	wire_put16(f + 16, length - 14);
	wire_put16(f + 20, 0x4000);
	wire_put16(f + 24, 0);
	wire_put16(f + 24, wire_checksum(f + 14, 20));
	wire_put16(f + 38, length - 34);
	wire_put16(f + 40, 0);
	state = wire_icrc_head(f, WIRE_EXTENSION_AT);
	state = crc_ethernet(state, f + WIRE_EXTENSION_AT, length - WIRE_ICRC - WIRE_EXTENSION_AT);
	wire_icrc_tail(f + length - WIRE_ICRC, state, 0);
}

static void mutate(void)
{
	static const uint8_t telling[] = {0, 1, 0x1f, 0x7f, 0x80, 0xff, 0x60, 0x62, 0x20, 0x11};
	const struct seed *s = &kept[draw(keeps)];
	size_t length = s->length;

	memcpy(mutant, s->data, length);
	for (uint64_t n = draw(4); n > 0; n--) {
		/* Headers much more often than payload. */
		size_t at = draw(draw(4) == 0 ? length : length < 150 ? length : 150);

		if (draw(2) == 0)
			at = (WIRE_BTH_AT + draw(20)) % length; /* opcode to syndrome */
		if (draw(2) == 0)
			mutant[at] ^= 1u << draw(8);
		else
			mutant[at] = draw(2) == 0 ? telling[draw(10)] : draw(256);
	}
	if (draw(8) == 0)
		length = 1 + draw(length);
	else if (draw(16) == 0 && length + 64 < sizeof(mutant))
		length += draw(64);
	if (length > WIRE_EXTENSION_AT && draw(2) == 0) {
		/* For the queue pair that lives, near what it expects. */
		wire_put24(mutant + 47, last_number);
		wire_put24(mutant + 51, last_psn + draw(40) - 20);
	}
	if (draw(4) != 0)
		repair(mutant, length);
	mutant_length = length;
}

/*
 * Forged frames can acknowledge a WRITE that never arrived: the architecture's encryption and CRC32C
 * are against that, not the fabric. So a wrong page is no failure here, a wrong place would be:
 * everything around the pages is watched.
 */
static void post_some(struct world *w)
{
	for (uint32_t tag = 0; tag < 16; tag++) {
		uint64_t address = w->address[0] + tag * 2 * SESSION_PAGE;

		if (tag % 2 == 0)
			session_read(
				w->session, address, w->rkey[0], w->page[2 * tag], tag, w->now);
		else
			session_write(w->session, address, w->rkey[0], w->page[500], tag, w->now);
	}
}

static void noise_does_no_harm(void **state)
{
	static const uint8_t nothing[SESSION_PAGE];
	const char *wanted = getenv("FABRIC_FUZZ_FRAMES");
	unsigned long frames = wanted != NULL ? strtoul(wanted, NULL, 10) : 30000, n = 0;

	for (uint64_t seed = 1; n < frames; seed++) {
		struct world *w = world_new(seed, seed % 2 ? 9000 : 1500);
		struct nic *real = network_nic(w->network);

		random_state = 0x9e3779b97f4a7c15ull * seed;
		behind = real;
		front = *real;
		front.ops = &front_ops;
		w->nic = &front;
		world_open(w, 100 + seed);
		for (unsigned i = 0; i < 2000 && n < frames; i++, n++) {
			world_step(w);
			if (w->ready && w->state[0] == 0)
				session_lease(w->session, 0);
			if (w->ready && w->state[0] == RPC_EXTENT_HELD)
				post_some(w);
			if (keeps == 0)
				continue;
			mutate();
			fabric_receive(w->fabric, w->now, 64);
			fabric_turn(w->fabric, w->now);
		}
		/* Odd pages between the READs' destinations are nobody's. */
		for (unsigned page = 1; page < 33; page += 2)
			assert_memory_equal(w->page[page], nothing, SESSION_PAGE);
		if (w->endeds == 0)
			assert_true(world_until(w, 120 * WORLD_S, w->ready || w->endeds != 0));
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(noise_does_no_harm),
	};

	return cmocka_run_group_tests_name("fabric_fuzz", tests, NULL, NULL);
}
