/* SPDX-License-Identifier: MIT */
/*
 * The payload's start: a setup header as a bzImage has it (Documentation/arch/x86/boot.rst), the
 * 64-bit entry, the gates, the way of the other CPUs from real mode, and a user-mode call.
 */

#define SETUP_SECTS 1
#define CODE64      0x10
#define DATA        0x18
#define USER_DATA   0x2b
#define USER_CODE   0x33

	.section .setup, "a"
setup:
	.org 0x1f1
	.byte SETUP_SECTS
	.org 0x1fe
	.word 0xaa55
	.byte 0xeb, header_end - 1f
1:	.ascii "HdrS"
	.word 0x020f /* protocol */
	.org 0x211
	.byte 1 /* loaded high */
	.org 0x214
	.long 0x1000000
	.org 0x22c
	.long 0x7fffffff
	.long 0x200000 /* alignment */
	.byte 0 /* not relocatable */
	.byte 21
	.word 1 /* 64-bit entry */
	.long 2047 /* command line */
	.org 0x258
	.quad 0x1000000
	.long init_size
	.long 0
header_end:
	.org 0x400

	.section .head, "ax"
	.code64
	.org 0x200
	.globl entry
entry:
	cli
	cld
	movq %rsi, %rbx
	leaq bss_start(%rip), %rdi
	leaq bss_end(%rip), %rcx
	subq %rdi, %rcx
	xorl %eax, %eax
	rep stosb
	leaq boot_stack_end(%rip), %rsp
	movq %rbx, %rdi
	xorl %ebp, %ebp
	call itest_main
1:	hlt
	jmp 1b

/* Gates. Below the registers: vector, error code, and what the CPU pushed. */
	.text
	.altmacro
	.macro gate vector
	.balign 16
	.if (\vector == 8) || (\vector == 10) || (\vector == 11) || (\vector == 12) || \
		(\vector == 13) || (\vector == 14) || (\vector == 17) || (\vector == 21) || \
		(\vector == 29) || (\vector == 30)
	.else
	pushq $0
	.endif
	pushq $\vector
	jmp gate_common
	.endm

	.balign 16
	.globl gates
gates:
	.set i, 0
	.rept 256
	gate %i
	.set i, i + 1
	.endr

gate_common:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rbx
	pushq %rbp
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	cld
	movq %rsp, %rdi
	call trap
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rbp
	popq %rbx
	popq %rdx
	popq %rcx
	popq %rax
	addq $16, %rsp
	iretq

/*
 * void user_call(void *code, void *stack): runs code at CPL 3 until it does INT 0x81, or until an
 * exception that the handler ends the call for (trap.c: user_return).
 */
	.globl user_call
user_call:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, user_saved(%rip)
	pushq $USER_DATA
	pushq %rsi
	pushq $0x202
	pushq $USER_CODE
	pushq %rdi
	iretq
	.globl user_return
user_return:
	movq user_saved(%rip), %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret

	.bss
	.balign 16
	.globl user_saved
user_saved:
	.skip 16
	.skip 65536
boot_stack_end:

/*
 * The other CPUs: copied to TRAMPOLINE. In real mode some of what exits is done with and without
 * prefixes, its results go to struct trampoline behind the code (smp.c).
 */
	.section .rodata
	.balign 16
	.globl trampoline_start, trampoline_end, trampoline_data
trampoline_start:
	.code16
	cli
	xorl %eax, %eax
	movw %cs, %ax
	movw %ax, %ds
	movw $(trampoline_data - trampoline_start), %bp
	/* CPUID with two redundant prefixes */
	movl $1, %eax
	xorl %ecx, %ecx
	.byte 0x2e, 0x66, 0x0f, 0xa2
	movl %ecx, %ds:24(%bp)
	/* a hidden port, all widths */
	movw $0x511, %dx
	movl $0, %eax
	inb %dx, %al
	movl %eax, %ds:28(%bp)
	movl $0, %eax
	inw %dx, %ax
	movl %eax, %ds:32(%bp)
	movl $0, %eax
	.byte 0x66, 0xed
	movl %eax, %ds:36(%bp)
	/* INS with a repeat prefix to DS:0xf00 */
	movw %ds, %ax
	movw %ax, %es
	movw $0xf00, %di
	movw $9, %cx
	cld
	rep insb
	movw %cx, %ds:40(%bp)
	movw %di, %ds:42(%bp)
	/* RDMSR EFER */
	movl $0xc0000080, %ecx
	rdmsr
	movl %eax, %ds:44(%bp)
	lgdtl %ds:(trampoline_gdtr - trampoline_start)
	movl %cr4, %eax
	orl $0x620, %eax
	movl %eax, %cr4
	movl %ds:0(%bp), %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx
	rdmsr
	orl $0x901, %eax
	wrmsr
	movl $0x80010033, %eax
	movl %eax, %cr0
	ljmpl *%ds:(trampoline_jump - trampoline_start)
	.balign 8
trampoline_gdtr:
	.word 0x3ff
	.long boot_gdt
trampoline_jump:
	.long trampoline_long
	.word CODE64
	.balign 16
trampoline_data:
	.skip 64
trampoline_end:

	.text
	.code64
trampoline_long:
	movl $DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %eax, %fs
	movl %eax, %gs
	movzwl %bp, %ebp
	addl $0x8000, %ebp
	movq 8(%rbp), %rsp
	movl 16(%rbp), %edi
	call smp_main
1:	hlt
	jmp 1b
	.section .note.GNU-stack, "", @progbits
