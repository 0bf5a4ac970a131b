/* SPDX-License-Identifier: MIT */
/* AMD APM vol. 3 appendix E; SDM vol. 2A, CPUID. */
#include <stddef.h>
#include <string.h>
#include "annex/doorbell.h"
#include "machine/apic.h"
#include "machine/registers.h"
#include "machine/x86.h"
#include "virt/leaves.h"
#include "virt/vendor.h"
#include "virt/virt.h"

#define LEAF1_DTES64  (1u << 2) /* debug store: its records go through the VMM's own tables */
#define LEAF1_MONITOR (1u << 3)
#define LEAF1_DSCPL   (1u << 4)
#define LEAF1_VMX     (1u << 5)
#define LEAF1_SMX     (1u << 6)
#define LEAF1_X2APIC  (1u << 21)
#define LEAF1_OSXSAVE (1u << 27)
#define LEAF1_DS      (1u << 21) /* EDX */
#define LEAF6_HFI     (1u << 19 | 1u << 23) /* feedback tables, at physical addresses */
#define LEAFD_TRACE   (1u << 8)
#define LEAF7_OSPKE   (1u << 4)
#define LEAF7_TRACE   (1u << 25)
#define EXT1_SVM      (1u << 2)
#define EXT1_SKINIT   (1u << 12)
#define EXT8_INVLPGB  (1u << 3) /* its ASIDs would be the VMM's */

static uint32_t mirror(uint32_t value, uint32_t bit, bool on)
{
	return on ? value | bit : value & ~bit;
}

static bool (*watcher)(uint64_t rsi);

void virt_watch(bool (*look)(uint64_t rsi))
{
	watcher = look;
}

static void watch(const struct vcpu *v)
{
	struct virt_paging p;

	virt_vendor->paging(v, &p);
	if (!(p.cr0 & CR0_PG) && watcher(v->gpr[GPR_RSI]))
		watcher = NULL;
}

/*
 * An outer hypervisor's clock and event pages would be written at our guest's addresses: in the place
 * of its leaves stands what tells of the doorbell.
 */
static struct cpuid hypervisor_leaf(uint32_t leaf)
{
	static const char signature[12] = DOORBELL_SIGNATURE;
	struct cpuid r = {0};

	if (leaf == DOORBELL_LEAF) {
		r.eax = DOORBELL_LEAF + 1;
		memcpy(&r.ebx, &signature[0], 4);
		memcpy(&r.ecx, &signature[4], 4);
		memcpy(&r.edx, &signature[8], 4);
	} else if (leaf == DOORBELL_LEAF + 1) {
		r.eax = DOORBELL_VERSION;
		r.ebx = DOORBELL_PORT;
	}
	return r;
}

void leaves_cpuid(struct vcpu *v, uint64_t cr4)
{
	uint32_t leaf = (uint32_t)v->gpr[GPR_RAX], sub = (uint32_t)v->gpr[GPR_RCX];
	struct cpuid r = cpuid(leaf, sub);

	/* The boot CPU's alone: the others start when the kernel is there. */
	if (watcher && v->cpu == 0)
		watch(v);
	switch (leaf) {
	case 1:
		r.ecx &= ~(LEAF1_DTES64 | LEAF1_MONITOR | LEAF1_DSCPL | LEAF1_VMX | LEAF1_SMX);
		r.edx &= ~LEAF1_DS;
		if (!apic_x2())
			r.ecx &= ~LEAF1_X2APIC;
		r.ecx = mirror(r.ecx, LEAF1_OSXSAVE, cr4 & CR4_OSXSAVE);
		break;
	case 7:
		if (sub == 0) {
			r.ecx = mirror(r.ecx, LEAF7_OSPKE, cr4 & CR4_PKE);
			r.ebx &= ~LEAF7_TRACE;
		}
		break;
	case 6:
		r.eax &= ~LEAF6_HFI;
		break;
	case 0xd:
		if (sub == 1)
			r.ecx &= ~LEAFD_TRACE;
		break;
	case 0x80000008:
		r.ebx &= ~EXT8_INVLPGB;
		break;
	case 0x80000001:
		r.ecx &= ~(EXT1_SVM | EXT1_SKINIT);
		break;
	case 5: /* MONITOR */
	case 0x14: /* processor trace, which writes to physical addresses */
	case 0x8000000a: /* SVM */
	case 0x8000001f: /* memory encryption: its bit of an address would be the SLAT's */
		r = (struct cpuid){0};
		break;
	}
	if (leaf >> 28 == 4)
		r = hypervisor_leaf(leaf);
	v->gpr[GPR_RAX] = r.eax;
	v->gpr[GPR_RBX] = r.ebx;
	v->gpr[GPR_RCX] = r.ecx;
	v->gpr[GPR_RDX] = r.edx;
}
