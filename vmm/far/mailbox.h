/* SPDX-License-Identifier: MIT */
/*
 * One cache line per vCPU: how a far fault reaches the service core. The vCPU writes content first,
 * state last, then a full fence, then looks at service_asleep; the service core answers by setting
 * MAILBOX_DONE. While POSTED the line belongs to the service core.
 */
#ifndef ANNEX_MAILBOX_H
#define ANNEX_MAILBOX_H

#include <stdint.h>

enum mailbox_state {
	MAILBOX_EMPTY, /* the vCPU's */
	MAILBOX_POSTED,
	MAILBOX_DONE, /* resume: the vCPU sets EMPTY and enters the guest again */
};

enum mailbox_access {
	MAILBOX_READ,
	MAILBOX_WRITE,
};

struct mailbox {
	_Atomic uint32_t state;
	uint32_t access;
	uint64_t gpa;
	uint64_t posted; /* clock ns */
} __attribute__((aligned(64)));

#endif
