/* SPDX-License-Identifier: MIT */
/*
 * Entry by PVH (Xen's docs/misc/pvh.pandoc: 32-bit protected mode, paging off, EBX = start_info), by
 * multiboot2 (Specification 2.0, 3.5: the same state, EAX = magic, EBX = boot information; with UEFI
 * too, GRUB has ended the firmware's boot services) and of the other CPUs (real mode, by STARTUP
 * IPI). All end in 64-bit C on their own stack, on identity tables for the first 4 GiB in 2 MiB pages
 * that need no CPU feature.
 */
#include <xen/elfnote.h>

#define CR0_ON  0x80010033 /* PG WP NE ET MP PE */
#define CR4_ON  0x00000620 /* OSXMMEXCPT OSFXSR PAE */
#define EFER_ON 0x00000900 /* NXE LME */

	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
	.ascii "Xen\0"
	.long entry_pvh

/* Multiboot2 Specification 2.0, 3.1: in the file's first 32 KiB, 8-byte aligned. */
#define MULTIBOOT_HEADER      0xe85250d6
#define MULTIBOOT_I386        0
#define TAG_REQUEST           1
#define TAG_ENTRY             3
#define TAG_CONSOLE           4
#define TAG_FRAMEBUFFER       5
#define TAG_MODULE_ALIGN      6
#define TAG_OPTIONAL          1
#define REQUEST_MMAP          6
#define CONSOLE_TEXT          2 /* VGA text is as good as pixels */

	.section .multiboot, "a"
	.balign 8
multiboot_header:
	.long MULTIBOOT_HEADER, MULTIBOOT_I386, multiboot_header_end - multiboot_header
	.long -(MULTIBOOT_HEADER + MULTIBOOT_I386 + (multiboot_header_end - multiboot_header))
	.word TAG_REQUEST, 0
	.long 12, REQUEST_MMAP
	.balign 8
	.word TAG_ENTRY, 0
	.long 12, entry_multiboot
	.balign 8
	.word TAG_CONSOLE, TAG_OPTIONAL
	.long 12, CONSOLE_TEXT
	.balign 8
	.word TAG_FRAMEBUFFER, TAG_OPTIONAL
	.long 20, 0, 0, 0
	.balign 8
	.word TAG_MODULE_ALIGN, 0
	.long 8
	.word 0, 0
	.long 8
multiboot_header_end:

	.section .text.entry, "ax"
	.code32
	.globl entry_pvh, entry_multiboot
entry_pvh:
	movl $0x336ec578, %eax /* XEN_HVM_START_MAGIC_VALUE */
entry_multiboot:
	cli
	cld
	movl %eax, entry_magic
	movl %ebx, entry_information
	movl $cpu_stacks + 16384, %esp

	movl $entry_pdpt + 3, entry_pml4
	movl $entry_pd + 3, %eax
	xorl %ecx, %ecx
1:	movl %eax, entry_pdpt(,%ecx,8)
	addl $4096, %eax
	incl %ecx
	cmpl $4, %ecx
	jne 1b
	movl $0x83, %eax
	xorl %ecx, %ecx
2:	movl %eax, entry_pd(,%ecx,8)
	addl $0x200000, %eax
	incl %ecx
	cmpl $2048, %ecx
	jne 2b

	call entry_long_mode
	ljmp $8, $3f
	.code64
3:	xorl %ebp, %ebp
	movl entry_magic(%rip), %edi
	movl entry_information(%rip), %esi
	call main
	ud2

	.code32
entry_long_mode:
	lgdt entry_gdt_pointer
	movl $CR4_ON, %eax
	movl %eax, %cr4
	movl $entry_pml4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx
	xorl %edx, %edx
	movl $EFER_ON, %eax
	wrmsr
	movl $CR0_ON, %eax
	movl %eax, %cr0
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	ret

	.globl entry_ap
entry_ap:
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %ss
	movl entry_ap_stack, %esp
	call entry_long_mode
	ljmp $8, $4f
	.code64
4:	xorl %ebp, %ebp
	movl entry_ap_stack(%rip), %esp
	call cpu_ap_entry
	ud2

/* Copied to a page below 1 MiB; runs at its start in real mode. */
	.code16
	.globl entry_trampoline, entry_trampoline_end
entry_trampoline:
	cli
	movw %cs, %ax
	movw %ax, %ds
	lgdtl entry_trampoline_gdt - entry_trampoline
	movl $1, %eax
	movl %eax, %cr0
	ljmpl $0x18, $entry_ap
	.balign 4
entry_trampoline_gdt:
	.word 31
	.long entry_gdt
entry_trampoline_end:

	.section .rodata
	.balign 16
entry_gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* 0x08 code, 64-bit */
	.quad 0x00cf93000000ffff /* 0x10 data */
	.quad 0x00cf9b000000ffff /* 0x18 code, 32-bit */
entry_gdt_pointer:
	.word 31
	.quad entry_gdt

	.bss
	.globl entry_pml4, entry_ap_stack
	.balign 4096
entry_pml4:
	.space 4096
entry_pdpt:
	.space 4096
entry_pd:
	.space 4 * 4096
entry_information:
	.space 4
entry_magic:
	.space 4
entry_ap_stack:
	.space 8
