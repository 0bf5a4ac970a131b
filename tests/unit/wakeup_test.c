/* SPDX-License-Identifier: MIT */
/* The mailbox by which the guest starts its CPUs: who takes a command, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "lib/log.h"
#include "virt/vendor.h"
#include "virt/wakeup.h"

#define ADDRESS 0x9a000ull

struct vcpu virt_vcpu[16];

static struct {
	uint32_t command;
	uint32_t apic_id;
	uint64_t address;
} mailbox __attribute__((aligned(4096)));

static const struct virt_entry start = {.rip = 1, .cr3 = 0x1000, .gdt = 0x2000, .gdt_limit = 31};
static unsigned kicked, sleeps;
static uint32_t named_while_asleep; /* APIC id that the guest names then; 0: the VMM stops */
static bool stopping;
static uint64_t address;

void log_write(enum log_level level, const char *format, ...)
{
}

unsigned virt_cpus(void)
{
	return 3;
}

bool virt_stopping(void)
{
	return stopping;
}

void virt_kick(unsigned cpu)
{
	kicked |= 1u << cpu;
}

static void name(uint32_t apic_id)
{
	mailbox.apic_id = apic_id;
	mailbox.address = address;
	mailbox.command = 1;
}

/* The service core's turns beside the sleeper. */
void virt_sleep_while(struct vcpu *v, const _Atomic uint32_t *word, uint32_t value)
{
	sleeps++;
	for (unsigned turn = 0; turn < 3 && *word == value; turn++) {
		wakeup_look();
		if (turn == 1 && named_while_asleep)
			name(named_while_asleep);
	}
	if (*word == value)
		stopping = true;
}

static int fresh(void **state)
{
	memset(virt_vcpu, 0, sizeof(virt_vcpu));
	memset(&mailbox, 0, sizeof(mailbox));
	for (unsigned i = 0; i < 3; i++)
		virt_vcpu[i] = (struct vcpu){.cpu = i, .apic_id = 10 + i, .waiting = i != 0};
	kicked = sleeps = named_while_asleep = 0;
	stopping = false;
	address = ADDRESS;
	wakeup_set(&start, &mailbox);
	return 0;
}

static void one_that_waits_begins_there(void **state)
{
	struct virt_entry entry;

	named_while_asleep = 11;
	assert_true(wakeup_wait(&virt_vcpu[1], &entry));
	assert_int_equal(sleeps, 1);
	assert_true(entry.rip == ADDRESS && entry.cr3 == 0x1000 && entry.gdt == 0x2000);
	assert_false(entry.real_mode);
	assert_int_equal(mailbox.command, 0); /* the guest waits for that */
	assert_int_equal(kicked, 0);
}

/* The entry would fail in the VMM's hands. */
static void an_address_out_of_reach_is_ignored(void **state)
{
	struct virt_entry entry;

	address = 0x1234000000000000;
	name(11);
	assert_false(wakeup_wait(&virt_vcpu[1], &entry));
	assert_int_equal(mailbox.command, 0);
	assert_int_equal(sleeps, 1);
}

static void another_ones_command_stays(void **state)
{
	struct virt_entry entry;

	named_while_asleep = 12;
	assert_false(wakeup_wait(&virt_vcpu[1], &entry));
	assert_int_equal(mailbox.command, 1);
	assert_int_equal(virt_vcpu[2].sipi, VCPU_SIPI);
	assert_true(wakeup_wait(&virt_vcpu[2], &entry));
}

/* It saw a command that is over by now. */
static void woken_for_nothing_waits_on(void **state)
{
	struct virt_entry entry;

	virt_vcpu[1].sipi = VCPU_SIPI;
	named_while_asleep = 11;
	assert_true(wakeup_wait(&virt_vcpu[1], &entry));
	assert_int_equal(sleeps, 1);
}

static void one_that_runs_begins_anew(void **state)
{
	virt_vcpu[1].waiting = 0;
	wakeup_look();
	assert_int_equal(kicked, 0);
	name(11);
	wakeup_look();
	assert_int_equal(kicked, 1u << 1);
	assert_true(virt_vcpu[1].init_asked);
	kicked = 0;
	wakeup_look(); /* once is enough */
	assert_int_equal(kicked, 0);
}

static void strange_commands_do_nothing(void **state)
{
	virt_vcpu[1].waiting = virt_vcpu[2].waiting = 0;
	name(10); /* the boot CPU */
	wakeup_look();
	name(99);
	wakeup_look();
	name(11);
	mailbox.command = 2;
	wakeup_look();
	assert_int_equal(kicked, 0);
	mailbox.command = 0x50001; /* reserved bits are not looked at */
	wakeup_look();
	assert_int_equal(kicked, 1u << 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_that_waits_begins_there, fresh),
		cmocka_unit_test_setup(an_address_out_of_reach_is_ignored, fresh),
		cmocka_unit_test_setup(another_ones_command_stays, fresh),
		cmocka_unit_test_setup(woken_for_nothing_waits_on, fresh),
		cmocka_unit_test_setup(one_that_runs_begins_anew, fresh),
		cmocka_unit_test_setup(strange_commands_do_nothing, fresh),
	};

	return cmocka_run_group_tests_name("wakeup", tests, NULL, NULL);
}
