/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "slat/shootdown.h"

static struct shootdown s;
static unsigned kicks[SHOOTDOWN_CPUS];

static void count_kick(void *context, unsigned cpu)
{
	assert_ptr_equal(context, kicks);
	kicks[cpu]++;
}

static int fresh(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SHOOTDOWN_CPUS; i++)
		kicks[i] = 0;
	shootdown_init(&s, 2, count_kick, kicks);
	return 0;
}

static void enter(unsigned cpu, bool flush)
{
	uint64_t epoch;

	assert_int_equal(shootdown_enter(&s, cpu, &epoch), flush);
	if (flush)
		shootdown_flushed(&s, cpu, epoch);
}

static void first_entry_flushes(void **state)
{
	(void)state;
	enter(0, true);
	shootdown_leave(&s, 0);
	enter(0, false);
}

static void only_who_is_inside_and_behind_is_kicked(void **state)
{
	uint64_t epoch;

	(void)state;
	enter(0, true);
	epoch = shootdown_raise(&s, 0);
	assert_int_equal(kicks[0], 1);
	assert_int_equal(kicks[1], 0);
	assert_int_equal(s.kicks, 1);
	assert_false(shootdown_settled(&s, epoch));
	shootdown_leave(&s, 0);
	assert_true(shootdown_settled(&s, epoch));
	enter(0, true);
	assert_true(shootdown_settled(&s, epoch));
}

static void inside_without_flush_is_not_settled(void **state)
{
	uint64_t epoch, read;

	(void)state;
	epoch = shootdown_raise(&s, 0);
	assert_true(shootdown_enter(&s, 1, &read));
	assert_int_equal(read, epoch);
	assert_false(shootdown_settled(&s, epoch));
	shootdown_flushed(&s, 1, read);
	assert_true(shootdown_settled(&s, epoch));
}

static void flush_counts_for_the_epoch_read_before_it(void **state)
{
	uint64_t read, later;

	(void)state;
	assert_true(shootdown_enter(&s, 0, &read));
	later = shootdown_raise(&s, 0);
	shootdown_flushed(&s, 0, read);
	assert_false(shootdown_settled(&s, later));
	shootdown_leave(&s, 0);
	enter(0, true);
	shootdown_flushed(&s, 0, read); /* an old value never lowers it */
	assert_true(shootdown_settled(&s, later));
}

static void kicks_repeat_after_a_millisecond(void **state)
{
	(void)state;
	enter(0, true);
	shootdown_raise(&s, 5000);
	shootdown_turn(&s, 1004999);
	assert_int_equal(kicks[0], 1);
	shootdown_turn(&s, 1005000);
	assert_int_equal(kicks[0], 2);
	shootdown_leave(&s, 0);
	shootdown_turn(&s, 9000000);
	assert_int_equal(kicks[0], 2);
}

/*
 * Two threads play guest CPUs that cache the "entry"; when the batch is settled the old value is
 * poison, and a guest that still uses it from its cache has seen a missing shootdown.
 */
static uint64_t entry, settled_below, stale_uses;
static int stop, kicked[2];

static void flag_kick(void *context, unsigned cpu)
{
	(void)context;
	__atomic_store_n(&kicked[cpu], 1, __ATOMIC_SEQ_CST);
}

static void *guest(void *argument)
{
	unsigned cpu = argument != NULL;
	uint64_t cache = 0, epoch;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		__atomic_store_n(&kicked[cpu], 0, __ATOMIC_SEQ_CST);
		if (shootdown_enter(&s, cpu, &epoch)) {
			cache = 0;
			shootdown_flushed(&s, cpu, epoch);
		}
		for (int i = 0; i < 50 && !__atomic_load_n(&kicked[cpu], __ATOMIC_RELAXED); i++) {
			if (!cache)
				cache = __atomic_load_n(&entry, __ATOMIC_RELAXED);
			if (cache < __atomic_load_n(&settled_below, __ATOMIC_ACQUIRE))
				__atomic_add_fetch(&stale_uses, 1, __ATOMIC_RELAXED);
		}
		shootdown_leave(&s, cpu);
	}
	return NULL;
}

static void no_stale_use_after_settling(void **state)
{
	pthread_t thread[2];

	(void)state;
	shootdown_init(&s, 2, flag_kick, NULL);
	entry = 1;
	for (uintptr_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, guest, (void *)i), 0);
	for (uint64_t value = 2; value < 3000; value++) {
		uint64_t epoch;

		__atomic_store_n(&entry, value, __ATOMIC_RELEASE);
		epoch = shootdown_raise(&s, value);
		while (!shootdown_settled(&s, epoch))
			__builtin_ia32_pause();
		__atomic_store_n(&settled_below, value, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(stale_uses, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(first_entry_flushes, fresh),
		cmocka_unit_test_setup(only_who_is_inside_and_behind_is_kicked, fresh),
		cmocka_unit_test_setup(inside_without_flush_is_not_settled, fresh),
		cmocka_unit_test_setup(flush_counts_for_the_epoch_read_before_it, fresh),
		cmocka_unit_test_setup(kicks_repeat_after_a_millisecond, fresh),
		cmocka_unit_test(no_stale_use_after_settling),
	};

	return cmocka_run_group_tests_name("shootdown", tests, NULL, NULL);
}
