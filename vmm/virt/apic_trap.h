/* SPDX-License-Identifier: MIT */
/*
 * The guest's local APIC is the machine's. Only its interrupt command register is watched: an INIT
 * or SIPI must never reach a CPU that runs the VMM, and starts one of the guest's CPUs instead; an
 * NMI marks its target first (architecture section 6). xAPIC: the page is read-only in the SLAT; a
 * plain MOV to it is done here (insn.h), any other write is replayed (step.h). x2APIC: the MSR is intercepted.
 */
#ifndef ANNEX_APIC_TRAP_H
#define ANNEX_APIC_TRAP_H

#include <stdbool.h>
#include <stdint.h>
#include "virt/vcpu.h"

/* The page to keep read-only, or 0: x2APIC mode. Constant after boot. */
uint64_t apic_trap_page(void);

/* Fills the scratch page for a write at gpa (the instruction may read before it writes). */
void apic_trap_show(uint64_t gpa, uint8_t *page);

/* Does the guest's write at gpa. */
void apic_trap_write(struct vcpu *v, uint64_t gpa, uint32_t value);

/* A write of the x2APIC's command register. */
void apic_trap_write_x2(struct vcpu *v, uint64_t value);

/* The guest has written the performance counters' local vector table entry. */
void apic_trap_counters(struct vcpu *v, uint32_t value);

#endif
