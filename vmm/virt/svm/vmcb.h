/* SPDX-License-Identifier: MIT */
/* The virtual machine control block (APM vol. 2 appendix B), as far as it is used. */
#ifndef ANNEX_VMCB_H
#define ANNEX_VMCB_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* Intercepts, third word (offset 0x0c) and fourth (0x10): bit numbers are exit codes - 0x60, - 0x80. */
#define VMCB_INTR      (1u << 0)
#define VMCB_NMI       (1u << 1)
#define VMCB_VINTR     (1u << 4)
#define VMCB_CPUID     (1u << 18)
#define VMCB_IRET      (1u << 20)
#define VMCB_INVD      (1u << 22)
#define VMCB_HLT       (1u << 24)
#define VMCB_INVLPGA   (1u << 26)
#define VMCB_IOIO      (1u << 27)
#define VMCB_MSR       (1u << 28)
#define VMCB_SHUTDOWN  (1u << 31)
#define VMCB_SVM_INSNS 0x7fu /* VMRUN VMMCALL VMLOAD VMSAVE STGI CLGI SKINIT */
#define VMCB_MONITORS  (7u << 10) /* MONITOR, MWAIT, MWAIT when armed */

#define VMCB_ALL_EXCEPTIONS (~(1u << 2))

#define VMCB_TLB_NOTHING 0u
#define VMCB_TLB_ALL     1u
#define VMCB_TLB_GUEST   3u /* with FlushByAsid */

/* virtual_interrupt (15.21): V_TPR, V_IRQ, V_IGN_TPR. */
#define VMCB_VIRTUAL_TPR    0xffu
#define VMCB_VIRTUAL_IRQ    (1u << 8)
#define VMCB_VIRTUAL_NO_TPR (1u << 20)

#define VMCB_SHADOW 1u /* interrupt_shadow */

/* EVENTINJ and EXITINTINFO (15.20). */
#define VMCB_EVENT_TYPE      (7u << 8)
#define VMCB_EVENT_INTERRUPT (0u << 8)
#define VMCB_EVENT_NMI       (2u << 8)
#define VMCB_EVENT_EXCEPTION (3u << 8)
#define VMCB_EVENT_SOFTWARE  (4u << 8)
#define VMCB_EVENT_ERROR     (1u << 11)
#define VMCB_EVENT_VALID     (1u << 31)

#define VMCB_ATTR_CODE64 0x0a9bu
#define VMCB_ATTR_DATA32 0x0c93u
#define VMCB_ATTR_CODE16 0x009bu
#define VMCB_ATTR_DATA16 0x0093u
#define VMCB_ATTR_LDT    0x0082u
#define VMCB_ATTR_TSS    0x008bu
#define VMCB_ATTR_LONG   (1u << 9)

struct vmcb_segment {
	uint16_t selector;
	uint16_t attributes;
	uint32_t limit;
	uint64_t base;
};

struct vmcb {
	uint32_t intercept_cr;
	uint32_t intercept_dr;
	uint32_t intercept_exceptions;
	uint32_t intercept3;
	uint32_t intercept4;
	uint32_t intercept5;
	uint8_t reserved018[0x040 - 0x018];
	uint64_t iopm;
	uint64_t msrpm;
	uint64_t tsc_offset;
	uint32_t asid;
	uint32_t tlb_control;
	uint64_t virtual_interrupt;
	uint64_t interrupt_shadow;
	uint64_t exit_code;
	uint64_t exit_info1;
	uint64_t exit_info2;
	uint64_t exit_event;
	uint64_t nested_paging;
	uint8_t reserved098[0x0a8 - 0x098];
	uint64_t event;
	uint64_t nested_cr3;
	uint64_t lbr;
	uint64_t clean;
	uint64_t next_rip;
	uint8_t reserved0d0[0x400 - 0x0d0];

	struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t reserved4a0[0x4cb - 0x4a0];
	uint8_t cpl;
	uint32_t reserved4cc;
	uint64_t efer;
	uint8_t reserved4d8[0x548 - 0x4d8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t reserved580[0x5d8 - 0x580];
	uint64_t rsp;
	uint8_t reserved5e0[0x5f8 - 0x5e0];
	uint64_t rax;
	uint64_t star, lstar, cstar, sfmask, kernel_gs, sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t cr2;
	uint8_t reserved648[0x668 - 0x648];
	uint64_t pat;
	uint8_t reserved670[0x1000 - 0x670];
};

static_assert(offsetof(struct vmcb, iopm) == 0x040, "VMCB");
static_assert(offsetof(struct vmcb, tlb_control) == 0x05c, "VMCB");
static_assert(offsetof(struct vmcb, exit_code) == 0x070, "VMCB");
static_assert(offsetof(struct vmcb, event) == 0x0a8, "VMCB");
static_assert(offsetof(struct vmcb, next_rip) == 0x0c8, "VMCB");
static_assert(offsetof(struct vmcb, es) == 0x400, "VMCB");
static_assert(offsetof(struct vmcb, tr) == 0x490, "VMCB");
static_assert(offsetof(struct vmcb, efer) == 0x4d0, "VMCB");
static_assert(offsetof(struct vmcb, cr4) == 0x548, "VMCB");
static_assert(offsetof(struct vmcb, rsp) == 0x5d8, "VMCB");
static_assert(offsetof(struct vmcb, rax) == 0x5f8, "VMCB");
static_assert(offsetof(struct vmcb, cr2) == 0x640, "VMCB");
static_assert(offsetof(struct vmcb, pat) == 0x668, "VMCB");
static_assert(sizeof(struct vmcb) == 0x1000, "VMCB");

#endif
