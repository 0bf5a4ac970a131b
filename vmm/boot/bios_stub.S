/* SPDX-License-Identifier: MIT */
/*
 * What a guest that boots from its disk has of the VMM in its own memory, copied to a page below the
 * EBDA. At its start, in real mode with CS:0 as the page: loads the first disk's boot sector by INT
 * 13h and jumps to it. And the memory map of INT 15h, in front of the BIOS's own handler. Offsets
 * count from bios_stub.
 */
	.section .rodata
	.code16
	.globl bios_stub, bios_int15, bios_data
	.balign 16
bios_stub:
	cli
	cld
	/* A CPU that starts has its caches off. */
	movl %cr0, %eax
	andl $0x9fffffff, %eax
	movl %eax, %cr0
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $0x7c00, %sp
	sti
	movw $3, %bp /* tries */
1:	movw $0x0201, %ax /* read one sector: */
	movw $0x7c00, %bx /* to 0:7c00 */
	movw $0x0001, %cx /* cylinder 0, sector 1 */
	movw $0x0080, %dx /* head 0, first disk */
	int $0x13
	jnc 2f
	xorw %ax, %ax /* reset */
	movw $0x0080, %dx
	int $0x13
	decw %bp
	jnz 1b
	movw $unreadable - bios_stub, %si
	jmp stop
2:	movw $unbootable - bios_stub, %si
	cmpw $0xaa55, 0x7dfe
	jne stop
	movw $0x0080, %dx
	ljmp $0, $0x7c00

/* CS:SI as the VMM's own console would say it: on the first serial port, and then by the BIOS. */
stop:
	movb %cs:(%si), %al
	incw %si
	testb %al, %al
	jz 5f
	movb %al, %ah
	movw $0x3fd, %dx
	movw $0xffff, %cx
3:	inb %dx, %al
	testb $0x20, %al
	loopz 3b
	movw $0x3f8, %dx
	movb %ah, %al
	outb %al, %dx
	pushw %si
	movb $0x0e, %ah
	movw $7, %bx
	int $0x10
	popw %si
	jmp stop
5:	cli
	hlt
	jmp 5b

unreadable:
	.asciz "\r\nAnnex VMM: boot stopped: the BIOS cannot read the first disk (0x80)\r\n"
unbootable:
	.asciz "\r\nAnnex VMM: boot stopped: the first disk (0x80) has no boot sector\r\n"

	.balign 4
bios_int15:
	cmpw $0xe820, %ax
	je int15_map
	cmpw $0xe801, %ax
	je int15_sizes
	cmpw $0xe881, %ax
	je int15_none
	cmpb $0x88, %ah
	je int15_extended
	ljmp *%cs:(data_old - bios_stub)

/* Row EBX to ES:DI (ACPI 6.4, 15.1). */
int15_map:
	cmpl $0x534d4150, %edx /* "SMAP" */
	jne int15_none
	cmpl $20, %ecx
	jb int15_none
	cmpl %cs:(data_rows - bios_stub), %ebx
	jae int15_none
	pushw %ds
	pushw %si
	pushw %di
	pushw %cs
	popw %ds
	imulw $20, %bx, %si
	addw $data_row - bios_stub, %si
	movw $10, %cx
	cld
	rep movsw
	popw %di
	popw %si
	popw %ds
	incl %ebx
	cmpl %cs:(data_rows - bios_stub), %ebx
	jb 1f
	xorl %ebx, %ebx
1:	movl $20, %ecx
	movl %edx, %eax
	jmp int15_done

/* KiB from 1 MiB up to 16 MiB, and 64 KiB pieces from there. */
int15_sizes:
	movw %cs:(data_low - bios_stub), %ax
	movw %ax, %cx
	movw %cs:(data_high - bios_stub), %bx
	movw %bx, %dx
	jmp int15_done

/* KiB from 1 MiB up. */
int15_extended:
	movw %cs:(data_low - bios_stub), %ax
int15_done: /* carry flag of the caller off */
	pushw %bp
	movw %sp, %bp
	andw $0xfffe, 6(%bp)
	popw %bp
	iretw

int15_none:
	movb $0x86, %ah
	pushw %bp
	movw %sp, %bp
	orw $1, 6(%bp)
	popw %bp
	iretw

/* struct data of bios.c */
	.balign 4
bios_data:
data_old:
	.long 0
data_rows:
	.long 0
data_low:
	.word 0
data_high:
	.word 0
data_row:
