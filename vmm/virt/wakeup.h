/* SPDX-License-Identifier: MIT */
/*
 * Starting the guest's other CPUs by the ACPI multiprocessor wakeup structure (ACPI 6.4 5.2.12.19)
 * instead of INIT and SIPI, which are dropped then: the guest writes an APIC id and an address into a
 * mailbox. A CPU that waits for that waits in the VMM; the service core looks at the mailbox. One that
 * runs when it is named begins anew, so that a guest can take CPUs off and on again.
 */
#ifndef ANNEX_WAKEUP_H
#define ANNEX_WAKEUP_H

#include <stdbool.h>
#include <stdint.h>
#include "virt/vcpu.h"
#include "virt/virt.h"

/*
 * Boot CPU, before the others come to virt_run_waiting(): the mailbox is `page`, which the guest sees
 * at this address; a CPU begins as `entry` says, but at the mailbox's address.
 */
void wakeup_set(const struct virt_entry *entry, void *page);
bool wakeup_used(void);

/* The vCPU, out of the guest: until the guest starts it. False: the VMM stops. */
bool wakeup_wait(struct vcpu *v, struct virt_entry *entry);

/* Service core, each turn: a CPU that is named but does not wait. */
void wakeup_look(void);

#endif
