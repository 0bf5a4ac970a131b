/* SPDX-License-Identifier: MIT */
/*
 * A small machine: the address register, one register behind the data port, one other port. And a
 * service core that answers at the doorbell.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/panic.h"
#include "machine/hidden.h"
#include "machine/x86.h"
#include "virt/ports.h"
#include "virt/vendor.h"
#include "virt/virt.h"

#define HIDDEN_FUNCTION 0x80008000u /* 00:10.0 */
#define OTHER_FUNCTION  0x80008800u /* 00:11.0 */

static uint32_t address, last_value, last_address;
static unsigned accesses, last_port, last_bytes;

void panic(const char *text, ...)
{
	abort();
}

void panic_boot(const char *text, ...)
{
	abort();
}

uint32_t fake_in(uint16_t port, unsigned bytes)
{
	if (port == 0xcf8 && bytes == 4)
		return address;
	accesses++;
	last_port = port;
	last_bytes = bytes;
	last_address = address;
	return 0x12345678u >> (32 - 8 * bytes);
}

void fake_out(uint16_t port, unsigned bytes, uint32_t value)
{
	if (port == 0xcf8 && bytes == 4) {
		address = value;
		return;
	}
	accesses++;
	last_port = port;
	last_bytes = bytes;
	last_address = address;
	last_value = value;
}

struct ring virt_ring[SHOOTDOWN_CPUS];
static struct ring asked;
static unsigned rings;
static bool stops;

bool virt_ask(struct vcpu *v, _Atomic uint32_t *state)
{
	struct ring *r = &virt_ring[v->cpu];

	assert_ptr_equal(state, &r->state);
	rings++;
	asked = *r;
	if (stops)
		return false;
	r->result = DOORBELL_BUSY;
	for (unsigned i = 0; i < DOORBELL_WORDS; i++)
		r->word[i] = ~r->word[i];
	return true;
}

static int fresh(void **state)
{
	if (!hidden_count()) {
		hidden_add(HIDDEN_PORTS, 0x510, 0x51b, "fw_cfg");
		hidden_add(HIDDEN_PCI, 0x80, 0x80, "NIC");
		hidden_add(HIDDEN_PORTS, DOORBELL_PORT, DOORBELL_PORT + 3, "doorbell");
	}
	rings = 0;
	stops = false;
	accesses = 0;
	address = 0;
	return 0;
}

/* The guest's write of the address register: intercepted, or the machine's own. */
static void set_address(unsigned cpus, uint32_t value)
{
	if (cpus > 1)
		ports_out(0xcf8, 4, value);
	else
		fake_out(0xcf8, 4, value);
}

static void hidden_ports_are_absent(void **state)
{
	ports_prepare(1);
	assert_int_equal(ports_in(0x510, 1), 0xff);
	assert_int_equal(ports_in(0x512, 2), 0xffff);
	assert_int_equal(ports_in(0x518, 4), 0xffffffff);
	assert_int_equal(ports_in(0x50f, 2), 0xffff); /* covers a hidden one */
	ports_out(0x510, 2, 5);
	assert_int_equal(accesses, 0);
	assert_int_equal(ports_in(0x51c, 1), 0x12);
	assert_int_equal(accesses, 1);
}

static void configuration(unsigned cpus)
{
	assert_int_equal(ports_prepare(cpus), cpus > 1 ? 0xcf8 : 0xcfc);
	set_address(cpus, HIDDEN_FUNCTION);
	assert_int_equal(ports_in(0xcfc, 4), 0xffffffff);
	assert_int_equal(ports_in(0xcfe, 2), 0xffff);
	assert_int_equal(ports_in(0xcff, 1), 0xff);
	ports_out(0xcfc, 4, 7);
	ports_out(0xcfd, 1, 7);
	assert_int_equal(accesses, 0);
	set_address(cpus, OTHER_FUNCTION | 0x3c);
	if (cpus > 1) {
		address = 0xdead; /* another user of the machine's register */
		assert_int_equal(ports_in(0xcf8, 4), OTHER_FUNCTION | 0x3c);
	}
	assert_int_equal(ports_in(0xcfe, 2), 0x1234);
	assert_int_equal(last_port, 0xcfe);
	assert_int_equal(last_bytes, 2);
	assert_int_equal(last_address, OTHER_FUNCTION | 0x3c);
	ports_out(0xcfd, 1, 0x99);
	assert_int_equal(last_port, 0xcfd);
	assert_int_equal(last_value, 0x99);
	assert_int_equal(accesses, 2);
	/* not enabled: nobody's function */
	set_address(cpus, HIDDEN_FUNCTION & 0x7fffffff);
	ports_in(0xcfc, 4);
	assert_int_equal(accesses, 3);
	/* 0xcf9 is the reset control, not a part of the address */
	ports_out(0xcf9, 1, 6);
	assert_int_equal(last_port, 0xcf9);
	assert_int_equal(accesses, 4);
}

/* A part of the data register together with what lies beside it, whatever the address names. */
static void edges_are_absent(void **state)
{
	for (unsigned cpus = 1; cpus <= 2; cpus++) {
		ports_prepare(cpus);
		set_address(cpus, cpus == 1 ? HIDDEN_FUNCTION : OTHER_FUNCTION);
		for (unsigned port = 0xcf9; port <= 0xcfb; port++) {
			assert_int_equal(ports_in(port, 4), 0xffffffff);
			ports_out(port, 4, 7);
		}
		for (unsigned port = 0xcfd; port <= 0xcff; port++) {
			assert_int_equal(ports_in(port, 4), 0xffffffff);
			ports_out(port, 4, 7);
		}
		assert_int_equal(ports_in(0xcfb, 2), 0xffff);
		assert_int_equal(ports_in(0xcff, 2), 0xffff);
		assert_int_equal(accesses, 0);
	}
	/* Beside it the machine answers. */
	assert_int_equal(ports_in(0xcfa, 2), 0x1234);
	assert_int_equal(ports_in(0xd00, 4), 0x12345678);
	assert_int_equal(accesses, 2);
}

static void configuration_one_cpu(void **state)
{
	configuration(1);
}

static void configuration_two_cpus(void **state)
{
	configuration(2);
}

/* Every register has its number in it; RAX the magic, under bits that IN EAX does not look at. */
static struct vcpu at_the_doorbell(void)
{
	struct vcpu v = {.cpu = 1};

	for (unsigned i = 0; i < 16; i++)
		v.gpr[i] = 0x1111111100000000ull + i;
	v.gpr[GPR_RAX] = 0xabcdabcd00000000ull | DOORBELL_MAGIC;
	return v;
}

static void the_doorbell_rings(void **state)
{
	static const unsigned words[] = {GPR_RSI, GPR_RDI, 8, 9, 10, 11, 12, 13, 14, 15};
	struct vcpu v = at_the_doorbell(), before = v;

	ports_access(&v, DOORBELL_PORT, 4, true);
	assert_int_equal(rings, 1);
	assert_int_equal(asked.request, before.gpr[GPR_RBX]);
	assert_int_equal(asked.session, before.gpr[GPR_RCX]);
	for (unsigned i = 0; i < DOORBELL_WORDS; i++) {
		assert_int_equal(asked.word[i], before.gpr[words[i]]);
		assert_int_equal(v.gpr[words[i]], ~before.gpr[words[i]]);
	}
	/* The upper half of RAX goes, as with any IN EAX; the others stay. */
	assert_int_equal(v.gpr[GPR_RAX], DOORBELL_BUSY);
	assert_int_equal(v.gpr[GPR_RBX], before.gpr[GPR_RBX]);
	assert_int_equal(v.gpr[GPR_RCX], before.gpr[GPR_RCX]);
	assert_int_equal(v.gpr[GPR_RDX], before.gpr[GPR_RDX]);
	assert_int_equal(v.gpr[GPR_RSP], before.gpr[GPR_RSP]);
	assert_int_equal(v.gpr[GPR_RBP], before.gpr[GPR_RBP]);
	assert_int_equal(accesses, 0);
}

/* Reads as ones, and everything but RAX is as it was. */
static void assert_silent(uint64_t rax, uint16_t port, unsigned bytes, bool in, uint64_t want)
{
	struct vcpu v = at_the_doorbell(), before;

	v.gpr[GPR_RAX] = rax;
	before = v;
	ports_access(&v, port, bytes, in);
	assert_int_equal(v.gpr[GPR_RAX], want);
	v.gpr[GPR_RAX] = rax;
	assert_memory_equal(&v, &before, sizeof(v));
	assert_int_equal(rings, 0);
	assert_int_equal(accesses, 0);
}

static void anything_else_does_not_ring(void **state)
{
	assert_silent(DOORBELL_MAGIC + 1, DOORBELL_PORT, 4, true, UINT32_MAX);
	assert_silent(DOORBELL_MAGIC, DOORBELL_PORT, 2, true, DOORBELL_MAGIC | 0xffff);
	assert_silent(DOORBELL_MAGIC, DOORBELL_PORT, 1, true, DOORBELL_MAGIC | 0xff);
	assert_silent(DOORBELL_MAGIC, DOORBELL_PORT, 4, false, DOORBELL_MAGIC);
	assert_silent(DOORBELL_MAGIC, DOORBELL_PORT, 1, false, DOORBELL_MAGIC);
	assert_silent(DOORBELL_MAGIC, DOORBELL_PORT - 1, 4, true, UINT32_MAX);
	assert_silent(DOORBELL_MAGIC, DOORBELL_PORT + 1, 4, true, UINT32_MAX);
}

/* A VMM that stops does not answer: the vCPU is not to read what the service core may be writing. */
static void no_answer_from_a_vmm_that_stops(void **state)
{
	struct vcpu v = at_the_doorbell(), before = v;

	stops = true;
	ports_access(&v, DOORBELL_PORT, 4, true);
	assert_int_equal(rings, 1);
	assert_int_equal(v.gpr[GPR_RAX], UINT32_MAX);
	assert_int_equal(v.gpr[GPR_RSI], before.gpr[GPR_RSI]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(hidden_ports_are_absent, fresh),
		cmocka_unit_test_setup(configuration_one_cpu, fresh),
		cmocka_unit_test_setup(configuration_two_cpus, fresh),
		cmocka_unit_test_setup(edges_are_absent, fresh),
		cmocka_unit_test_setup(the_doorbell_rings, fresh),
		cmocka_unit_test_setup(anything_else_does_not_ring, fresh),
		cmocka_unit_test_setup(no_answer_from_a_vmm_that_stops, fresh),
	};

	return cmocka_run_group_tests_name("ports", tests, NULL, NULL);
}
