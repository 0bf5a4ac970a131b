/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "virt/kick.h"

#define KICKERS 3u
#define ROUNDS  200000u

static void one_is_on_its_way(void **state)
{
	struct kick kick = {0};

	assert_false(kick_answer(&kick, 1003, false));
	assert_true(kick_claim(&kick, 1000));
	assert_false(kick_claim(&kick, 1001));
	assert_true(kick_answer(&kick, 1003, false));
	assert_false(kick_answer(&kick, 1003, false));
	assert_true(kick_claim(&kick, 1002));
}

/* It read its clock before the other one, and comes after it. */
static void an_older_clock_sends_no_second(void **state)
{
	struct kick kick = {0};

	assert_true(kick_claim(&kick, 1000));
	assert_false(kick_claim(&kick, 999));
}

static void a_lost_one_is_repeated(void **state)
{
	struct kick kick = {0};

	assert_true(kick_claim(&kick, 1000));
	assert_false(kick_claim(&kick, 999 + KICK_REPEAT_NS));
	assert_true(kick_claim(&kick, 1000 + KICK_REPEAT_NS));
	assert_false(kick_claim(&kick, 1001 + KICK_REPEAT_NS));
	/* Both arrive; a third would be the guest's. */
	assert_true(kick_answer(&kick, 1002 + KICK_REPEAT_NS, false));
	assert_true(kick_answer(&kick, 1003 + KICK_REPEAT_NS, false));
	assert_false(kick_answer(&kick, 1004 + KICK_REPEAT_NS, false));
}

/* The model found this: a counter's NMI comes between the claim of a kick and its sending. */
static void one_answered_too_early_is_still_a_kick(void **state)
{
	struct kick kick = {0};

	assert_true(kick_claim(&kick, 1000));
	assert_true(kick_answer(&kick, 1001, true));
	assert_true(kick_answer(&kick, 1002, false));
	assert_false(kick_answer(&kick, 1003, false));
}

/* But not for ever: they had come as one, and what comes much later is the guest's. */
static void one_that_came_with_another_is_forgotten(void **state)
{
	struct kick kick = {0};

	assert_true(kick_claim(&kick, 1000));
	assert_true(kick_answer(&kick, 1001, true));
	assert_false(kick_answer(&kick, 1001 + KICK_LATE_NS, false));
}

/* A counter's NMI without a kick leaves the book alone. */
static void the_guests_own_is_no_kick(void **state)
{
	struct kick kick = {0};

	assert_false(kick_answer(&kick, 1000, true));
	assert_false(kick_answer(&kick, 1001, false));
}

static struct kick shared;
static _Atomic uint32_t on_the_way, doubled, sent, running;
static _Atomic uint64_t hour;

static void *kicker(void *argument)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t now = atomic_fetch_add(&hour, 1) + 1;

		if (!kick_claim(&shared, now))
			continue;
		if (atomic_fetch_add(&on_the_way, 1))
			atomic_store(&doubled, 1);
		atomic_fetch_add(&sent, 1);
	}
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static void several_kickers_send_one(void **state)
{
	pthread_t thread[KICKERS];
	uint32_t answered = 0;

	atomic_store(&running, KICKERS);
	for (unsigned i = 0; i < KICKERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, kicker, NULL), 0);
	while (atomic_load(&running) || atomic_load(&on_the_way)) {
		if (!atomic_load(&on_the_way))
			continue;
		atomic_fetch_sub(&on_the_way, 1);
		answered += kick_answer(&shared, atomic_load(&hour) + 1, false);
	}
	for (unsigned i = 0; i < KICKERS; i++)
		pthread_join(thread[i], NULL);
	assert_false(atomic_load(&doubled));
	assert_int_equal(answered, atomic_load(&sent));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_is_on_its_way),
		cmocka_unit_test(an_older_clock_sends_no_second),
		cmocka_unit_test(a_lost_one_is_repeated),
		cmocka_unit_test(one_answered_too_early_is_still_a_kick),
		cmocka_unit_test(one_that_came_with_another_is_forgotten),
		cmocka_unit_test(the_guests_own_is_no_kick),
		cmocka_unit_test(several_kickers_send_one),
	};

	return cmocka_run_group_tests_name("kick", tests, NULL, NULL);
}
