/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include "lib/log.h"
#include "virt/vendor.h"
#include "virt/wakeup.h"

#define COMMAND_WAKE 1u
#define LOW_END      (1ull << 32)

struct wakeup_mailbox {
	_Atomic uint32_t command; /* 16 bits, then 16 reserved */
	_Atomic uint32_t apic_id;
	_Atomic uint64_t address;
};

static struct wakeup_mailbox *_Atomic mailbox;
static struct virt_entry begin;

void wakeup_set(const struct virt_entry *entry, void *page)
{
	begin = *entry;
	mailbox = page;
}

bool wakeup_used(void)
{
	return mailbox;
}

static bool named(const struct vcpu *v)
{
	return (atomic_load(&mailbox->command) & 0xffff) == COMMAND_WAKE &&
	       atomic_load(&mailbox->apic_id) == v->apic_id;
}

bool wakeup_wait(struct vcpu *v, struct virt_entry *entry)
{
	uint64_t address;

	for (;;) {
		if (named(v)) {
			address = atomic_load(&mailbox->address);
			if (address < LOW_END)
				break;
			log_warning("virt: CPU %u is told to start at 0x%lx, which its first page "
				    "tables do not map: ignored",
				v->cpu, (unsigned long)address);
			atomic_store(&mailbox->command, 0);
		}
		/* Set again, each turn, while it is named. */
		atomic_store(&v->sipi, 0);
		virt_sleep_while(v, &v->sipi, 0);
		if (virt_stopping())
			return false;
	}
	*entry = begin;
	entry->rip = address;
	atomic_store(&mailbox->command, 0); /* this tells the guest that it goes */
	return true;
}

/*
 * It takes the command back before it no longer waits. So a command that stands still after it was
 * seen not to wait is a new one.
 */
void wakeup_look(void)
{
	if (!mailbox || !atomic_load(&mailbox->command))
		return;
	for (unsigned i = 1; i < virt_cpus(); i++) {
		struct vcpu *v = &virt_vcpu[i];

		if (!named(v) || atomic_load(&v->init_asked))
			continue;
		if (atomic_load(&v->waiting)) {
			atomic_store(&v->sipi, VCPU_SIPI);
		} else if (named(v)) {
			atomic_exchange(&v->init_asked, 1);
			virt_kick(i);
		}
	}
}
