/* SPDX-License-Identifier: MIT */
/* Commands to CPUs that are not the guest's, and INIT and SIPI among the guest's own. */
#include "itest.h"

#define VECTOR_NOWHERE 0x09u

static bool is_mine(uint32_t id)
{
	for (unsigned i = 0; i < machine.cpus; i++)
		if (machine.apic_id[i] == id)
			return true;
	return false;
}

/* The service core lives as long as an evicted page comes back right. */
static void lives(uint64_t page, const char *what)
{
	bool good = true;

	for (unsigned i = 0; i < 3; i++) {
		put64(page, get64(page) + 1);
		far_push_out();
		good = get64(page) == i + 1 && good;
	}
	put64(page, 0);
	ok(good, "far memory works after %s", what);
}

static void to_strangers(uint64_t page)
{
	static const struct {
		uint32_t command;
		const char *name;
	} commands[] = {{ICR_INIT | ICR_ASSERT, "INIT to CPUs that are not the guest's"},
		{ICR_SIPI | ICR_ASSERT | VECTOR_NOWHERE, "SIPI to CPUs that are not the guest's"},
		{ICR_NMI | ICR_ASSERT, "NMI to CPUs that are not the guest's"},
		{0x200 | ICR_ASSERT, "SMI to CPUs that are not the guest's"},
		{0x8500, "INIT level de-assert to CPUs that are not the guest's"},
		{ICR_FIXED | ICR_ASSERT | 0x40, "an interrupt to CPUs that are not the guest's"}};

	for (unsigned c = 0; c < sizeof(commands) / sizeof(commands[0]); c++) {
		for (uint32_t id = 0; id < 20; id++)
			if (!is_mine(id))
				apic_send(id, commands[c].command);
		lives(page, commands[c].name);
	}
}

static void broadcasts(uint64_t page)
{
	uint32_t ipis = smp_ipis[1];

	apic_send(0, ICR_FIXED | ICR_ASSERT | ICR_OTHERS | VECTOR_IPI);
	for (unsigned i = 0; i < 50000 && machine.cpus > 1 && smp_ipis[1] == ipis; i++)
		apic_wait_us(10);
	lives(page, "an interrupt to all others");
	if (machine.cpus > 1)
		same(smp_ipis[1], ipis + 1, "which has reached the guest's other CPU");
	apic_send(0, 0x200 | ICR_ASSERT | ICR_OTHERS);
	lives(page, "SMI to all others");
	apic_send(0, ICR_INIT | ICR_ASSERT | ICR_OTHERS);
	apic_wait_us(2000);
	lives(page, "INIT to all others");
	apic_send(0, ICR_SIPI | ICR_ASSERT | ICR_OTHERS | 0x08);
	apic_wait_us(2000);
	lives(page, "SIPI to all others");
}

static volatile bool turns;

static void turn_round(void *argument)
{
	volatile uint64_t *count = argument;

	while (turns)
		(*count)++;
}

static void among_its_own(void)
{
	static uint64_t count;
	uint64_t seen_count;
	uint32_t alive;

	if (machine.cpus == 1) {
		skip("INIT and SIPI among the guest's CPUs", "one guest CPU");
		return;
	}
	ok(smp_start_one(1), "a CPU that got INIT and SIPI starts again");
	turns = true;
	smp_run(1, turn_round, &count);
	alive = smp_alive[1];
	apic_send(machine.apic_id[1], ICR_SIPI | ICR_ASSERT | VECTOR_NOWHERE);
	apic_wait_us(1000);
	seen_count = *(volatile uint64_t *)&count;
	for (unsigned i = 0; i < 50000 && *(volatile uint64_t *)&count == seen_count; i++)
		apic_wait_us(10);
	ok(*(volatile uint64_t *)&count != seen_count, "a running CPU does not hear SIPI");
	apic_send(machine.apic_id[1], ICR_INIT | ICR_ASSERT);
	apic_wait_us(2000);
	seen_count = *(volatile uint64_t *)&count;
	apic_wait_us(2000);
	same(*(volatile uint64_t *)&count, seen_count, "INIT stops a CPU that computes");
	turns = false;
	for (unsigned i = 0; i < 5; i++)
		ok(smp_start_one(1), "and it starts again (%u)", i + 1);
	same(smp_alive[1], alive + 5, "each time once");
}

void test_icr(void)
{
	uint64_t page = far_take(1);

	say("APIC commands");
	if (machine_option("unwatched", 0)) {
		skip("INIT, SIPI and SMI to the service core",
			"under emulation the APIC of a lone guest CPU is not watched");
		return;
	}
	to_strangers(page);
	broadcasts(page);
	among_its_own();
}
