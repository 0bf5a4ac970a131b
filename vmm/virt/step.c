/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "virt/apic_trap.h"
#include "virt/reset.h"
#include "virt/step.h"
#include "virt/vendor.h"

#define VECTOR_DF   8u
#define VECTOR_GP   13u
#define PORT_ABSENT 0xfff8u /* top of the port space: reads as ones on the machines we know */

/*
 * A stack or a descriptor table in memory that is not there: the handler would run on behind what is
 * replayed. The guest gets what it would get if its page tables refused that access.
 */
static bool undeliverable(struct vcpu *v)
{
	unsigned vector;

	if (!virt_vendor->delivering(v, &vector))
		return false;
	if (vector == VECTOR_DF)
		reset_machine(v, "no #DF can be delivered");
	step_cancel(v);
	virt_vendor->inject(v, VECTOR_DF, true, 0);
	return true;
}

void step_begin(struct vcpu *v, enum step_kind kind, uint64_t gpa)
{
	uint64_t page = gpa & ~(SLAT_PAGE - 1);

	if (undeliverable(v))
		return;
	if (v->step != STEP_NONE) {
		/*
		 * One instruction touches a second such page. Next to the first it is replayed with
		 * it; else no sane program does this, and it gets what a protection would give.
		 */
		if (kind == v->step && kind == STEP_ABSENT &&
			slat_detour_add(&virt_slat, &v->detour, page, (uintptr_t)v->step_page)) {
			v->flush = true;
			return;
		}
		step_cancel(v);
		virt_vendor->inject(v, VECTOR_GP, true, 0);
		return;
	}
	/* Above what the walk can reach the CPU itself refuses; above the SLAT's top we do. */
	if (gpa >= SLAT_LIMIT) {
		virt_vendor->inject(v, VECTOR_GP, true, 0);
		return;
	}
	if (kind == STEP_APIC)
		apic_trap_show(gpa, v->step_page);
	else
		memset(v->step_page, 0xff, SLAT_PAGE);
	v->step = kind;
	v->step_gpa = gpa;
	slat_detour_set(&virt_slat, &v->detour, page, (uintptr_t)v->step_page);
	virt_vendor->step(v, true);
	v->flush = true;
}

void step_begin_port(struct vcpu *v)
{
	if (v->step != STEP_NONE) {
		step_cancel(v);
		virt_vendor->inject(v, VECTOR_GP, true, 0);
		return;
	}
	memset(v->step_page, 0xff, SLAT_PAGE);
	v->step = STEP_PORT;
	v->step_rdx = v->gpr[GPR_RDX];
	v->gpr[GPR_RDX] = (v->step_rdx & ~0xffffull) | PORT_ABSENT;
	/* The replay's root must lead somewhere: to absent memory, which nothing else names. */
	slat_detour_set(&virt_slat, &v->detour, SLAT_LIMIT - SLAT_PAGE, (uintptr_t)v->step_page);
	virt_vendor->step(v, true);
	v->flush = true;
}

static enum step_kind leave(struct vcpu *v)
{
	enum step_kind kind = v->step;

	if (kind != STEP_NONE) {
		if (kind == STEP_PORT)
			v->gpr[GPR_RDX] = v->step_rdx;
		v->step = STEP_NONE;
		virt_vendor->step(v, false);
		v->flush = true;
	}
	return kind;
}

void step_end(struct vcpu *v)
{
	if (leave(v) == STEP_APIC)
		apic_trap_write(
			v, v->step_gpa, *(uint32_t *)(v->step_page + (v->step_gpa & 0xff0)));
}

void step_cancel(struct vcpu *v)
{
	leave(v);
}
