/* SPDX-License-Identifier: MIT */
/* Where the guest's commands to its APICs go, in xAPIC and x2APIC mode (SDM vol. 3A 11.6, 11.12). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "lib/log.h"
#include "machine/apic.h"
#include "machine/x86.h"
#include "virt/apic_trap.h"
#include "virt/vendor.h"
#include "virt/wakeup.h"

#define BASE   0x50000000ul
#define X2     (1u << 10)
#define CPUS   4u
#define NOBODY 0u

#define FIXED   (0u << 8)
#define NMI     (4u << 8)
#define INIT    (5u << 8)
#define SIPI    (6u << 8)
#define LOGICAL (1u << 11)
#define ASSERT  (1u << 14)
#define LEVEL   (1u << 15)
#define SELF    (1u << 18)
#define ALL     (2u << 18)
#define OTHERS  (3u << 18)

struct vcpu virt_vcpu[16];
static uint64_t base, x2_command;
static unsigned kicked, x2_written;
static bool mailbox;

uint64_t rdmsr(uint32_t msr)
{
	assert_int_equal(msr, MSR_APIC_BASE);
	return base;
}

bool apic_x2(void)
{
	return base & 1u << 10;
}

void wrmsr(uint32_t msr, uint64_t value)
{
	assert_int_equal(msr, 0x830);
	x2_command = value;
	x2_written++;
}

unsigned virt_cpus(void)
{
	return CPUS;
}

void virt_kick(unsigned cpu)
{
	/* What it is kicked for is there already. */
	assert_true(virt_vcpu[cpu].nmi_asked || virt_vcpu[cpu].init_asked || virt_vcpu[cpu].sipi);
	kicked |= 1u << cpu;
}

bool wakeup_used(void)
{
	return mailbox;
}

void log_write(enum log_level level, const char *format, ...)
{
}

static volatile uint32_t *reg(unsigned offset)
{
	return (volatile uint32_t *)(BASE + offset);
}

/* APIC ids 0, 1, 2 and 17; the last two are in other clusters of x2APIC's logical mode. */
static int fresh(void **state)
{
	static const uint32_t id[CPUS] = {0, 1, 2, 17};

	memset(virt_vcpu, 0, sizeof(virt_vcpu));
	for (unsigned i = 0; i < CPUS; i++)
		virt_vcpu[i] = (struct vcpu){.cpu = i, .apic_id = id[i], .apic_dfr = UINT32_MAX};
	memset((void *)BASE, 0, 4096);
	base = BASE | 0x900;
	mailbox = false;
	kicked = x2_written = 0;
	return 0;
}

static void write_register(unsigned cpu, unsigned offset, uint32_t value)
{
	apic_trap_write(&virt_vcpu[cpu], BASE + offset, value);
}

/* True: the APIC itself was given the command. */
static bool send(unsigned cpu, uint32_t to, uint32_t command)
{
	*reg(0x300) = 0xdead;
	*reg(0x310) = to << 24;
	write_register(cpu, 0x300, command);
	return *reg(0x300) == command;
}

static bool send_x2(unsigned cpu, uint32_t to, uint32_t command)
{
	unsigned before = x2_written;

	apic_trap_write_x2(&virt_vcpu[cpu], (uint64_t)to << 32 | command);
	if (x2_written == before)
		return false;
	assert_true(x2_command == ((uint64_t)to << 32 | command));
	return true;
}

/* Who has an NMI to get now. */
static unsigned with_nmi(void)
{
	unsigned set = 0;

	for (unsigned i = 0; i < CPUS; i++) {
		set |= (virt_vcpu[i].nmi_asked || virt_vcpu[i].nmi_pending) << i;
		virt_vcpu[i].nmi_asked = virt_vcpu[i].nmi_pending = 0;
	}
	return set;
}

static void ordinary_commands_pass(void **state)
{
	assert_true(send(0, 1, FIXED | 0x41));
	assert_true(send(0, 0xff, FIXED | OTHERS | 0xf8));
	base |= X2;
	assert_true(send_x2(0, 17, FIXED | 0x41));
	assert_int_equal(kicked, 0);
}

static void nmis_mark_and_kick(void **state)
{
	assert_false(send(0, 1, NMI));
	assert_int_equal(with_nmi(), 1u << 1);
	assert_int_equal(kicked, 1u << 1);
	assert_false(send(0, 0, NMI | OTHERS));
	assert_int_equal(with_nmi(), 0xe);
	kicked = 0;
	assert_false(send(2, 0, NMI | SELF));
	assert_int_equal(with_nmi(), 1u << 2);
	assert_int_equal(kicked, 0);
	assert_false(send(2, 0, NMI | ALL));
	assert_int_equal(with_nmi(), 0xf);
	assert_false(send(2, 0xff, NMI));
	assert_int_equal(with_nmi(), 0xf);
	assert_false(send(0, 9, NMI)); /* not the guest's */
	assert_int_equal(with_nmi(), NOBODY);
}

static void logical_destinations(void **state)
{
	for (unsigned i = 0; i < 3; i++)
		write_register(i, 0xd0, 1u << (24 + i));
	assert_false(send(0, 6, NMI | LOGICAL));
	assert_int_equal(with_nmi(), 6);
	for (unsigned i = 0; i < 3; i++) {
		write_register(i, 0xe0, 0x0fffffff);
		write_register(i, 0xd0, i < 2 ? 0x11000000u << i : 0x21000000u);
	}
	assert_false(send(0, 0x21, NMI | LOGICAL));
	assert_int_equal(with_nmi(), 4);
	base |= X2;
	assert_false(send_x2(0, 0x00006, NMI | LOGICAL));
	assert_int_equal(with_nmi(), 6);
	assert_false(send_x2(0, 0x10002, NMI | LOGICAL)); /* cluster 1, second one: id 17 */
	assert_int_equal(with_nmi(), 8);
}

static void x2_destinations(void **state)
{
	base |= X2;
	assert_int_equal(apic_trap_page(), 0);
	assert_false(send_x2(0, 17, NMI));
	assert_int_equal(with_nmi(), 8);
	assert_false(send_x2(0, 0xff, NMI)); /* an id like any other there */
	assert_int_equal(with_nmi(), NOBODY);
	assert_false(send_x2(0, UINT32_MAX, NMI));
	assert_int_equal(with_nmi(), 0xf);
	assert_false(send_x2(1, 17, INIT | LEVEL | ASSERT));
	assert_true(virt_vcpu[3].init_asked);
}

static void started_by_init_and_sipi(void **state)
{
	assert_false(send(0, 1, SIPI | 0x99)); /* it runs */
	assert_false(virt_vcpu[1].sipi);
	assert_false(send(0, 1, INIT | LEVEL)); /* de-assert */
	assert_false(virt_vcpu[1].init_asked);
	assert_false(send(0, 1, INIT | LEVEL | ASSERT));
	assert_true(virt_vcpu[1].init_asked);
	assert_int_equal(kicked, 2);
	virt_vcpu[1].waiting = 1;
	virt_vcpu[1].init_asked = 0;
	assert_false(send(0, 1, SIPI | 0x99));
	assert_int_equal(virt_vcpu[1].sipi, VCPU_SIPI | 0x99);
	assert_false(send(0, 1, INIT | LEVEL | ASSERT)); /* it waits already */
	assert_false(virt_vcpu[1].init_asked);
}

static void no_init_with_the_mailbox(void **state)
{
	mailbox = true;
	assert_false(send(0, 1, INIT | LEVEL | ASSERT));
	virt_vcpu[1].waiting = 1;
	assert_false(send(0, 1, SIPI | 0x99));
	assert_false(virt_vcpu[1].init_asked);
	assert_false(virt_vcpu[1].sipi);
	assert_int_equal(kicked, 0);
	assert_false(send(0, 1, NMI));
	assert_int_equal(with_nmi(), 2);
}

static void nothing_else_leaves_the_guest(void **state)
{
	for (unsigned mode = 2; mode < 8; mode++) {
		if (mode >= 4 && mode <= 6)
			continue;
		assert_false(send(0, 1, mode << 8));
		base |= X2;
		assert_false(send_x2(0, 1, mode << 8));
		base &= ~(uint64_t)X2;
	}
	assert_int_equal(kicked, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(ordinary_commands_pass, fresh),
		cmocka_unit_test_setup(nmis_mark_and_kick, fresh),
		cmocka_unit_test_setup(logical_destinations, fresh),
		cmocka_unit_test_setup(x2_destinations, fresh),
		cmocka_unit_test_setup(started_by_init_and_sipi, fresh),
		cmocka_unit_test_setup(no_init_with_the_mailbox, fresh),
		cmocka_unit_test_setup(nothing_else_leaves_the_guest, fresh),
	};

	if (mmap((void *)BASE, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)BASE)
		return 1;
	return cmocka_run_group_tests_name("apic_trap", tests, NULL, NULL);
}
