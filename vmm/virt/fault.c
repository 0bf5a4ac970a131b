/* SPDX-License-Identifier: MIT */
/*
 * A far fault's way to the service core (architecture section 4). The vCPU runs nothing of the
 * engine: it posts, wakes whom it must, waits.
 */
#include "machine/clock.h"
#include "virt/apic_trap.h"
#include "virt/fault.h"
#include "virt/insn.h"
#include "virt/step.h"
#include "virt/vendor.h"
#include "virt/virt.h"

static void post(struct vcpu *v, uint64_t gpa, bool write)
{
	struct mailbox *m = &virt_mailbox[v->cpu];

	m->gpa = gpa & ~(SLAT_PAGE - 1);
	m->access = write ? MAILBOX_WRITE : MAILBOX_READ;
	m->posted = clock_now();
	virt_ask(v, &m->state);
}

static void far(struct vcpu *v, const struct slat_window *w, uint64_t gpa, bool write)
{
	uint64_t entry = slat_read(&w->leaf[(gpa - w->base) / SLAT_PAGE]);

	if (!slat_present(w->format, entry) || (write && !(entry & w->format->writable)))
		post(v, gpa, write);
}

/* What can be done at once is: replaying it takes a second exit. */
static void write_apic(struct vcpu *v, uint64_t gpa)
{
	unsigned length, vector;
	uint32_t value;

	if (v->step != STEP_NONE || gpa & 15 || virt_vendor->delivering(v, &vector) ||
		!insn_is_store(v, &length, &value)) {
		step_begin(v, STEP_APIC, gpa);
		return;
	}
	apic_trap_write(v, gpa, value);
	v->rflags &= ~FLAG_RF;
	virt_vendor->advance(v, length);
}

void fault_handle(struct vcpu *v, uint64_t gpa, bool write)
{
	const struct slat_window *w = virt_window();

	if (gpa >= w->base && gpa - w->base < (uint64_t)w->pages * SLAT_PAGE)
		far(v, w, gpa, write);
	else if (write && apic_trap_page() && (gpa & ~(SLAT_PAGE - 1)) == apic_trap_page())
		write_apic(v, gpa);
	else
		step_begin(v, STEP_ABSENT, gpa);
}
