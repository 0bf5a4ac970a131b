/* SPDX-License-Identifier: MIT */
/* What this machine's VMX must have and what it has besides (SDM vol. 3D appendix A). */
#include <stddef.h>
#include "machine/clock.h"
#include "machine/x86.h"
#include "virt/vmx/vmcs.h"
#include "virt/vmx/vmx.h"

#define MSR_FEATURE_CONTROL 0x3au
#define MSR_BASIC           0x480u
#define MSR_MISC            0x485u
#define MSR_PROC2           0x48bu
#define MSR_EPT             0x48cu
#define MSR_PIN             0x48du /* these four: the true controls */
#define MSR_PROC            0x48eu
#define MSR_EXIT            0x48fu
#define MSR_ENTRY           0x490u

#define FEATURE_LOCKED 1u
#define FEATURE_VMX    4u
#define BASIC_TRUE     (1ull << 55)
#define CPUID_VMX      (1u << 5)

#define EPT_4_LEVELS   (1ull << 6)
#define EPT_WRITE_BACK (1ull << 14)
#define EPT_2M         (1ull << 16)
#define EPT_1G         (1ull << 17)
#define EPT_INVEPT     (1ull << 20)
#define EPT_AD         (1ull << 21)
#define EPT_INVEPT_ONE (1ull << 25)
#define EPT_INVEPT_ALL (1ull << 26)

/* A guest that computes gives the service loop its turn at least so often (one CPU). */
#define TURN_NS 2000000ull

struct vmx_controls vmx_controls;

static const struct need {
	uint32_t msr;
	uint32_t bit;
	const char *name;
} needs[] = {
	{MSR_PIN, PIN_NMI, "VMX: NMI exiting"},
	{MSR_PIN, PIN_VIRTUAL_NMIS, "VMX: virtual NMIs"},
	{MSR_PROC, PROC_TSC_OFFSET, "VMX: TSC offsetting"},
	{MSR_PROC, PROC_NMI_WINDOW, "VMX: NMI-window exiting"},
	{MSR_PROC, PROC_IO_BITMAPS, "VMX: I/O bitmaps"},
	{MSR_PROC, PROC_MSR_BITMAP, "VMX: MSR bitmaps"},
	{MSR_PROC, PROC_HLT, "VMX: HLT exiting"},
	{MSR_PROC, PROC_MWAIT, "VMX: MWAIT exiting"},
	{MSR_PROC, PROC_MONITOR, "VMX: MONITOR exiting"},
	{MSR_PROC, PROC_SECOND, "VMX: secondary controls"},
	{MSR_PROC2, PROC2_EPT, "VMX: EPT"},
	{MSR_PROC2, PROC2_UNRESTRICTED, "VMX: unrestricted guest"},
	{MSR_EXIT, EXIT_HOST_LONG, "VMX: 64-bit host"},
	{MSR_EXIT, EXIT_SAVE_DEBUG, "VMX: saving of debug controls"},
	{MSR_EXIT, EXIT_SAVE_PAT, "VMX: saving of PAT"},
	{MSR_EXIT, EXIT_LOAD_PAT, "VMX: loading of the host's PAT"},
	{MSR_EXIT, EXIT_SAVE_EFER, "VMX: saving of EFER"},
	{MSR_EXIT, EXIT_LOAD_EFER, "VMX: loading of the host's EFER"},
	{MSR_ENTRY, ENTRY_LOAD_DEBUG, "VMX: loading of debug controls"},
	{MSR_ENTRY, ENTRY_GUEST_LONG, "VMX: 64-bit guests"},
	{MSR_ENTRY, ENTRY_LOAD_PAT, "VMX: loading of the guest's PAT"},
	{MSR_ENTRY, ENTRY_LOAD_EFER, "VMX: loading of the guest's EFER"},
};

/* The low half says what must be 1, the high half what may be. */
static uint32_t allowed(uint32_t msr, uint32_t want)
{
	uint64_t capability = rdmsr(msr);

	return (want | (uint32_t)capability) & (uint32_t)(capability >> 32);
}

static const char *need_ept(bool *accessed_dirty, bool *giant)
{
	uint64_t ept = rdmsr(MSR_EPT);

	if (!(ept & EPT_4_LEVELS))
		return "VMX: EPT of four levels";
	if (!(ept & EPT_WRITE_BACK))
		return "VMX: EPT in write-back memory";
	if (!(ept & EPT_2M))
		return "VMX: EPT with 2 MiB pages";
	if (!(ept & EPT_INVEPT) || !(ept & (EPT_INVEPT_ONE | EPT_INVEPT_ALL)))
		return "VMX: INVEPT";
	vmx_controls.invept_single = ept & EPT_INVEPT_ONE;
	*accessed_dirty = ept & EPT_AD;
	*giant = ept & EPT_1G;
	return NULL;
}

static void choose(bool one_cpu)
{
	struct vmx_controls *c = &vmx_controls;

	c->pin = allowed(MSR_PIN, PIN_NMI | PIN_VIRTUAL_NMIS | (one_cpu ? PIN_TIMER : 0));
	c->proc =
		allowed(MSR_PROC, PROC_TSC_OFFSET | PROC_MWAIT | PROC_MONITOR | PROC_IO_BITMAPS |
					  PROC_MSR_BITMAP | PROC_SECOND | (one_cpu ? PROC_HLT : 0));
	c->proc2 = allowed(MSR_PROC2, PROC2_EPT | PROC2_UNRESTRICTED | PROC2_VPID | PROC2_RDTSCP |
					      PROC2_INVPCID | PROC2_XSAVES | PROC2_USER_WAIT);
	c->exit = allowed(MSR_EXIT, EXIT_HOST_LONG | EXIT_SAVE_DEBUG | EXIT_SAVE_PAT |
					    EXIT_LOAD_PAT | EXIT_SAVE_EFER | EXIT_LOAD_EFER);
	c->entry = allowed(MSR_ENTRY, ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER);
	c->timer = 0;
	if (one_cpu)
		c->timer = (clock_tsc(TURN_NS) >> (rdmsr(MSR_MISC) & 31)) + 1;
}

const char *vmx_need(bool one_cpu, bool *accessed_dirty, bool *giant)
{
	uint64_t control;
	const char *missing;

	if (!(cpuid(1, 0).ecx & CPUID_VMX))
		return "VMX (Intel virtualisation; under QEMU with KVM: -cpu host)";
	control = rdmsr(MSR_FEATURE_CONTROL);
	if (control & FEATURE_LOCKED && !(control & FEATURE_VMX))
		return "VMX (switched off by the firmware)";
	if (!(rdmsr(MSR_BASIC) & BASIC_TRUE))
		return "VMX: the true controls";
	for (unsigned i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		if (!(rdmsr(needs[i].msr) >> 32 & needs[i].bit))
			return needs[i].name;
	}
	if ((uint32_t)rdmsr(MSR_PROC) & PROC_CR3)
		return "VMX: CR3 accesses without exits";
	if (one_cpu && !(rdmsr(MSR_PIN) >> 32 & PIN_TIMER))
		return "VMX: the preemption timer, which a machine with one CPU needs";
	missing = need_ept(accessed_dirty, giant);
	if (!missing)
		choose(one_cpu);
	return missing;
}
