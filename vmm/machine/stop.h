/* SPDX-License-Identifier: MIT */
/* The halves of a panic that the machine's own gates need; the whole is boot/panic.c. */
#ifndef ANNEX_STOP_H
#define ANNEX_STOP_H

struct idt_frame;

/* Panics with an exception's registers. */
_Noreturn void stop_with_frame(const struct idt_frame *frame);

/* In the NMI gate: another CPU has panicked, so this one halts for ever. Else returns. */
void stop_here_if_asked(void);

#endif
