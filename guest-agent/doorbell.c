/* SPDX-License-Identifier: MIT */
#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <unistd.h>
#include "guest-agent/doorbell.h"

/*
 * What doorbell_in loads before the IN and stores after it, by these offsets:
 * 0 rax, 8 rbx, 16 rcx, 24 rdx, 32.. the words: rsi, rdi, r8 to r15.
 */
struct registers {
	uint64_t rax, rbx, rcx, rdx;
	uint64_t words[DOORBELL_WORDS];
};

/*
 * Not inline: one IN takes all but two registers of a function. RBP keeps the address, and the stack
 * is left alone meanwhile.
 */
void doorbell_in(struct registers *r);

__asm__(".text\n"
	".globl doorbell_in\n"
	".hidden doorbell_in\n"
	".type doorbell_in, @function\n"
	"doorbell_in:\n"
	"	push %rbp\n	push %rbx\n	push %r12\n	push %r13\n	push %r14\n"
	"	push %r15\n"
	"	mov %rdi, %rbp\n"
	"	mov 0(%rbp), %rax\n	mov 8(%rbp), %rbx\n"
	"	mov 16(%rbp), %rcx\n	mov 24(%rbp), %rdx\n"
	"	mov 32(%rbp), %rsi\n	mov 40(%rbp), %rdi\n"
	"	mov 48(%rbp), %r8\n	mov 56(%rbp), %r9\n"
	"	mov 64(%rbp), %r10\n	mov 72(%rbp), %r11\n"
	"	mov 80(%rbp), %r12\n	mov 88(%rbp), %r13\n"
	"	mov 96(%rbp), %r14\n	mov 104(%rbp), %r15\n"
	"	in %dx, %eax\n"
	"	mov %rax, 0(%rbp)\n"
	"	mov %rsi, 32(%rbp)\n	mov %rdi, 40(%rbp)\n"
	"	mov %r8, 48(%rbp)\n	mov %r9, 56(%rbp)\n"
	"	mov %r10, 64(%rbp)\n	mov %r11, 72(%rbp)\n"
	"	mov %r12, 80(%rbp)\n	mov %r13, 88(%rbp)\n"
	"	mov %r14, 96(%rbp)\n	mov %r15, 104(%rbp)\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbx\n"
	"	pop %rbp\n"
	"	ret\n"
	".size doorbell_in, .-doorbell_in\n");

uint32_t doorbell_ring(struct doorbell *d, enum doorbell_request request, uint64_t session,
	uint64_t words[DOORBELL_WORDS])
{
	struct registers r = {
		.rax = DOORBELL_MAGIC,
		.rbx = request,
		.rcx = session,
		.rdx = d->port,
	};

	memcpy(r.words, words, sizeof(r.words));
	doorbell_in(&r);
	memcpy(words, r.words, sizeof(r.words));
	return (uint32_t)r.rax;
}

enum doorbell_open doorbell_find(uint16_t *port, uint32_t *version)
{
	uint32_t eax, signature[3], ebx, ecx, edx;

	/* Not __get_cpuid: its idea of the highest leaf knows nothing of this range. */
	__cpuid(DOORBELL_LEAF, eax, signature[0], signature[1], signature[2]);
	if (memcmp(signature, DOORBELL_SIGNATURE, sizeof(signature)) != 0 ||
		eax < DOORBELL_LEAF + 1)
		return DOORBELL_ABSENT;
	__cpuid(DOORBELL_LEAF + 1, eax, ebx, ecx, edx);
	*version = eax;
	*port = (uint16_t)ebx;
	return eax == DOORBELL_VERSION ? DOORBELL_OPENED : DOORBELL_OTHER_VERSION;
}

/* "none [integrity] confidentiality": whether anything but none is chosen. */
static bool locked_down(void)
{
	FILE *f = fopen("/sys/kernel/security/lockdown", "re");
	char line[128] = "";

	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	return strchr(line, '[') && !strstr(line, "[none]");
}

enum doorbell_open doorbell_open(struct doorbell *d, uint32_t *version)
{
	enum doorbell_open found = doorbell_find(&d->port, version);

	if (found != DOORBELL_OPENED)
		return found;
	if (ioperm(d->port, sizeof(uint32_t), 1) != 0) {
		if (errno != EPERM)
			return DOORBELL_NO_PORT;
		return locked_down() ? DOORBELL_LOCKED_DOWN : DOORBELL_NOT_ROOT;
	}
	d->call = doorbell_ring;
	return DOORBELL_OPENED;
}

const char *doorbell_open_text(enum doorbell_open result)
{
	switch (result) {
	case DOORBELL_OPENED:
		return "open";
	case DOORBELL_ABSENT:
		return "no Annex below: this machine does not run on an Annex VMM that has a "
		       "doorbell";
	case DOORBELL_OTHER_VERSION:
		return "the VMM below speaks another version of the doorbell: install the agent of "
		       "its "
		       "version";
	case DOORBELL_NOT_ROOT:
		return "the I/O port is refused: run as root, with CAP_SYS_RAWIO";
	case DOORBELL_LOCKED_DOWN:
		return "the kernel's lockdown forbids I/O ports: start the guest with "
		       "lockdown=none or "
		       "without secure boot";
	case DOORBELL_NO_PORT:
		return "the kernel gives no I/O port (ioperm): it needs CONFIG_X86_IOPL_IOPERM";
	}
	return "impossible";
}

uint32_t doorbell_call(struct doorbell *d, enum doorbell_request request, uint64_t session,
	uint64_t words[DOORBELL_WORDS])
{
	return d->call(d, request, session, words);
}

const char *doorbell_result_text(uint32_t result)
{
	static const char *const text[DOORBELL_RESULTS] = {
		[DOORBELL_OK] = "ok",
		[DOORBELL_UNKNOWN] = "unknown request",
		[DOORBELL_BAD_VERSION] = "another version",
		[DOORBELL_NO_SESSION] = "no session",
		[DOORBELL_BAD_ARGUMENT] = "bad argument",
		[DOORBELL_OVER_BUDGET] = "over budget",
		[DOORBELL_BUSY] = "busy",
	};

	return result < DOORBELL_RESULTS ? text[result] : "no doorbell answers";
}
