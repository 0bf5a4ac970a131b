/* SPDX-License-Identifier: MIT */
/* The VMCS (SDM vol. 3C chapter 25; encodings: vol. 3D appendix B), as far as it is used. */
#ifndef ANNEX_VMCS_H
#define ANNEX_VMCS_H

enum vmcs_field {
	VMCS_VPID = 0x0000,
	VMCS_GUEST_ES_SELECTOR = 0x0800, /* then CS SS DS FS GS LDTR TR, each 2 further */
	VMCS_GUEST_CS_SELECTOR = 0x0802,
	VMCS_HOST_ES_SELECTOR = 0x0c00,
	VMCS_HOST_CS_SELECTOR = 0x0c02,
	VMCS_HOST_SS_SELECTOR = 0x0c04,
	VMCS_HOST_DS_SELECTOR = 0x0c06,
	VMCS_HOST_FS_SELECTOR = 0x0c08,
	VMCS_HOST_GS_SELECTOR = 0x0c0a,
	VMCS_HOST_TR_SELECTOR = 0x0c0c,
	VMCS_IO_BITMAP_A = 0x2000,
	VMCS_IO_BITMAP_B = 0x2002,
	VMCS_MSR_BITMAP = 0x2004,
	VMCS_TSC_OFFSET = 0x2010,
	VMCS_EPT_POINTER = 0x201a,
	VMCS_XSS_BITMAP = 0x202c,
	VMCS_GUEST_PHYSICAL = 0x2400,
	VMCS_LINK = 0x2800,
	VMCS_GUEST_DEBUGCTL = 0x2802,
	VMCS_GUEST_PAT = 0x2804,
	VMCS_GUEST_EFER = 0x2806,
	VMCS_HOST_PAT = 0x2c00,
	VMCS_HOST_EFER = 0x2c02,
	VMCS_PIN = 0x4000,
	VMCS_PROC = 0x4002,
	VMCS_EXCEPTIONS = 0x4004,
	VMCS_FAULT_MASK = 0x4006,
	VMCS_FAULT_MATCH = 0x4008,
	VMCS_CR3_TARGETS = 0x400a,
	VMCS_EXIT = 0x400c,
	VMCS_EXIT_STORES = 0x400e,
	VMCS_EXIT_LOADS = 0x4010,
	VMCS_ENTRY = 0x4012,
	VMCS_ENTRY_LOADS = 0x4014,
	VMCS_ENTRY_EVENT = 0x4016,
	VMCS_ENTRY_ERROR = 0x4018,
	VMCS_ENTRY_LENGTH = 0x401a,
	VMCS_PROC2 = 0x401e,
	VMCS_INSTRUCTION_ERROR = 0x4400,
	VMCS_REASON = 0x4402,
	VMCS_EXIT_EVENT = 0x4404,
	VMCS_EXIT_ERROR = 0x4406,
	VMCS_VECTORING = 0x4408,
	VMCS_VECTORING_ERROR = 0x440a,
	VMCS_LENGTH = 0x440c,
	VMCS_GUEST_ES_LIMIT = 0x4800,
	VMCS_GUEST_GDTR_LIMIT = 0x4810,
	VMCS_GUEST_IDTR_LIMIT = 0x4812,
	VMCS_GUEST_ES_RIGHTS = 0x4814,
	VMCS_GUEST_CS_RIGHTS = 0x4816,
	VMCS_GUEST_BLOCKING = 0x4824, /* interruptibility state */
	VMCS_GUEST_ACTIVITY = 0x4826,
	VMCS_GUEST_SYSENTER_CS = 0x482a,
	VMCS_TIMER = 0x482e,
	VMCS_HOST_SYSENTER_CS = 0x4c00,
	VMCS_CR0_MASK = 0x6000,
	VMCS_CR4_MASK = 0x6002,
	VMCS_CR0_SHADOW = 0x6004,
	VMCS_CR4_SHADOW = 0x6006,
	VMCS_QUALIFICATION = 0x6400,
	VMCS_GUEST_CR0 = 0x6800,
	VMCS_GUEST_CR3 = 0x6802,
	VMCS_GUEST_CR4 = 0x6804,
	VMCS_GUEST_ES_BASE = 0x6806,
	VMCS_GUEST_CS_BASE = 0x6808,
	VMCS_GUEST_GDTR_BASE = 0x6816,
	VMCS_GUEST_IDTR_BASE = 0x6818,
	VMCS_GUEST_DR7 = 0x681a,
	VMCS_GUEST_RSP = 0x681c,
	VMCS_GUEST_RIP = 0x681e,
	VMCS_GUEST_RFLAGS = 0x6820,
	VMCS_GUEST_PENDING_DEBUG = 0x6822,
	VMCS_GUEST_SYSENTER_ESP = 0x6824,
	VMCS_GUEST_SYSENTER_EIP = 0x6826,
	VMCS_HOST_CR0 = 0x6c00,
	VMCS_HOST_CR3 = 0x6c02,
	VMCS_HOST_CR4 = 0x6c04,
	VMCS_HOST_FS_BASE = 0x6c06,
	VMCS_HOST_GS_BASE = 0x6c08,
	VMCS_HOST_TR_BASE = 0x6c0a,
	VMCS_HOST_GDTR_BASE = 0x6c0c,
	VMCS_HOST_IDTR_BASE = 0x6c0e,
	VMCS_HOST_SYSENTER_ESP = 0x6c10,
	VMCS_HOST_SYSENTER_EIP = 0x6c12,
	VMCS_HOST_RSP = 0x6c14, /* entry.S writes it */
	VMCS_HOST_RIP = 0x6c16,
};

/* Pin-based controls (25.6.1). */
#define PIN_NMI          (1u << 3)
#define PIN_VIRTUAL_NMIS (1u << 5)
#define PIN_TIMER        (1u << 6)

/* Processor-based controls (25.6.2). */
#define PROC_TSC_OFFSET (1u << 3)
#define PROC_HLT        (1u << 7)
#define PROC_MWAIT      (1u << 10)
#define PROC_CR3        (3u << 15) /* MOV to and from it exit: never wanted */
#define PROC_NMI_WINDOW (1u << 22)
#define PROC_IO_BITMAPS (1u << 25)
#define PROC_MSR_BITMAP (1u << 28)
#define PROC_MONITOR    (1u << 29)
#define PROC_SECOND     (1u << 31)

#define PROC2_EPT          (1u << 1)
#define PROC2_RDTSCP       (1u << 3)
#define PROC2_VPID         (1u << 5)
#define PROC2_UNRESTRICTED (1u << 7)
#define PROC2_INVPCID      (1u << 12)
#define PROC2_XSAVES       (1u << 20)
#define PROC2_USER_WAIT    (1u << 26)

/* VM-exit and VM-entry controls (25.7.1, 25.8.1). */
#define EXIT_SAVE_DEBUG  (1u << 2)
#define EXIT_HOST_LONG   (1u << 9)
#define EXIT_SAVE_PAT    (1u << 18)
#define EXIT_LOAD_PAT    (1u << 19)
#define EXIT_SAVE_EFER   (1u << 20)
#define EXIT_LOAD_EFER   (1u << 21)
#define ENTRY_LOAD_DEBUG (1u << 2)
#define ENTRY_GUEST_LONG (1u << 9)
#define ENTRY_LOAD_PAT   (1u << 14)
#define ENTRY_LOAD_EFER  (1u << 15)

/* Events that are injected, that exited, whose delivery an exit interrupted (25.8.3, 25.9.2-3). */
#define EVENT_TYPE      (7u << 8)
#define EVENT_NMI_TYPE  (2u << 8)
#define EVENT_HARDWARE  (3u << 8)
#define EVENT_SOFTWARE  (4u << 8) /* this type and those above: the instruction's length matters */
#define EVENT_ERROR     (1u << 11)
#define EVENT_UNBLOCKED (1u << 12) /* an IRET had just ended the blocking of NMIs */
#define EVENT_VALID     (1u << 31)
#define EVENT_MASK      0x80000fffu

/* Interruptibility state (25.4.2). */
#define BLOCKED_STI    (1u << 0)
#define BLOCKED_MOV_SS (1u << 1)
#define BLOCKED_SHADOW (BLOCKED_STI | BLOCKED_MOV_SS)
#define BLOCKED_NMI    (1u << 3)

#define RIGHTS_CODE64 0xa09bu
#define RIGHTS_DATA32 0xc093u
#define RIGHTS_CODE16 0x009bu
#define RIGHTS_DATA16 0x0093u
#define RIGHTS_LDT    0x0082u
#define RIGHTS_TSS    0x008bu
#define RIGHTS_LONG   (1u << 13)

#define REASON_MASK           0xffffu
#define REASON_FAILED         (1u << 31) /* the entry itself */
#define REASON_EPT            48u
#define EPT_QUALIFY_WRITE     (1u << 1)
#define EPT_QUALIFY_UNBLOCKED (1u << 12)

#endif
