/* SPDX-License-Identifier: MIT */
/* SDM vol. 3A 11.6 (interrupt command register), 11.12 (x2APIC). */
#include <stdatomic.h>
#include "lib/log.h"
#include "machine/apic.h"
#include "machine/layout.h"
#include "machine/x86.h"
#include "virt/apic_trap.h"
#include "virt/vendor.h"
#include "virt/wakeup.h"

#define BASE_MASK 0x000ffffffffff000ull

#define REG_EOI      0x0b0u
#define REG_LDR      0x0d0u
#define REG_DFR      0x0e0u
#define REG_ICR      0x300u
#define REG_ICR2     0x310u
#define REG_COUNTERS 0x340u
#define REG_SELF     0x3f0u /* x2APIC only */

#define MSR_X2_ICR 0x830u

#define ICR_LOGICAL   (1u << 11)
#define ICR_ASSERT    (1u << 14)
#define ICR_LEVEL     (1u << 15)
#define ICR_SHORTHAND (3u << 18)

#define LVT_MASKED (1u << 16)
#define LVT_MODE   (7u << 8)
#define LVT_NMI    (4u << 8)

enum delivery {
	DELIVER_FIXED,
	DELIVER_LOWEST,
	DELIVER_SMI,
	DELIVER_RESERVED,
	DELIVER_NMI,
	DELIVER_INIT,
	DELIVER_SIPI,
	DELIVER_EXTINT,
};

uint64_t apic_trap_page(void)
{
	return apic_x2() ? 0 : rdmsr(MSR_APIC_BASE) & BASE_MASK;
}

static volatile uint32_t *reg(unsigned offset)
{
	return (volatile uint32_t *)(uintptr_t)((rdmsr(MSR_APIC_BASE) & BASE_MASK) + offset);
}

void apic_trap_show(uint64_t gpa, uint8_t *page)
{
	unsigned offset = gpa & 0xff0;

	/* EOI is write-only. */
	*(uint32_t *)(page + offset) = offset == REG_EOI ? 0 : *reg(offset);
}

/* Does a command of this destination mean v? Logical clusters are Linux's only on big machines. */
static bool addressed(const struct vcpu *from, const struct vcpu *v, uint32_t icr, uint32_t to)
{
	switch ((icr & ICR_SHORTHAND) >> 18) {
	case 1:
		return v == from;
	case 2:
		return true;
	case 3:
		return v != from;
	}
	if (to == (apic_x2() ? UINT32_MAX : 0xff))
		return true;
	if (!(icr & ICR_LOGICAL))
		return v->apic_id == to;
	if (apic_x2())
		return to >> 16 == v->apic_id >> 4 && (to & 1u << (v->apic_id & 15));
	if (v->apic_dfr >> 28 == 0xf)
		return v->apic_ldr >> 24 & to;
	return (v->apic_ldr >> 28 == to >> 4) && (v->apic_ldr >> 24 & to & 0xf);
}

static void deliver(struct vcpu *from, struct vcpu *v, uint32_t icr)
{
	switch ((enum delivery)(icr >> 8 & 7)) {
	case DELIVER_NMI:
		if (v == from) {
			v->nmi_pending = true;
		} else {
			atomic_exchange(&v->nmi_asked, 1);
			virt_kick(v->cpu);
		}
		break;
	case DELIVER_INIT:
		/* A level-triggered de-assert has no meaning to today's APICs. */
		if ((icr & (ICR_LEVEL | ICR_ASSERT)) == ICR_LEVEL || atomic_load(&v->waiting))
			break;
		atomic_store(&v->sipi, 0);
		atomic_exchange(&v->init_asked, 1);
		if (v != from)
			virt_kick(v->cpu);
		break;
	default: /* SIPI: only one that waits hears it */
		if (v == from || !(atomic_load(&v->waiting) || atomic_load(&v->init_asked)))
			break;
		atomic_store(&v->sipi, VCPU_SIPI | (icr & 0xff));
		virt_kick(v->cpu);
	}
}

/* Logged the first time, the second, the fourth ...: the guest may do this as often as it likes. */
static void dropped(const struct vcpu *from, uint32_t icr, uint32_t to, const char *why)
{
	static _Atomic uint32_t drops;
	uint32_t n = atomic_fetch_add(&drops, 1) + 1;

	if (!(n & (n - 1)))
		log_warning("virt: CPU %u: APIC command 0x%x to %u dropped (%s; %u so far)",
			from->cpu, icr, to, why, n);
}

/* True: the command may go to the APIC as it is. */
static bool command(struct vcpu *from, uint32_t icr, uint32_t to)
{
	enum delivery mode = icr >> 8 & 7;
	bool found = false;

	if (mode == DELIVER_FIXED || mode == DELIVER_LOWEST)
		return true;
	if (mode != DELIVER_NMI && mode != DELIVER_INIT && mode != DELIVER_SIPI) {
		dropped(from, icr, to, "SMI, ExtINT or reserved");
		return false;
	}
	if (mode != DELIVER_NMI && wakeup_used()) {
		dropped(from, icr, to, "INIT or SIPI where CPUs start by the mailbox");
		return false;
	}
	for (unsigned i = 0; i < virt_cpus(); i++) {
		if (addressed(from, &virt_vcpu[i], icr, to)) {
			found = true;
			deliver(from, &virt_vcpu[i], icr);
		}
	}
	if (!found)
		dropped(from, icr, to, "INIT, SIPI or NMI to a CPU that is not the guest's");
	return false;
}

void apic_trap_write(struct vcpu *v, uint64_t gpa, uint32_t value)
{
	unsigned offset = gpa & 0xff0;

	if (offset == REG_ICR && !command(v, value, *reg(REG_ICR2) >> 24))
		return;
	if (offset == REG_LDR)
		v->apic_ldr = value;
	if (offset == REG_DFR)
		v->apic_dfr = value;
	*reg(offset) = value;
	if (offset == REG_COUNTERS)
		apic_trap_counters(v, value);
}

void apic_trap_counters(struct vcpu *v, uint32_t value)
{
	v->counters_open = (value & (LVT_MASKED | LVT_MODE)) == LVT_NMI;
}

void apic_trap_write_x2(struct vcpu *v, uint64_t value)
{
	if (command(v, (uint32_t)value, value >> 32))
		wrmsr(MSR_X2_ICR, value);
}
