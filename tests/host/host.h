/* SPDX-License-Identifier: MIT */
/*
 * What the VMM's neutral rooms find on the host instead of a machine: log, panic, clock, console.
 * Log lines go to stderr when the environment has ANNEX_TEST_LOG.
 */
#ifndef ANNEX_TESTS_HOST_H
#define ANNEX_TESTS_HOST_H

#include <setjmp.h>
#include <stdbool.h>

/*
 * Runs `statement` and is true if it ended in panic(), panic_boot() or panic_guest(); the text is in
 * host_panic_text(). A panic that nobody expects aborts the program.
 */
#define host_expect_panic(statement)                                                               \
	((host_panic_arm(), setjmp(host_panic_jump)) == 0 ? ({                                     \
		statement;                                                                         \
		host_panic_disarm();                                                               \
		false;                                                                             \
	})                                                                                         \
							  : true)

enum host_panic {
	HOST_PANIC_NONE,
	HOST_PANIC, /* panic() */
	HOST_PANIC_BOOT, /* panic_boot() */
	HOST_PANIC_GUEST, /* panic_guest() */
};

extern jmp_buf host_panic_jump;
bool host_panic_arm(void); /* true */
void host_panic_disarm(void);
enum host_panic host_panic_kind(void); /* of the last one caught */
const char *host_panic_text(void);

#endif
