/* SPDX-License-Identifier: MIT */
#include "itest.h"

void itest_main(const void *boot_params);

void itest_main(const void *boot_params)
{
	machine_init(boot_params);
	trap_init();
	pages_init();
	write_cr4(read_cr4() | 0x600); /* SSE */
	/* The 8259s, if any, stay silent. */
	out8(0x21, 0xff);
	out8(0xa1, 0xff);
	apic_init();
	say("itest: %s, %u CPUs, far window %lx of %lu MiB, %s", machine.amd ? "AMD" : "Intel",
		machine.cpus, machine.far_base, machine.far_bytes / MIB, machine.cmdline);
	smp_start();
	smp_test_start();
	test_cpuid();
	test_msr();
	test_registers();
	test_instructions();
	test_user();
	test_ports();
	test_hidden();
	test_doorbell();
	test_interrupts();
	test_nmi();
	test_events();
	test_pages();
	test_code();
	test_strings();
	test_atomic();
	test_icr();
	finish();
}
