/* SPDX-License-Identifier: MIT */
#include "lib/panic.h"
#include "lib/text.h"
#include "machine/cpu.h"
#include "machine/idt.h"
#include "machine/layout.h"
#include "machine/memory.h"
#include "machine/registers.h"
#include "machine/x86.h"
#include "slat/ept.h"
#include "virt/ports.h"
#include "virt/step.h"
#include "virt/vendor.h"
#include "virt/virt.h"
#include "virt/vmx/access.h"
#include "virt/vmx/vmx.h"

#define MSR_FEATURE_CONTROL 0x3au
#define MSR_BASIC           0x480u
#define MSR_CR0_FIXED       0x486u
#define MSR_CR4_FIXED       0x488u
#define BASIC_REVISION      0x7fffffffu
#define FEATURE_LOCKED      1u
#define FEATURE_VMX         4u

#define CPUID_XSAVE (1u << 26)

#define DR7_GD (1ull << 13)

#define VECTOR_DB 1u

#define INVEPT_ONE 1ull
#define INVEPT_ALL 2ull

#define REGION   4096u
#define IO_BYTES 8192u

uint8_t *vmx_io_map;
static bool giant_leaves;

static const char *missing(void)
{
	bool accessed_dirty = false;
	const char *what = vmx_need(layout_one_cpu(), &accessed_dirty, &giant_leaves);

	if (what)
		return what;
	ept_choose(accessed_dirty);
	idt_set(2, vmx_nmi);
	return NULL;
}

static bool giant(void)
{
	return giant_leaves;
}

static void prepare(void)
{
	vmx_io_map = memory_take(IO_BYTES, 4096, "I/O bitmaps");
	ports_close(virt_cpus(), vmx_io_map);
}

/* SDM vol. 3C 24.7. */
static void cpu_init_vmx(unsigned cpu)
{
	static uint8_t region[LAYOUT_CPUS][REGION] __attribute__((aligned(REGION)));
	uint64_t address = (uintptr_t)region[cpu], control = rdmsr(MSR_FEATURE_CONTROL);
	uint64_t cr0 = read_cr0() | rdmsr(MSR_CR0_FIXED);
	bool failed;

	if (!(control & FEATURE_LOCKED))
		wrmsr(MSR_FEATURE_CONTROL, control | FEATURE_LOCKED | FEATURE_VMX);
	else if (!(control & FEATURE_VMX))
		panic_boot("the firmware switched VMX off on CPU %u", cpu);
	__asm__ volatile("mov %0, %%cr0" ::"r"(cr0) : "memory");
	/* XSETBV is done for the guest. */
	write_cr4(read_cr4() | rdmsr(MSR_CR4_FIXED) |
		  (cpuid(1, 0).ecx & CPUID_XSAVE ? CR4_OSXSAVE : 0));
	*(uint32_t *)region[cpu] = rdmsr(MSR_BASIC) & BASIC_REVISION;
	__asm__ volatile("vmxon %1" : "=@ccbe"(failed) : "m"(address) : "memory");
	check(!failed);
}

static void make(struct vcpu *v)
{
	struct vmx *x = memory_take(sizeof(*x), 64, "vCPU");

	x->vmcs = memory_take(REGION, REGION, "VMCS");
	*(uint32_t *)x->vmcs = rdmsr(MSR_BASIC) & BASIC_REVISION;
	x->msr_map = memory_take(REGION, REGION, "MSR bitmap");
	vmx_msr_prepare(x->msr_map);
	v->vendor = x;
}

/* NMIs come at any time; what they end is seen to in entry.S. */
static void nothing(void)
{
}

static void sleep(const _Atomic uint32_t *word, uint32_t value)
{
	vmx_sleep(word, value, &virt_vcpu[cpu_number()].nmi_arrived);
}

static void forget(uint64_t pointer)
{
	struct {
		uint64_t pointer, zero;
	} what = {pointer, 0};
	uint64_t type = vmx_controls.invept_single ? INVEPT_ONE : INVEPT_ALL;
	bool failed;

	__asm__ volatile("invept %1, %2" : "=@ccbe"(failed) : "m"(what), "r"(type) : "memory");
	check(!failed);
}

static void run(struct vcpu *v, bool flush)
{
	struct vmx *x = vmx_of(v);
	enum vmx_entered entered;

	if (flush)
		forget(x->pointer);
	vmx_event_entry(v);
	if (vmx_controls.timer)
		vmwrite(VMCS_TIMER, vmx_controls.timer);
	vmwrite(VMCS_GUEST_RSP, v->gpr[GPR_RSP]);
	vmwrite(VMCS_GUEST_RIP, v->rip);
	vmwrite(VMCS_GUEST_RFLAGS, v->rflags);
	entered = vmx_enter(v->gpr, x->launched, &v->nmi_arrived);
	x->entered = entered != VMX_NMI;
	if (!x->entered)
		return;
	if (entered == VMX_FAILED)
		panic("CPU %u: VM entry failed: error %lu", v->cpu, vmread(VMCS_INSTRUCTION_ERROR));
	x->launched = true;
	v->gpr[GPR_RSP] = vmread(VMCS_GUEST_RSP);
	v->rip = vmread(VMCS_GUEST_RIP);
	v->rflags = vmread(VMCS_GUEST_RFLAGS);
	x->reason = (uint32_t)vmread(VMCS_REASON);
	x->vectoring = (uint32_t)vmread(VMCS_VECTORING);
	x->qualification = vmread(VMCS_QUALIFICATION);
}

void vmx_inject(struct vcpu *v, unsigned vector, bool has_error, uint32_t error)
{
	struct vmx *x = vmx_of(v);

	/* Real mode's exceptions have no error code. */
	has_error = has_error && vmread(VMCS_GUEST_CR0) & CR0_PE;
	x->event = EVENT_VALID | EVENT_HARDWARE | vector | (has_error ? EVENT_ERROR : 0);
	x->event_error = error;
}

void vmx_trap(struct vcpu *v, uint64_t dr6)
{
	write_dr6(read_dr6() | dr6);
	vmwrite(VMCS_GUEST_DR7, vmread(VMCS_GUEST_DR7) & ~DR7_GD);
	vmx_inject(v, VECTOR_DB, false, 0);
}

static bool code64(void)
{
	return vmread(VMCS_ENTRY) & ENTRY_GUEST_LONG && vmread(VMCS_GUEST_CS_RIGHTS) & RIGHTS_LONG;
}

void vmx_advance(struct vcpu *v, unsigned length)
{
	v->rip += length;
	if (!code64())
		v->rip = (uint32_t)v->rip;
	vmwrite(VMCS_GUEST_BLOCKING, vmread(VMCS_GUEST_BLOCKING) & ~(uint64_t)BLOCKED_SHADOW);
	if (v->step != STEP_NONE)
		step_end(v);
	/* The guest itself is stepping: it gets the trap that the instruction would have ended in. */
	if (v->rflags & FLAG_TF)
		vmx_trap(v, DR6_BS);
}

static void step(struct vcpu *v, bool on)
{
	struct vmx *x = vmx_of(v);

	if (on) {
		x->saved_flags = v->rflags & (FLAG_TF | FLAG_IF);
		x->saved_debug = vmread(VMCS_GUEST_DEBUGCTL);
		v->rflags = (v->rflags & ~FLAG_IF) | FLAG_TF;
		/* BTF would make TF trap branches only; a shadow needs IF, and ends here anyway. */
		vmwrite(VMCS_GUEST_DEBUGCTL, 0);
		vmwrite(VMCS_GUEST_BLOCKING,
			vmread(VMCS_GUEST_BLOCKING) & ~(uint64_t)BLOCKED_SHADOW);
		x->pointer = ept_pointer(v->detour.level[3]);
	} else {
		v->rflags = (v->rflags & ~(FLAG_TF | FLAG_IF)) | x->saved_flags;
		vmwrite(VMCS_GUEST_DEBUGCTL, x->saved_debug);
		x->pointer = ept_pointer(virt_slat.root);
	}
	vmwrite(VMCS_EXCEPTIONS, on ? UINT32_MAX : 0);
	vmwrite(VMCS_EPT_POINTER, x->pointer);
}

static bool delivering(const struct vcpu *v, unsigned *vector)
{
	*vector = vmx_of(v)->vectoring & 0xff;
	return vmx_of(v)->vectoring & EVENT_VALID;
}

static void paging(const struct vcpu *v, struct virt_paging *p)
{
	(void)v;
	p->cr0 = vmread(VMCS_GUEST_CR0);
	p->cr3 = vmread(VMCS_GUEST_CR3);
	p->cr4 = vmread(VMCS_GUEST_CR4);
	p->long_mode = vmread(VMCS_ENTRY) & ENTRY_GUEST_LONG;
	p->code64 = code64();
	p->cs_base = p->code64 ? 0 : vmread(VMCS_GUEST_CS_BASE);
	p->breakpoints = vmread(VMCS_GUEST_DR7) & DR7_ENABLED;
}

/* The VMCS can be read on its own CPU only. */
static uint64_t field(const struct vcpu *v, enum vmcs_field f)
{
	return cpu_number() == v->cpu && vmx_of(v)->launched ? vmread(f) : 0;
}

static uint64_t describe(
	const struct vcpu *v, struct virt_shown *shown, char *buffer, uint64_t size)
{
	const struct vmx *x = vmx_of(v);

	*shown = (struct virt_shown){field(v, VMCS_GUEST_CS_SELECTOR), field(v, VMCS_GUEST_CR0),
		cpu_number() == v->cpu ? read_cr2() : 0, field(v, VMCS_GUEST_CR3),
		field(v, VMCS_GUEST_CR4), field(v, VMCS_GUEST_EFER)};
	return text_format(buffer, size, "%s (0x%x) info 0x%lx event 0x%x next 0x%x",
		vmx_exit_name(x->reason), x->reason, x->qualification, x->vectoring, x->event);
}

const struct virt_vendor vmx_vendor = {
	.name = "Intel VMX with EPT",
	.tables = &ept_tables,
	.missing = missing,
	.giant = giant,
	.prepare = prepare,
	.cpu_init = cpu_init_vmx,
	.make = make,
	.begin = vmx_state_begin,
	.startup = vmx_state_startup,
	.close = nothing,
	.open = nothing,
	.run = run,
	.handle = vmx_handle,
	.sleep = sleep,
	.advance = vmx_advance,
	.inject = vmx_inject,
	.step = step,
	.delivering = delivering,
	.paging = paging,
	.overflowed = vmx_event_counters,
	.counter = vmx_counter,
	.describe = describe,
};
