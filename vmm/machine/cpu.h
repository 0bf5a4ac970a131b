/* SPDX-License-Identifier: MIT */
/*
 * Which CPU am I: answered by the stack, because after a VM exit GS is still the guest's. Each CPU
 * has one stack of CPU_STACK bytes, aligned to its size.
 */
#ifndef ANNEX_CPU_H
#define ANNEX_CPU_H

#include <stdbool.h>
#include <stdint.h>
#include "machine/layout.h"

#define CPU_STACK 16384u

struct cpu_stack {
	uint64_t magic; /* CPU_MAGIC: the stack has not run over */
	uint32_t number;
	uint32_t apic_id;
	uint8_t space[CPU_STACK - 16];
} __attribute__((aligned(CPU_STACK)));

#define CPU_MAGIC 0x616e6e6578637075ull

extern struct cpu_stack cpu_stacks[LAYOUT_CPUS];

/* 0 is the boot CPU, layout.cpus - 1 the one that turns the service loop (layout.h). */
static inline unsigned cpu_number(void)
{
	uint64_t sp;

	__asm__ volatile("mov %%rsp, %0" : "=r"(sp));
	return ((const struct cpu_stack *)(sp & ~(uint64_t)(CPU_STACK - 1)))->number;
}

/* Each CPU, first thing: its own GDT and TSS, the IDT, control registers. */
void cpu_init(unsigned number);

/* Boot CPU: starts all others (cpu_ap_main runs on each) and returns when all are there. */
void cpu_start_others(void (*main)(unsigned number));

#endif
