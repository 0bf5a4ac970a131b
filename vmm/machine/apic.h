/* SPDX-License-Identifier: MIT */
/* The local APIC as the VMM itself uses it (xAPIC MMIO; x2APIC MSRs when the firmware left it so). */
#ifndef ANNEX_APIC_H
#define ANNEX_APIC_H

#include <stdbool.h>
#include <stdint.h>

#define APIC_VECTOR_TIMER    0x30 /* service core */
#define APIC_VECTOR_NIC      0x31 /* service core */
#define APIC_VECTOR_WAKE     0x32 /* service core: a mailbox was posted */
#define APIC_VECTOR_SPURIOUS 0xff

uint32_t apic_id(void);

/*
 * x2APIC mode of this CPU (SDM vol. 3A 11.12): all of a machine are in the mode that the firmware left
 * the boot CPU in.
 */
bool apic_x2(void);
void apic_enter_x2(void); /* from xAPIC mode; nothing happens if it is in it */

void apic_enable(void); /* this CPU: spurious vector set, LVTs masked (service core and APs) */
void apic_eoi(void);

/* As an INIT leaves it, as far as writes can: nothing in service, every LVT entry masked. This CPU. */
void apic_reset(void);

/*
 * Service core: interrupts with an exception's vector (0..31), which a device or another CPU of the
 * guest could send, stay pending for ever; they would be taken for faults of the VMM.
 */
void apic_refuse_exceptions(void);

/* This CPU's performance counters interrupt by NMI (LVTPC is on and in that mode). */
bool apic_counters_nmi(void);

/* That entry is masked (Intel's APICs do so when they send it: SDM vol. 3A 11.5.1). */
bool apic_counters_masked(void);

/*
 * An interrupt waits here that an open IF would let in (SDM vol. 3A 11.8.3.1: its class is above the
 * processor priority's). Nothing is acknowledged. An 8259's interrupts do not show.
 */
bool apic_pending(void);

/*
 * IPIs. A vCPU's APIC is the guest's: these wait for the ICR to be idle, save ICR2 and put it back.
 */
void apic_send_nmi(uint32_t id);
void apic_send_fixed(uint32_t id, uint8_t vector);
void apic_send_init(uint32_t id);
void apic_send_startup(uint32_t id, uint8_t page);

/* Boot CPU, once, after clock_init(): measures the timer and leaves it off. */
void apic_calibrate(void);

/*
 * Service core's own timer: one interrupt APIC_VECTOR_TIMER after ns; durations over 1 s are cut to
 * 1 s (the caller's loop asks again).
 */
void apic_timer(uint64_t ns);

/*
 * Boot CPU, interrupts off, before the guest runs: HLT for that long, not to take host CPU time from
 * the service core. The APIC is left as the firmware left it.
 */
void apic_nap(uint64_t ns);

/*
 * After everything has stopped: this CPU's APIC becomes the VMM's, for apic_timer() and HLT. False:
 * it was never calibrated.
 */
bool apic_timer_take(void);

#endif
