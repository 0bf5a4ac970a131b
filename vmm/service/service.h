/* SPDX-License-Identifier: MIT */
/*
 * The service loop: mailboxes, NIC, timers, reclaim, management. It has a core of its own, the
 * service core; on a machine with one CPU the vCPU turns it instead (architecture section 4).
 */
#ifndef ANNEX_SERVICE_H
#define ANNEX_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct far;
struct slat_window;

/* Set (then a full fence) before the service core halts; a vCPU that sees it sends the wake IPI. */
extern _Atomic uint32_t service_asleep;

/* The service core's APIC id, valid once the guest runs. */
extern uint32_t service_apic_id;

/* The far window, set when everything for the guest is prepared. */
typedef const struct slat_window *_Atomic service_window;

/*
 * On the CPU that will turn the loop, interrupts off, its IDT loaded with handlers that only EOI and
 * return: starts NIC and fabric, and the ARP probe; when *window is there, opens the sessions, waits
 * until each has promised its extents (or stops the boot with the numbers), then sets service_ready.
 * The boot CPU may prepare the guest meanwhile.
 */
void service_start(const struct config *config, const service_window *window);

/* On the service core: service_start(), then turns the loop for ever. */
_Noreturn void service_run(const struct config *config, const service_window *window);

/*
 * One CPU only, the vCPU out of the guest: one turn of the loop. No interrupt may be taken. True if
 * it found work.
 */
bool service_turn(void);

/* The boot CPU waits for this before it enters the guest. */
extern _Atomic uint32_t service_ready;

/*
 * CPU of the loop, guest stopped for good (panic_guest, after virt_stop()): goes on answering the
 * management channel, with state "stopped" and this reason, and does nothing else.
 */
_Noreturn void service_stopped(const char *reason);

/* The engine, for the panic report; NULL before it is started. */
const struct far *service_far(void);

#endif
