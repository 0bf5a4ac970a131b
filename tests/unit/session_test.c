/* SPDX-License-Identifier: MIT */
/* A session against the simulated server with the real policy: what session.h promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "unit/fabric_world.h"

static struct world *ready_world(uint64_t seed, uint16_t mtu)
{
	struct world *w = world_new(seed, mtu);

	assert_true(world_until(w, 20 * WORLD_S, w->ready));
	return w;
}

static void lease(struct world *w, uint32_t index)
{
	assert_true(session_lease(w->session, index));
	assert_true(world_until(w, 5 * WORLD_S, w->state[index] == RPC_EXTENT_HELD));
}

static void fill(uint8_t *page, uint32_t tag, uint32_t version)
{
	for (unsigned i = 0; i < SESSION_PAGE; i += 4) {
		uint32_t v = tag * 2654435761u + version * 40503u + i;

		memcpy(page + i, &v, 4);
	}
}

static uint64_t place(const struct world *w, uint32_t tag)
{
	return w->address[0] + (uint64_t)(tag % 256) * SESSION_PAGE;
}

static bool write_page(struct world *w, uint32_t tag, uint32_t version)
{
	uint8_t page[SESSION_PAGE];

	fill(page, tag, version);
	return session_write(w->session, place(w, tag), w->rkey[0], page, tag, w->now);
}

static bool read_page(struct world *w, uint32_t tag)
{
	memset(w->page[tag], 0xee, SESSION_PAGE);
	return session_read(w->session, place(w, tag), w->rkey[0], w->page[tag], tag, w->now);
}

static bool right(const struct world *w, uint32_t tag, uint32_t version)
{
	uint8_t page[SESSION_PAGE];

	fill(page, tag, version);
	return memcmp(page, w->page[tag], SESSION_PAGE) == 0;
}

/* Writes and reads all 256 pages, as many at once as the session takes. */
static void exchange(struct world *w, uint32_t version)
{
	unsigned before = w->writes_done;

	for (uint32_t tag = 0; tag < 256;)
		if (session_writes_free(w->session) == 0)
			world_step(w);
		else
			assert_true(write_page(w, tag++, version));
	assert_true(world_until(w, 60 * WORLD_S, w->writes_done == before + 256));
	before = w->reads_done;
	for (uint32_t tag = 0; tag < 256;)
		if (session_reads_free(w->session) == 0)
			world_step(w);
		else
			assert_true(read_page(w, tag++));
	assert_true(world_until(w, 60 * WORLD_S, w->reads_done == before + 256));
	for (uint32_t tag = 0; tag < 256; tag++)
		assert_true(right(w, tag, version));
}

static void connects_and_moves_pages(void **state)
{
	static const uint16_t mtus[] = {1500, 4191, 9000};

	for (unsigned i = 0; i < 3; i++) {
		struct world *w = ready_world(i, mtus[i]);
		struct session_info info;

		session_info(w->session, &info);
		assert_int_equal(info.mtu, 1024u << i);
		assert_true(session_reads_free(w->session) >= 8);
		assert_true(session_writes_free(w->session) >= 16);
		lease(w, 0);
		exchange(w, 1);
		assert_int_equal(w->done[SESSION_OK], 512);
		assert_int_equal(fabric_counters(w->fabric)->retransmissions, 0);
		assert_int_equal(fabric_counters(w->fabric)->icrc_errors, 0);
		world_free(w);
	}
}

static void survives_a_bad_network(void **state)
{
	struct network_faults bad = {.loss_out = 30000,
		.loss_in = 30000,
		.duplicate = 30000,
		.reorder = 20000,
		.corrupt = 20000,
		.delay_min = 20000,
		.delay_max = 200000};

	for (uint64_t seed = 0; seed < 12; seed++) {
		struct world *w = ready_world(seed, seed % 2 ? 9000 : 1500);

		lease(w, 0);
		network_set_faults(w->network, &bad);
		for (uint32_t version = 1; version < 5; version++)
			exchange(w, version);
		assert_int_equal(w->done[SESSION_OK], 4 * 512);
		assert_int_equal(w->losts, 0);
		assert_true(fabric_counters(w->fabric)->retransmissions > 0);
		assert_true(fabric_counters(w->fabric)->icrc_errors > 0);
		assert_true(fabric_counters(w->fabric)->duplicates > 0);
		world_free(w);
	}
}

static void connects_through_loss(void **state)
{
	struct network_faults bad = {.loss_out = 300000,
		.loss_in = 300000,
		.duplicate = 100000,
		.delay_min = 20000,
		.delay_max = 200000};

	for (uint64_t seed = 0; seed < 20; seed++) {
		struct world *w = world_new(seed, 9000);

		network_set_faults(w->network, &bad);
		assert_true(world_until(w, 300 * WORLD_S, w->ready));
		assert_int_equal(w->endeds, 0);
		world_free(w);
	}
}

static void server_restart_keeps_pages(void **state)
{
	struct world *w = ready_world(1, 9000);
	unsigned outstanding;

	lease(w, 0);
	exchange(w, 1);
	for (uint32_t tag = 0; tag < 8; tag++)
		assert_true(read_page(w, tag));
	for (uint32_t tag = 8; tag < 16; tag++)
		assert_true(write_page(w, tag, 1));
	outstanding = w->reads_done + w->writes_done + 16;
	responder_kill(w->server, false);
	assert_true(world_until(w, 1 * WORLD_S, !w->ready));
	assert_int_equal(w->reads_done + w->writes_done, outstanding);
	assert_int_equal(session_reads_free(w->session), 0);
	assert_false(read_page(w, 0));
	w->state[0] = 0;
	world_run(w, 5 * WORLD_S);
	assert_true(responder_start(w->server));
	assert_true(world_until(w, 5 * WORLD_S, w->ready));
	assert_int_equal(w->state[0], RPC_EXTENT_HELD);
	for (uint32_t tag = 0; tag < 8; tag++)
		assert_true(read_page(w, tag));
	assert_true(world_until(w, WORLD_S, w->reads_done + w->writes_done == outstanding + 8));
	for (uint32_t tag = 0; tag < 8; tag++)
		assert_true(right(w, tag, 1));
	world_free(w);
}

static void silent_death_is_noticed_in_time(void **state)
{
	struct world *w = ready_world(2, 9000);
	uint64_t since = w->now;

	responder_kill(w->server, true);
	assert_true(world_until(w, 20 * WORLD_S, !w->ready));
	/* keep-alive after 1 s, then 10 s without an acknowledgement */
	assert_true(w->now - since >= 10 * WORLD_S && w->now - since < 13 * WORLD_S);
	world_free(w);
}

static void rebooted_host_names_its_extents_lost(void **state)
{
	struct world *w = ready_world(3, 9000);

	lease(w, 0);
	lease(w, 1);
	exchange(w, 1);
	responder_reboot(w->server);
	assert_true(world_until(w, 20 * WORLD_S, !w->ready));
	world_run(w, 10 * WORLD_S);
	assert_true(responder_start(w->server));
	assert_true(world_until(w, 20 * WORLD_S, w->ready));
	assert_int_equal(w->state[0], RPC_EXTENT_LOST);
	assert_int_equal(w->state[1], RPC_EXTENT_LOST);
	world_free(w);
}

/* The store forgot the lease that it had answered: after the reboot nobody may claim to hold it. */
static void lying_disk_is_never_taken_for_content(void **state)
{
	struct world *w = ready_world(4, 9000);

	responder_unsync(w->server, true);
	lease(w, 0);
	exchange(w, 1);
	w->state[0] = 0;
	responder_reboot(w->server);
	assert_true(responder_start(w->server));
	assert_true(world_until(w, 40 * WORLD_S, w->readies == 2 || w->endeds != 0));
	assert_int_not_equal(w->state[0], RPC_EXTENT_HELD);
	world_free(w);
}

static void newer_session_ends_the_older(void **state)
{
	struct world *w = ready_world(5, 9000);
	uint64_t number = 1 + 5;

	lease(w, 0);
	/* The VMM boots again: same tenant, another number, nothing remembered. */
	world_open(w, number + 1);
	w->ready = false;
	w->state[0] = 0;
	assert_true(world_until(w, 60 * WORLD_S, w->ready));
	assert_int_equal(w->state[0], 0);
	assert_int_equal(responder_queue_pairs(w->server), 1);
	/* And the older one, should it still run, is refused for good. */
	world_open(w, number);
	w->ready = false;
	w->endeds = 0;
	assert_true(world_until(w, 60 * WORLD_S, w->endeds != 0));
	assert_int_equal(w->code, RPC_ERROR_ENDED);
	world_free(w);
}

static void lost_queue_pair_is_fenced_before_ready(void **state)
{
	struct network_faults cut = {.cut_out = true, .delay_min = 20000, .delay_max = 50000};
	struct network_faults good = {.delay_min = 20000, .delay_max = 50000};
	struct world *w = ready_world(6, 9000);

	lease(w, 0);
	network_set_faults(w->network, &cut);
	assert_true(write_page(w, 0, 1));
	assert_true(world_until(w, 20 * WORLD_S, !w->ready));
	assert_int_equal(w->done[SESSION_LOST], 1);
	assert_int_equal(responder_queue_pairs(w->server), 1); /* a responder never times out */
	network_set_faults(w->network, &good);
	assert_true(world_until(w, 20 * WORLD_S, w->ready));
	assert_int_equal(responder_queue_pairs(w->server), 1);
	assert_int_equal(responder_counters(w->server)->fenced, 1);
	world_free(w);
}

static void large_frames_lost_step_the_mtu_down(void **state)
{
	struct network_faults small = {.large = 1514, .delay_min = 20000, .delay_max = 50000};
	struct world *w = world_new(7, 9000);
	struct session_info info;

	network_set_faults(w->network, &small);
	assert_true(world_until(w, 60 * WORLD_S, w->ready));
	session_info(w->session, &info);
	assert_int_equal(info.mtu, 1024);
	lease(w, 0);
	exchange(w, 1);
	world_free(w);
}

/* Extents named by an attempt that never became ready are not held: the engine is told. */
static void failed_attempt_takes_back_what_it_named(void **state)
{
	struct network_faults small = {.large = 1514, .delay_min = 20000, .delay_max = 50000};
	struct world *w = ready_world(17, 9000);
	unsigned extents;

	lease(w, 0);
	network_set_faults(w->network, &small);
	session_reconnect(w->session, w->now);
	assert_true(world_until(w, WORLD_S, w->losts == 1));
	extents = w->extents;
	assert_true(world_until(w, 5 * WORLD_S, w->extents == extents + 1));
	assert_int_equal(w->losts, 1);
	assert_true(world_until(w, 5 * WORLD_S, w->losts == 2));
	assert_int_equal(w->extents, extents + 1);
	assert_int_equal(w->readies, 1);
	world_free(w);
}

static void wrong_rkey_breaks_one_and_loses_the_rest(void **state)
{
	struct world *w = ready_world(8, 9000);

	lease(w, 0);
	assert_true(write_page(w, 1, 1));
	assert_true(
		session_read(w->session, w->address[0], w->rkey[0] ^ 0xff, w->page[0], 0, w->now));
	assert_true(write_page(w, 2, 1));
	assert_true(world_until(w, WORLD_S, !w->ready));
	assert_int_equal(w->done[SESSION_OK], 1);
	assert_int_equal(w->done[SESSION_BROKEN], 1);
	assert_int_equal(w->done[SESSION_LOST], 1);
	assert_true(world_until(w, 5 * WORLD_S, w->ready));
	world_free(w);
}

static void abandoned_read_places_nothing(void **state)
{
	struct world *w = ready_world(9, 1500);
	uint8_t before[SESSION_PAGE];

	lease(w, 0);
	exchange(w, 1);
	memset(before, 0xee, sizeof(before));
	assert_true(read_page(w, 0));
	assert_true(read_page(w, 1));
	session_abandon(w->session, 0);
	assert_true(world_until(w, WORLD_S, w->reads_done == 256 + 1));
	world_run(w, WORLD_S);
	assert_int_equal(w->reads_done, 256 + 1);
	assert_memory_equal(w->page[0], before, SESSION_PAGE);
	assert_true(right(w, 1, 1));
	assert_int_equal(fabric_counters(w->fabric)->discarded, 4);
	world_free(w);
}

static void lease_is_asked_again_after_a_reconnect(void **state)
{
	struct world *w = ready_world(10, 9000);

	assert_true(session_lease(w->session, 3));
	assert_true(session_lease(w->session, 3));
	responder_kill(w->server, false);
	assert_true(world_until(w, WORLD_S, !w->ready));
	assert_true(session_lease(w->session, 4));
	assert_true(responder_start(w->server));
	assert_true(world_until(
		w, 10 * WORLD_S, w->state[3] == RPC_EXTENT_HELD && w->state[4] == RPC_EXTENT_HELD));
	assert_true(session_release(w->session, 3));
	assert_true(world_until(w, WORLD_S, w->releases == 1));
	assert_true(responder_peek(w->server, WORLD_TENANT, 3, 0) == NULL);
	assert_true(responder_peek(w->server, WORLD_TENANT, 4, 0) != NULL);
	assert_int_equal(responder_stranger(w->server), 16 - WORLD_EXTENTS);
	world_free(w);
}

/* With several servers each has every n-th extent: indices go beyond what one has promised. */
static void indices_count_the_far_window(void **state)
{
	struct world *w = ready_world(16, 9000);

	for (uint32_t index = 3; index < WORLD_INDICES; index += 4)
		lease(w, index);
	memset(w->state, 0, sizeof(w->state));
	session_reconnect(w->session, w->now);
	assert_true(world_until(w, WORLD_S, !w->ready));
	assert_true(world_until(w, 5 * WORLD_S, w->ready));
	for (uint32_t index = 0; index < WORLD_INDICES; index++)
		assert_int_equal(w->state[index], index % 4 == 3 ? RPC_EXTENT_HELD : 0);
	assert_true(session_lease(w->session, 0)); /* one more than promised */
	assert_true(world_until(w, WORLD_S, w->lease_refusals == 1));
	assert_int_equal(w->lease_code, RPC_ERROR_EXTENT);
	assert_true(w->ready);
	world_free(w);
}

static void refusals_end_with_the_servers_words(void **state)
{
	struct world *w = world_new(11, 9000);
	struct responder_config config = {.network = w->network,
		.address = 0x0a000003,
		.port = RPC_PORT,
		.slots = WORLD_EXTENTS - 1,
		.reads = 16,
		.slot_size = WORLD_SLOT};
	struct responder *small = responder_new(&config);
	struct session_config session = {.name = "small",
		.address = 0x0a000003,
		.port = RPC_PORT,
		.tenant = WORLD_TENANT,
		.number = 5,
		.extents = WORLD_EXTENTS};
	struct fabric_config fabric = {.nic = network_nic(w->network),
		.address = 0x0a000001,
		.prefix = 24,
		.mtu = 9000,
		.random = {4},
		.now = w->now,
		.memory = w->memory,
		.sessions = 1};
	struct session_info info;
	const char *reason;

	w->fabric = fabric_start(&fabric, &reason);
	w->session = session_open(w->fabric, &session);
	session_listen(w->session, &world_events, w);
	assert_true(world_until(w, 10 * WORLD_S, w->endeds == 1));
	assert_int_equal(w->code, RPC_ERROR_POOL);
	session_info(w->session, &info);
	assert_int_equal(info.state, SESSION_ENDED);
	assert_int_equal(info.reached, SESSION_ATTACHING);
	assert_non_null(strstr(info.text, "128 MiB wanted, 112 MiB"));
	assert_false(session_lease(w->session, 0));
	responder_free(small);
	world_free(w);
}

static void nobody_listening_is_tried_again(void **state)
{
	struct world *w = world_new(12, 9000);
	struct session_info info;

	responder_kill(w->server, true);
	world_run(w, 10 * WORLD_S);
	session_info(w->session, &info);
	assert_string_equal(info.text, "nobody listens on that port");
	assert_in_range(fabric_counters(w->fabric)->connects, 4, 12);
	assert_true(responder_start(w->server));
	assert_true(world_until(w, 5 * WORLD_S, w->ready));
	world_free(w);
}

static void stopped_machine_goes_on(void **state)
{
	struct world *w = ready_world(13, 9000);

	lease(w, 0);
	assert_true(write_page(w, 0, 1));
	w->now += 60 * WORLD_S; /* longer than any deadline */
	network_advance(w->network, w->now);
	assert_true(world_until(w, WORLD_S, w->writes_done == 1));
	assert_int_equal(w->done[SESSION_OK], 1);
	assert_int_equal(w->losts, 0);
	assert_true(fabric_counters(w->fabric)->clock_gaps >= 1);
	world_free(w);
}

static void idle_session_lives_on(void **state)
{
	struct world *w = ready_world(14, 9000);

	world_run(w, 600 * WORLD_S);
	assert_true(w->ready);
	assert_int_equal(w->losts, 0);
	assert_int_equal(fabric_counters(w->fabric)->clock_gaps, 0);
	assert_true(responder_counters(w->server)->sends > 500);
	assert_true(fabric_counters(w->fabric)->arp_requests > 10);
	world_free(w);
}

static void asked_reconnect_completes_everything(void **state)
{
	struct world *w = ready_world(15, 9000);

	lease(w, 0);
	assert_true(write_page(w, 0, 1));
	session_reconnect(w->session, w->now);
	assert_int_equal(w->writes_done, 0); /* never from within */
	assert_true(world_until(w, WORLD_S, w->losts == 1));
	assert_int_equal(w->writes_done, 1);
	assert_true(world_until(w, 5 * WORLD_S, w->ready));
	world_free(w);
}

/*
 * Packets that outlive their queue pair by seconds, in both directions; the server learns of our giving
 * up only by the next ATTACH.
 */
static void late_packets_of_old_queue_pairs_do_nothing(void **state)
{
	struct network_faults late = {
		.late = 100000, .late_max = 3 * WORLD_S, .delay_min = 20000, .delay_max = 100000};
	struct network_faults cut = {.cut_out = true, .delay_min = 20000, .delay_max = 50000};
	struct network_faults good = {.delay_min = 20000, .delay_max = 50000};
	uint8_t untouched[SESSION_PAGE];

	memset(untouched, 0xdd, sizeof(untouched));
	for (uint64_t seed = 0; seed < 12; seed++) {
		struct world *w = ready_world(seed, 1500);

		lease(w, 0);
		for (uint32_t version = 1; version < 4; version++) {
			network_set_faults(w->network, &late);
			for (uint32_t tag = 0; tag < 16; tag++) {
				write_page(w, tag, 1000 + version);
				read_page(w, 300 + tag);
			}
			network_set_faults(w->network, &cut);
			session_reconnect(w->session, w->now);
			assert_true(world_until(w, WORLD_S, !w->ready));
			memset(w->page + 300, 0xdd, 16 * SESSION_PAGE);
			network_set_faults(w->network, &good);
			assert_true(world_until(w, 60 * WORLD_S, w->ready));
			exchange(w, version);
			world_run(w, 4 * WORLD_S);
			for (uint32_t tag = 0; tag < 16; tag++) {
				uint64_t offset = tag * SESSION_PAGE;

				assert_memory_equal(
					responder_peek(w->server, WORLD_TENANT, 0, offset),
					w->page[tag], SESSION_PAGE);
			}
			for (uint32_t tag = 300; tag < 316; tag++)
				assert_memory_equal(w->page[tag], untouched, SESSION_PAGE);
		}
		assert_true(network_counters(w->network)->late > 0);
		assert_true(responder_counters(w->server)->fenced >= 3);
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connects_and_moves_pages),
		cmocka_unit_test(survives_a_bad_network),
		cmocka_unit_test(connects_through_loss),
		cmocka_unit_test(server_restart_keeps_pages),
		cmocka_unit_test(silent_death_is_noticed_in_time),
		cmocka_unit_test(rebooted_host_names_its_extents_lost),
		cmocka_unit_test(lying_disk_is_never_taken_for_content),
		cmocka_unit_test(newer_session_ends_the_older),
		cmocka_unit_test(lost_queue_pair_is_fenced_before_ready),
		cmocka_unit_test(large_frames_lost_step_the_mtu_down),
		cmocka_unit_test(failed_attempt_takes_back_what_it_named),
		cmocka_unit_test(wrong_rkey_breaks_one_and_loses_the_rest),
		cmocka_unit_test(abandoned_read_places_nothing),
		cmocka_unit_test(lease_is_asked_again_after_a_reconnect),
		cmocka_unit_test(indices_count_the_far_window),
		cmocka_unit_test(refusals_end_with_the_servers_words),
		cmocka_unit_test(nobody_listening_is_tried_again),
		cmocka_unit_test(stopped_machine_goes_on),
		cmocka_unit_test(idle_session_lives_on),
		cmocka_unit_test(asked_reconnect_completes_everything),
		cmocka_unit_test(late_packets_of_old_queue_pairs_do_nothing),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
