/* SPDX-License-Identifier: MIT */

#include "virt/gpr.inc"

#define HOST_RSP 0x6c14

	.text

/*
 * uint32_t vmx_enter(uint64_t gpr[16], bool launched, const uint32_t *nmi_arrived): runs the guest
 * until its next exit. NMIs are never held off here: one that comes between the look and the entry is
 * turned by the gate below into an end without an entry, so none is slept over in the guest.
 */
	.globl vmx_enter
vmx_enter:
	host_save
	pushq %rdi
	movl $HOST_RSP, %eax
	vmwrite %rsp, %rax
vmx_enter_look:
	cmpl $0, (%rdx)
	jne vmx_enter_abort
	testl %esi, %esi
	movq 0(%rdi), %rax
	gpr_load %rdi
	movq 48(%rdi), %rsi
	movq 56(%rdi), %rdi
	jnz 1f
	vmlaunch
	jmp vmx_enter_failed
1:	vmresume
vmx_enter_failed:
	movl $2, %eax
	jmp vmx_enter_end
vmx_enter_abort:
	movl $1, %eax
	jmp vmx_enter_end

	.globl vmx_exit
vmx_exit:
	pushq %rdi
	movq 8(%rsp), %rdi
	movq %rax, 0(%rdi)
	gpr_save %rdi
	movq %rsi, 48(%rdi)
	popq 56(%rdi)
	xorl %eax, %eax
vmx_enter_end:
	popq %rdi
	host_load
	ret

/*
 * void vmx_sleep(const uint32_t *word, uint32_t value, const uint32_t *nmi_arrived): halts until an
 * NMI, unless *word is no longer value or an NMI has come already. Interrupts are masked; an NMI
 * between the looks and the HLT is turned by the gate below into an end of the sleep.
 */
	.globl vmx_sleep
vmx_sleep:
	cmpl $0, (%rdx)
	jne vmx_sleep_end
	cmpl %esi, (%rdi)
	jne vmx_sleep_end
	hlt
vmx_sleep_end:
	ret

/* The NMI gate while the VMM runs: in front of the machine's own. */
	.globl vmx_nmi
vmx_nmi:
	pushq %rax
	movq 8(%rsp), %rax
	cmpq $vmx_sleep, %rax
	jb 1f
	cmpq $vmx_sleep_end, %rax
	jae 1f
	movq $vmx_sleep_end, 8(%rsp)
	jmp 2f
1:	cmpq $vmx_enter_look, %rax
	jb 2f
	cmpq $vmx_enter_failed, %rax
	jae 2f
	movq $vmx_enter_abort, 8(%rsp)
2:	popq %rax
	jmp vectors_nmi
