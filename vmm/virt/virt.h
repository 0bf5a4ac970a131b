/* SPDX-License-Identifier: MIT */
/*
 * Running the guest's CPUs. Neutral code calls these; the vendor's port stands behind struct
 * virt_vendor (virt/vendor.h), chosen once by virt_init().
 */
#ifndef ANNEX_VIRT_H
#define ANNEX_VIRT_H

#include <stdbool.h>
#include <stdint.h>
#include "far/mailbox.h"
#include "service/ring.h"
#include "slat/format.h"
#include "slat/shootdown.h"

/*
 * Where the boot CPU's guest begins: in 64-bit mode (Linux boot protocol, Documentation/arch/x86/
 * boot.rst), or in real mode at the start of a page below 1 MiB, as after a SIPI.
 */
struct virt_entry {
	bool real_mode; /* then only the page counts */
	uint8_t page;
	uint64_t rip;
	uint64_t rsi; /* zero page */
	uint64_t cr3; /* identity tables in guest-visible, reserved memory */
	uint64_t gdt; /* GDT with 0x10 code64, 0x18 data; in guest-visible memory */
	uint16_t gdt_limit;
};

/* Boot CPU: picks the vendor; stops the boot naming the CPU feature that is missing. */
void virt_init(void);

/* Boot CPU: builds the SLAT from `layout` and the hidden table; returns the far window's tables. */
const struct slat_window *virt_build_slat(void);

extern struct shootdown virt_shootdown;
extern struct mailbox virt_mailbox[SHOOTDOWN_CPUS];
extern struct ring virt_ring[SHOOTDOWN_CPUS];

/* Each CPU, service core included: switches virtualisation on. */
void virt_cpu_init(unsigned cpu);

/* Boot CPU, after virt_build_slat(): the guest reads this page in the place of its own, read-only. */
void virt_replace(uint64_t gpa, const void *page);

/*
 * Boot CPU: what looks at RSI at each CPUID that the guest executes with paging off, until it returns
 * true. There a Linux kernel checks its CPU, with RSI as its loader left it.
 */
void virt_watch(bool (*look)(uint64_t rsi));

/* Boot CPU: enters the guest. */
_Noreturn void virt_run_boot(const struct virt_entry *entry);

/* Other guest CPUs: held by the VMM until the guest starts them. */
_Noreturn void virt_run_waiting(unsigned cpu);

/* The far window's tables, once built. */
const struct slat_window *virt_window(void);

/*
 * Service core, each turn: wakes vCPUs that sleep on a mailbox which is done by now (the engine only
 * sets its state). A few loads when there is nothing to do.
 */
void virt_wake_waiting(void);

/* Held together while a fault stalls (architecture section 11). Service core. */
void virt_hold(bool hold);

/* Stops every vCPU for good at its next exit and kicks it (panic, panic_guest). Any CPU. */
void virt_stop(void);

/*
 * An NMI arrived while this CPU ran the VMM itself (called by the host's NMI gate, any CPU, on the
 * interrupted stack).
 */
void virt_host_nmi(void);

/* NAME and value of every exit's counter, summed over CPUs; returns false past the end. */
bool virt_counter(unsigned index, const char **name, uint64_t *value);

/* Registers and last exit of a vCPU as text, for the panic report. */
void virt_describe(unsigned cpu, char *buffer, uint64_t size);

#endif
