/* SPDX-License-Identifier: MIT */
/*
 * The host's interrupt descriptor table, one for all CPUs. Exceptions panic; an NMI calls
 * virt_host_nmi() (virt/virt.h); every other vector is answered with EOI and IRET, so that a stray
 * interrupt or a wake-up only ends a HLT. No gate but #DF's uses an interrupt stack: after a VM exit
 * TR is still the guest's.
 */
#ifndef ANNEX_IDT_H
#define ANNEX_IDT_H

#include <stdint.h>

/* What an exception's stub leaves on the stack. */
struct idt_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* Boot CPU, once: fills the table. */
void idt_init(void);

/* Each CPU: loads it. */
void idt_load(void);

/*
 * Puts another handler at a vector: an assembler routine that ends in IRET. Boot only.
 */
void idt_set(unsigned vector, void (*handler)(void));

#endif
