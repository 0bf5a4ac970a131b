/* SPDX-License-Identifier: MIT */
/* The VMCS of a CPU that begins: controls, host state, guest state (SDM vol. 3C 25.4-25.8). */
#include "machine/registers.h"
#include "machine/x86.h"
#include "slat/ept.h"
#include "virt/vendor.h"
#include "virt/virt.h"
#include "virt/vmx/access.h"
#include "virt/vmx/vmx.h"

#define MSR_PAT       0x277u
#define MSR_CR0_FIXED 0x486u
#define MSR_CR4_FIXED 0x488u

#define SELECTOR_CODE 0x08u /* the VMM's own GDT */
#define SELECTOR_DATA 0x10u

enum segment { ES, CS, SS, DS, FS, GS, LDTR, TR };

struct __attribute__((packed)) table {
	uint16_t limit;
	uint64_t base;
};

static void segment(
	enum segment s, uint16_t selector, uint64_t base, uint32_t limit, uint32_t rights)
{
	vmwrite(VMCS_GUEST_ES_SELECTOR + 2 * s, selector);
	vmwrite(VMCS_GUEST_ES_BASE + 2 * s, base);
	vmwrite(VMCS_GUEST_ES_LIMIT + 2 * s, limit);
	vmwrite(VMCS_GUEST_ES_RIGHTS + 2 * s, rights);
}

static void data_segments(uint16_t selector, uint32_t limit, uint32_t rights)
{
	static const enum segment all[] = {ES, SS, DS, FS, GS};

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		segment(all[i], selector, 0, limit, rights);
}

static void controls(const struct vcpu *v)
{
	const struct vmx *x = vmx_of(v);

	vmwrite(VMCS_PIN, vmx_controls.pin);
	vmwrite(VMCS_PROC, vmx_controls.proc);
	vmwrite(VMCS_PROC2, vmx_controls.proc2);
	vmwrite(VMCS_EXIT, vmx_controls.exit);
	vmwrite(VMCS_ENTRY, vmx_controls.entry);
	if (vmx_controls.proc2 & PROC2_VPID)
		vmwrite(VMCS_VPID, 1);
	if (vmx_controls.proc2 & PROC2_XSAVES)
		vmwrite(VMCS_XSS_BITMAP, 0);
	vmwrite(VMCS_EXCEPTIONS, 0);
	vmwrite(VMCS_FAULT_MASK, 0);
	vmwrite(VMCS_FAULT_MATCH, 0);
	vmwrite(VMCS_CR3_TARGETS, 0);
	vmwrite(VMCS_EXIT_STORES, 0);
	vmwrite(VMCS_EXIT_LOADS, 0);
	vmwrite(VMCS_ENTRY_LOADS, 0);
	vmwrite(VMCS_IO_BITMAP_A, (uintptr_t)vmx_io_map);
	vmwrite(VMCS_IO_BITMAP_B, (uintptr_t)vmx_io_map + 4096);
	vmwrite(VMCS_MSR_BITMAP, (uintptr_t)x->msr_map);
	vmwrite(VMCS_TSC_OFFSET, v->tsc_offset);
	vmwrite(VMCS_EPT_POINTER, x->pointer);
	vmwrite(VMCS_LINK, UINT64_MAX);
	/*
	 * What VMX fixes to 1 is not the guest's; but for PE and PG, which an unrestricted guest has.
	 * CR4: the VMX and SMX enables are hidden too, and read as 0.
	 */
	vmwrite(VMCS_CR0_MASK, rdmsr(MSR_CR0_FIXED) & ~(CR0_PE | CR0_PG));
	vmwrite(VMCS_CR4_MASK, rdmsr(MSR_CR4_FIXED) | CR4_SMXE);
	vmwrite(VMCS_CR4_SHADOW, 0);
}

static void host(void)
{
	struct table gdt, idt;
	uint64_t task = 0;
	const uint64_t *row;

	__asm__ volatile("sgdt %0" : "=m"(gdt));
	__asm__ volatile("sidt %0" : "=m"(idt));
	__asm__ volatile("str %w0" : "+r"(task));
	row = (const uint64_t *)(gdt.base + task);
	vmwrite(VMCS_HOST_CS_SELECTOR, SELECTOR_CODE);
	vmwrite(VMCS_HOST_SS_SELECTOR, SELECTOR_DATA);
	vmwrite(VMCS_HOST_DS_SELECTOR, SELECTOR_DATA);
	vmwrite(VMCS_HOST_ES_SELECTOR, SELECTOR_DATA);
	vmwrite(VMCS_HOST_FS_SELECTOR, 0);
	vmwrite(VMCS_HOST_GS_SELECTOR, 0);
	vmwrite(VMCS_HOST_TR_SELECTOR, task);
	vmwrite(VMCS_HOST_TR_BASE, (row[0] >> 16 & 0xffffff) | (row[0] >> 56 & 0xff) << 24 |
					   (row[1] & UINT32_MAX) << 32);
	vmwrite(VMCS_HOST_FS_BASE, 0);
	vmwrite(VMCS_HOST_GS_BASE, 0);
	vmwrite(VMCS_HOST_GDTR_BASE, gdt.base);
	vmwrite(VMCS_HOST_IDTR_BASE, idt.base);
	vmwrite(VMCS_HOST_CR0, read_cr0());
	vmwrite(VMCS_HOST_CR3, read_cr3());
	vmwrite(VMCS_HOST_CR4, read_cr4());
	vmwrite(VMCS_HOST_PAT, rdmsr(MSR_PAT));
	vmwrite(VMCS_HOST_EFER, rdmsr(MSR_EFER));
	vmwrite(VMCS_HOST_SYSENTER_CS, 0);
	vmwrite(VMCS_HOST_SYSENTER_ESP, 0);
	vmwrite(VMCS_HOST_SYSENTER_EIP, 0);
	vmwrite(VMCS_HOST_RIP, (uintptr_t)vmx_exit);
}

/* CR0 as the guest sees it. */
static void control_registers(uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t efer)
{
	vmwrite(VMCS_CR0_SHADOW, cr0);
	vmwrite(VMCS_GUEST_CR0, cr0 | (rdmsr(MSR_CR0_FIXED) & ~(CR0_PE | CR0_PG)));
	vmwrite(VMCS_GUEST_CR3, cr3);
	vmwrite(VMCS_GUEST_CR4, cr4 | rdmsr(MSR_CR4_FIXED));
	vmwrite(VMCS_GUEST_EFER, efer);
	vmwrite(VMCS_ENTRY, vmx_controls.entry | (efer & EFER_LMA ? ENTRY_GUEST_LONG : 0));
}

/* What is the same however this CPU begins. */
static void fresh(struct vcpu *v)
{
	struct vmx *x = vmx_of(v);
	uint64_t address = (uintptr_t)x->vmcs;
	bool failed;

	__asm__ volatile("vmclear %1" : "=@ccbe"(failed) : "m"(address) : "memory");
	check(!failed);
	__asm__ volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(address) : "memory");
	check(!failed);
	x->launched = false;
	x->event = 0;
	x->pointer = ept_pointer(virt_slat.root);
	controls(v);
	host();
	segment(LDTR, 0, 0, 0xffff, RIGHTS_LDT);
	segment(TR, 0, 0, 0xffff, RIGHTS_TSS);
	vmwrite(VMCS_GUEST_GDTR_BASE, 0);
	vmwrite(VMCS_GUEST_IDTR_BASE, 0);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, 0xffff);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, 0xffff);
	vmwrite(VMCS_GUEST_DR7, DR7_RESET);
	vmwrite(VMCS_GUEST_PAT, PAT_RESET);
	vmwrite(VMCS_GUEST_DEBUGCTL, 0);
	vmwrite(VMCS_GUEST_BLOCKING, 0);
	vmwrite(VMCS_GUEST_ACTIVITY, 0);
	vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
	vmwrite(VMCS_GUEST_SYSENTER_CS, 0);
	vmwrite(VMCS_GUEST_SYSENTER_ESP, 0);
	vmwrite(VMCS_GUEST_SYSENTER_EIP, 0);
	write_dr6(DR6_RESET);
	v->step = STEP_NONE;
	v->rflags = 2;
	for (unsigned i = 0; i < 16; i++)
		v->gpr[i] = 0;
}

void vmx_state_begin(struct vcpu *v, const struct virt_entry *entry)
{
	fresh(v);
	segment(CS, 0x10, 0, UINT32_MAX, RIGHTS_CODE64);
	data_segments(0x18, UINT32_MAX, RIGHTS_DATA32);
	vmwrite(VMCS_GUEST_GDTR_BASE, entry->gdt);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, entry->gdt_limit);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, 0);
	control_registers(CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_PE, entry->cr3, CR4_PAE,
		EFER_LME | EFER_LMA);
	v->rip = entry->rip;
	v->gpr[GPR_RSI] = entry->rsi;
}

/* The state after INIT and SIPI (SDM vol. 3A table 10-1, 10.4.4). */
void vmx_state_startup(struct vcpu *v, uint8_t page)
{
	fresh(v);
	segment(CS, (uint16_t)(page << 8), (uint64_t)page << 12, 0xffff, RIGHTS_CODE16);
	data_segments(0, 0xffff, RIGHTS_DATA16);
	control_registers(CR0_CD | CR0_NW | CR0_ET, 0, 0, 0);
	v->rip = 0;
	v->gpr[GPR_RDX] = cpuid(1, 0).eax;
}
