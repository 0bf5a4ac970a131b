/* SPDX-License-Identifier: MIT */

#include "virt/gpr.inc"

	.text

/*
 * void svm_enter(uint64_t vmcb, uint64_t gpr[16]): runs the guest until its next exit. GIF is 0 on
 * both sides. RAX and RSP travel in the VMCB (APM vol. 2 15.5).
 */
	.globl svm_enter
svm_enter:
	host_save
	pushq %rsi
	movq %rdi, %rax
	gpr_load %rsi
	movq 56(%rsi), %rdi
	movq 48(%rsi), %rsi
	vmrun %rax
	pushq %rsi
	movq 8(%rsp), %rsi
	gpr_save %rsi
	movq %rdi, 56(%rsi)
	popq %rax
	movq %rax, 48(%rsi)
	popq %rsi
	host_load
	ret

/* void svm_load(uint64_t vmcb): FS, GS, TR, LDTR and the system call MSRs, which VMRUN leaves. */
	.globl svm_load
svm_load:
	movq %rdi, %rax
	vmload %rax
	ret

/* void svm_close(void), void svm_open(void): GIF. svm_open lets a pending NMI in before it returns. */
	.globl svm_close
svm_close:
	clgi
	ret

	.globl svm_open
svm_open:
	stgi
	nop
	nop
	clgi
	ret

/*
 * void svm_sleep(const uint32_t *word, uint32_t value): halts until an NMI, unless *word is no longer
 * value. Interrupts are masked, so only an NMI ends the HLT; one that comes between the look and the
 * HLT is turned by the gate below into an end of the sleep.
 */
	.globl svm_sleep
svm_sleep:
	stgi
svm_sleep_look:
	cmpl %esi, (%rdi)
	jne svm_sleep_end
	hlt
svm_sleep_end:
	clgi
	ret

/* The NMI gate while the VMM runs: in front of the machine's own. */
	.globl svm_nmi
svm_nmi:
	pushq %rax
	movq 8(%rsp), %rax
	cmpq $svm_sleep_look, %rax
	jb 1f
	cmpq $svm_sleep_end, %rax
	jae 1f
	movq $svm_sleep_end, 8(%rsp)
1:	popq %rax
	jmp vectors_nmi
