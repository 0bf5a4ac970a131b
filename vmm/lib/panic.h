/* SPDX-License-Identifier: MIT */
/*
 * The end of the VMM: one of our own invariants is broken, or the boot cannot go on. Never for a
 * guest's mistake, never for what came from the wire.
 */
#ifndef ANNEX_PANIC_H
#define ANNEX_PANIC_H

/* Stops every CPU and prints the report: text, registers, last exit, last 32 events. */
_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The boot stops because of what the operator configured or lacks: one line saying what to do. */
_Noreturn void panic_boot(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Far content is gone (a server lost it, or the session was ended): the guest is stopped with this
 * report; the VMM's management channel goes on answering. On the host build tests/ catches it.
 */
_Noreturn void panic_guest(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Rules R1-R8 and other invariants; always compiled in. */
#define check(condition)                                                                           \
	do {                                                                                       \
		if (__builtin_expect(!(condition), 0))                                             \
			panic("%s:%d: broken: %s", __FILE__, __LINE__, #condition);                \
	} while (0)

#endif
