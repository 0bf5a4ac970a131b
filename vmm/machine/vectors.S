/* SPDX-License-Identifier: MIT */
/* The gates' first instructions: see idt.h. */

	.text
	.code64

/* Exceptions 0..31, 16 bytes each: error code (or 0), vector, common path. */
	.globl vectors_exceptions
	.balign 16
vectors_exceptions:
	.set vector, 0
	.rept 32
	.balign 16
	.if (vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30)
	.else
	pushq $0
	.endif
	pushq $vector
	jmp exception
	.set vector, vector + 1
	.endr

exception:
	cld
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rbx
	pushq %rsi
	pushq %rdi
	pushq %rbp
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, %rdi
	andq $-16, %rsp
	call idt_exception
	ud2

	.globl vectors_nmi
vectors_nmi:
	cld
	pushq %rbp
	movq %rsp, %rbp
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	andq $-16, %rsp
	call idt_nmi
	leaq -72(%rbp), %rsp
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rax
	popq %rbp
	iretq

/* End of interrupt to whichever APIC this CPU has (SDM vol. 3A 11.4.1, 11.12.1.2). */
	.globl vectors_interrupt
vectors_interrupt:
	pushq %rax
	pushq %rcx
	pushq %rdx
	movl $0x1b, %ecx
	rdmsr
	testl $0x400, %eax
	jnz 1f
	andl $0xfffff000, %eax
	movl $0, 0xb0(%rax)
	jmp 2f
1:	movl $0x80b, %ecx
	xorl %eax, %eax
	xorl %edx, %edx
	wrmsr
2:	popq %rdx
	popq %rcx
	popq %rax
	iretq

/* The APIC's spurious vector wants no EOI. */
	.globl vectors_spurious
vectors_spurious:
	iretq
