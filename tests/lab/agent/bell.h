/* SPDX-License-Identifier: MIT */
/*
 * The doorbell (annex/doorbell.h) as a hostile program sees it: every register of a request is the
 * caller's, and every register of the answer is seen.
 */
#ifndef ANNEX_LAB_BELL_H
#define ANNEX_LAB_BELL_H

#include <stdint.h>
#include <string.h>
#include <sys/io.h>
#include "annex/doorbell.h"

/* How the port is touched. */
enum bell_access {
	BELL_IN, /* the right one: IN EAX, DX */
	BELL_IN16,
	BELL_IN8,
	BELL_OUT,
	BELL_INS, /* 4 bytes to RDI */
	BELL_OUTS, /* 4 bytes from RSI */
	BELL_ACCESSES,
};

struct bell {
	uint64_t rax, rbx, rcx, rdx;
	uint64_t word[DOORBELL_WORDS]; /* RSI, RDI, R8..R15 */
};

/* Loads all of *b, touches the port RDX, stores all of it back. SIGSEGV without the port. */
void bell_touch(struct bell *b, enum bell_access access);

__asm__(".text\n"
	".globl bell_touch\n"
	".type bell_touch, @function\n"
	"bell_touch:\n"
	"	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n"
	"	push %r14\n	push %r15\n"
	"	mov %rdi, %rbp\n"
	"	push %rsi\n"
	"	mov (%rbp), %rax\n	mov 8(%rbp), %rbx\n"
	"	mov 16(%rbp), %rcx\n	mov 24(%rbp), %rdx\n"
	"	mov 32(%rbp), %rsi\n	mov 40(%rbp), %rdi\n"
	"	mov 48(%rbp), %r8\n	mov 56(%rbp), %r9\n"
	"	mov 64(%rbp), %r10\n	mov 72(%rbp), %r11\n"
	"	mov 80(%rbp), %r12\n	mov 88(%rbp), %r13\n"
	"	mov 96(%rbp), %r14\n	mov 104(%rbp), %r15\n"
	"	cmpl $1, (%rsp)\n	je 1f\n"
	"	cmpl $2, (%rsp)\n	je 2f\n"
	"	cmpl $3, (%rsp)\n	je 3f\n"
	"	cmpl $4, (%rsp)\n	je 4f\n"
	"	cmpl $5, (%rsp)\n	je 5f\n"
	"	inl %dx, %eax\n		jmp 9f\n"
	"1:	inw %dx, %ax\n		jmp 9f\n"
	"2:	inb %dx, %al\n		jmp 9f\n"
	"3:	outl %eax, %dx\n	jmp 9f\n"
	"4:	insl\n			jmp 9f\n"
	"5:	outsl\n"
	"9:	mov %rax, (%rbp)\n	mov %rbx, 8(%rbp)\n"
	"	mov %rcx, 16(%rbp)\n	mov %rdx, 24(%rbp)\n"
	"	mov %rsi, 32(%rbp)\n	mov %rdi, 40(%rbp)\n"
	"	mov %r8, 48(%rbp)\n	mov %r9, 56(%rbp)\n"
	"	mov %r10, 64(%rbp)\n	mov %r11, 72(%rbp)\n"
	"	mov %r12, 80(%rbp)\n	mov %r13, 88(%rbp)\n"
	"	mov %r14, 96(%rbp)\n	mov %r15, 104(%rbp)\n"
	"	pop %rsi\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n"
	"	pop %rbp\n	pop %rbx\n"
	"	ret\n"
	".size bell_touch, . - bell_touch\n");

/* A well-formed request; words in and out. */
static inline uint32_t bell_call(uint64_t request, uint64_t session, uint64_t word[DOORBELL_WORDS])
{
	struct bell b = {
		.rax = DOORBELL_MAGIC, .rbx = request, .rcx = session, .rdx = DOORBELL_PORT};

	memcpy(b.word, word, sizeof(b.word));
	bell_touch(&b, BELL_IN);
	memcpy(word, b.word, sizeof(b.word));
	return (uint32_t)b.rax;
}

/* What CPUID says: 0 and the port, or why not. */
static inline const char *bell_find(uint32_t *port)
{
	uint32_t a, b, c, d;
	char name[12];

	__asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(DOORBELL_LEAF), "c"(0));
	memcpy(name, &b, 4);
	memcpy(name + 4, &c, 4);
	memcpy(name + 8, &d, 4);
	if (a < DOORBELL_LEAF + 1 || memcmp(name, DOORBELL_SIGNATURE, sizeof(name)) != 0)
		return "no Annex below";
	__asm__ volatile("cpuid"
			 : "=a"(a), "=b"(b), "=c"(c), "=d"(d)
			 : "a"(DOORBELL_LEAF + 1), "c"(0));
	if (a != DOORBELL_VERSION)
		return "a doorbell of another version";
	*port = b;
	return b == DOORBELL_PORT ? NULL : "the doorbell is at another port";
}

#endif
