/* SPDX-License-Identifier: MIT */
/*
 * The one table of what ends a stay in the guest (SDM vol. 3D appendix C). A row without a handler
 * was never asked for: it means that the VMM is wrong about itself.
 */
#include <stddef.h>
#include "lib/event.h"
#include "lib/panic.h"
#include "machine/hidden.h"
#include "machine/x86.h"
#include "virt/fault.h"
#include "virt/idle.h"
#include "virt/leaves.h"
#include "virt/ports.h"
#include "virt/reset.h"
#include "virt/step.h"
#include "virt/vendor.h"
#include "virt/vmx/access.h"
#include "virt/vmx/vmx.h"

#define VECTOR_DB 1u
#define VECTOR_UD 6u
#define VECTOR_GP 13u
#define VECTOR_PF 14u

#define IO_IN     (1u << 3)
#define IO_STRING (1u << 4)

#define CR_NUMBER 0xfu
#define CR_ACCESS 0x30u /* 0: MOV to the register */
#define CR_SOURCE 0xf00u

static unsigned length(void)
{
	return (unsigned)vmread(VMCS_LENGTH);
}

static void exit_stepped(struct vcpu *v, uint32_t event)
{
	uint64_t hits = step_hits(vmx_of(v)->qualification, vmread(VMCS_GUEST_DR7));
	unsigned vector = event & 0xff;

	if (vector == VECTOR_DB) {
		step_end(v);
		/* The guest's own breakpoints and single step end this instruction too. */
		if (hits || v->rflags & FLAG_TF)
			vmx_trap(v, hits | (v->rflags & FLAG_TF ? DR6_BS : 0));
		return;
	}
	step_cancel(v);
	if (event & EVENT_UNBLOCKED)
		vmwrite(VMCS_GUEST_BLOCKING, vmread(VMCS_GUEST_BLOCKING) | BLOCKED_NMI);
	if (vector == VECTOR_PF)
		write_cr2(vmx_of(v)->qualification);
	vmx_inject(v, vector, event & EVENT_ERROR, (uint32_t)vmread(VMCS_EXIT_ERROR));
}

static void exit_exception(struct vcpu *v)
{
	uint32_t event = (uint32_t)vmread(VMCS_EXIT_EVENT);

	if ((event & EVENT_TYPE) == EVENT_NMI_TYPE)
		vmx_event_nmi(v);
	else if (v->step != STEP_NONE)
		exit_stepped(v, event);
	else
		panic("CPU %u: exception 0x%x was not asked for", v->cpu, event);
}

/* A triple fault, or an INIT that no APIC of the guest sent: this is how chipsets reset a machine. */
static void exit_reset(struct vcpu *v)
{
	reset_machine(v, vmx_exit_name(vmx_of(v)->reason));
}

/* The exit itself was all. */
static void exit_nothing(struct vcpu *v)
{
	(void)v;
}

static void exit_undefined(struct vcpu *v)
{
	vmx_inject(v, VECTOR_UD, false, 0);
}

/* A task gate or a far jump to a TSS: no 64-bit system has them, and 32-bit ones only for #DF. */
static void exit_task(struct vcpu *v)
{
	vmx_inject(v, VECTOR_GP, true, 0);
}

static void exit_cpuid(struct vcpu *v)
{
	leaves_cpuid(v, vmread(VMCS_GUEST_CR4));
	vmx_advance(v, length());
}

static void exit_hlt(struct vcpu *v)
{
	vmx_advance(v, length());
	idle_halt(v, v->rflags & FLAG_IF);
}

/* INVD would throw away the VMM's own modified lines too. */
static void exit_invd(struct vcpu *v)
{
	__asm__ volatile("wbinvd" ::: "memory");
	vmx_advance(v, length());
}

/*
 * Only bits that VMX fixes get here. CR0: the guest sees its choice in the shadow, and the write is
 * executed again, now without an exit and with all that the CPU checks and does. CR4: hidden bits.
 */
static void exit_cr(struct vcpu *v)
{
	uint64_t q = vmx_of(v)->qualification, mask = vmread(VMCS_CR0_MASK);
	uint64_t value = v->gpr[(q & CR_SOURCE) >> 8];

	check(!(q & CR_ACCESS));
	if ((q & CR_NUMBER) == 0)
		vmwrite(VMCS_CR0_SHADOW, (vmread(VMCS_CR0_SHADOW) & ~mask) | (value & mask));
	else
		vmx_inject(v, VECTOR_GP, true, 0);
}

static void exit_io(struct vcpu *v)
{
	uint64_t q = vmx_of(v)->qualification;
	unsigned bytes = (q & 7) + 1;
	uint16_t port = (uint16_t)(q >> 16);

	/* Linux looks for fw_cfg with INS; through PCI's ports no driver moves strings. */
	if (q & IO_STRING) {
		if (hidden_find(HIDDEN_PORTS, port, port + bytes - 1))
			step_begin_port(v);
		else
			vmx_inject(v, VECTOR_GP, true, 0);
		return;
	}
	ports_access(v, port, bytes, q & IO_IN);
	vmx_advance(v, length());
}

static void exit_violation(struct vcpu *v)
{
	/* Nothing has been executed, so no single step is pending; Bochs 2.7 says so and would trap. */
	if (v->rflags & FLAG_TF && !(vmread(VMCS_GUEST_BLOCKING) & BLOCKED_MOV_SS))
		vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
	fault_handle(v, vmread(VMCS_GUEST_PHYSICAL), vmx_of(v)->qualification & EPT_QUALIFY_WRITE);
}

static void exit_misconfigured(struct vcpu *v)
{
	uint64_t gpa = vmread(VMCS_GUEST_PHYSICAL);
	unsigned level;
	uint64_t entry = slat_entry(&virt_slat, gpa, &level);

	panic("CPU %u: EPT misconfiguration at 0x%lx: the VMM wrote entry 0x%lx of level %u",
		v->cpu, gpa, entry, level);
}

/* What XSETBV checks (SDM vol. 1 13.3), so that ours in its place does not fault. */
static bool xcr0_valid(uint64_t value)
{
	struct cpuid leaf = cpuid(0xd, 0);
	uint64_t avx512 = value & 0xe0, mpx = value & 0x18, tiles = value & 0x60000;

	if (value & ~((uint64_t)leaf.edx << 32 | leaf.eax) || !(value & 1))
		return false;
	if ((value & 4 && !(value & 2)) || (avx512 && (avx512 != 0xe0 || !(value & 4))))
		return false;
	return (!mpx || mpx == 0x18) && (!tiles || tiles == 0x60000);
}

static void exit_xsetbv(struct vcpu *v)
{
	uint32_t low = (uint32_t)v->gpr[GPR_RAX], high = (uint32_t)v->gpr[GPR_RDX];

	if ((uint32_t)v->gpr[GPR_RCX] || !xcr0_valid((uint64_t)high << 32 | low)) {
		vmx_inject(v, VECTOR_GP, true, 0);
		return;
	}
	__asm__ volatile("xsetbv" ::"c"(0), "a"(low), "d"(high) : "memory");
	vmx_advance(v, length());
}

static const struct row {
	const char *name;
	void (*handler)(struct vcpu *v);
} rows[VMX_ROWS] = {
	[0] = {"exception_or_nmi", exit_exception},
	[1] = {"external_interrupt", NULL},
	[2] = {"triple_fault", exit_reset},
	[3] = {"init", exit_reset},
	[4] = {"sipi", NULL},
	[5] = {"io_smi", NULL},
	[6] = {"other_smi", NULL},
	[7] = {"interrupt_window", NULL},
	[8] = {"nmi_window", exit_nothing},
	[9] = {"task_switch", exit_task},
	[10] = {"cpuid", exit_cpuid},
	[11] = {"getsec", exit_undefined},
	[12] = {"hlt", exit_hlt},
	[13] = {"invd", exit_invd},
	[14] = {"invlpg", NULL},
	[15] = {"rdpmc", NULL},
	[16] = {"rdtsc", NULL},
	[17] = {"rsm", NULL},
	[18] = {"vmcall", exit_undefined},
	[19] = {"vmclear", exit_undefined},
	[20] = {"vmlaunch", exit_undefined},
	[21] = {"vmptrld", exit_undefined},
	[22] = {"vmptrst", exit_undefined},
	[23] = {"vmread", exit_undefined},
	[24] = {"vmresume", exit_undefined},
	[25] = {"vmwrite", exit_undefined},
	[26] = {"vmxoff", exit_undefined},
	[27] = {"vmxon", exit_undefined},
	[28] = {"cr_access", exit_cr},
	[29] = {"dr_access", NULL},
	[30] = {"io", exit_io},
	[31] = {"rdmsr", vmx_msr_read},
	[32] = {"wrmsr", vmx_msr_write},
	[33] = {"invalid_guest_state", NULL},
	[34] = {"msr_loading", NULL},
	[36] = {"mwait", exit_undefined},
	[37] = {"monitor_trap", NULL},
	[39] = {"monitor", exit_undefined},
	[40] = {"pause", NULL},
	[41] = {"machine_check", NULL},
	[43] = {"tpr_below_threshold", NULL},
	[44] = {"apic_access", NULL},
	[45] = {"virtualized_eoi", NULL},
	[46] = {"gdtr_idtr", NULL},
	[47] = {"ldtr_tr", NULL},
	[REASON_EPT] = {"ept_violation", exit_violation},
	[49] = {"ept_misconfiguration", exit_misconfigured},
	[50] = {"invept", exit_undefined},
	[51] = {"rdtscp", NULL},
	[52] = {"preemption_timer", exit_nothing},
	[53] = {"invvpid", exit_undefined},
	[54] = {"wbinvd", NULL},
	[55] = {"xsetbv", exit_xsetbv},
	[56] = {"apic_write", NULL},
	[57] = {"rdrand", NULL},
	[58] = {"invpcid", NULL},
	[59] = {"vmfunc", exit_undefined},
	[60] = {"encls", NULL},
	[61] = {"rdseed", NULL},
	[62] = {"page_log_full", NULL},
	[63] = {"xsaves", NULL},
	[64] = {"xrstors", NULL},
	[65] = {"pconfig", exit_undefined},
	[66] = {"spp", NULL},
	[67] = {"umwait", NULL},
	[68] = {"tpause", NULL},
	[69] = {"loadiwkey", NULL},
	[70] = {"enclv", NULL},
	[72] = {"enqcmd_pasid", NULL},
	[73] = {"enqcmds_pasid", NULL},
	[74] = {"bus_lock", NULL},
	[75] = {"notify_window", NULL},
	[76] = {"seamcall", exit_undefined},
	[77] = {"tdcall", exit_undefined},
	[78] = {"rdmsrlist", NULL},
	[79] = {"wrmsrlist", NULL},
	[80] = {"urdmsr", NULL},
	[81] = {"uwrmsr", NULL},
	[84] = {"rdmsr_immediate", NULL},
	[85] = {"wrmsrns_immediate", NULL},
};

const char *vmx_exit_name(uint32_t reason)
{
	uint32_t row = reason & REASON_MASK;

	return row < VMX_ROWS && rows[row].name ? rows[row].name : "unknown";
}

void vmx_handle(struct vcpu *v)
{
	const struct vmx *x = vmx_of(v);
	uint32_t row = x->reason & REASON_MASK;

	if (!x->entered)
		return;
	if (x->reason & REASON_FAILED || row >= VMX_ROWS || !rows[row].handler)
		panic("CPU %u: exit %s (0x%x, info 0x%lx) was not asked for", v->cpu,
			vmx_exit_name(x->reason), x->reason, x->qualification);
	vmx_event_exit(v);
	vmx_of(v)->count[row]++;
	if (row != REASON_EPT)
		event_record(EVENT_EXIT, row, v->rip);
	rows[row].handler(v);
}

bool vmx_counter(const struct vcpu *v, unsigned index, const char **name, uint64_t *value)
{
	for (unsigned i = 0; i < VMX_ROWS; i++) {
		if (rows[i].handler && index-- == 0) {
			*name = rows[i].name;
			*value = vmx_of(v)->count[i];
			return true;
		}
	}
	return false;
}
