/* SPDX-License-Identifier: MIT */
/* Intel VMX with EPT (SDM vol. 3C chapters 24-29). Shared among virt/vmx only. */
#ifndef ANNEX_VMX_H
#define ANNEX_VMX_H

#include <stdbool.h>
#include <stdint.h>
#include "virt/vcpu.h"

#define VMX_ROWS 88u /* of the exit table */

struct virt_entry;

struct vmx {
	void *vmcs;
	uint8_t *msr_map;
	bool launched;
	bool entered; /* false: an NMI came before the entry, nothing has happened */

	/* The last exit. */
	uint32_t reason;
	uint32_t vectoring;
	uint64_t qualification;

	/* What the next entry injects; stays until an entry has taken it. */
	uint32_t event;
	uint32_t event_error;
	uint32_t event_length;

	uint64_t pointer; /* EPT pointer in use */
	uint64_t saved_flags; /* TF and IF of the guest while it is stepped */
	uint64_t saved_debug; /* its DEBUGCTL */
	uint64_t count[VMX_ROWS];
};

static inline struct vmx *vmx_of(const struct vcpu *v)
{
	return v->vendor;
}

/* The controls that this machine's CPUs allow of those that we want. */
struct vmx_controls {
	uint32_t pin, proc, proc2, exit, entry;
	uint64_t timer; /* the preemption timer's start, or 0: not used */
	bool invept_single;
};

extern struct vmx_controls vmx_controls;

/* need.c: what the CPU must have. Boot CPU. */
const char *vmx_need(bool one_cpu, bool *accessed_dirty, bool *giant);

/* state.c: the VMCS as a CPU begins */
void vmx_state_begin(struct vcpu *v, const struct virt_entry *entry);
void vmx_state_startup(struct vcpu *v, uint8_t page);

/* vmx.c */
extern uint8_t *vmx_io_map;
void vmx_advance(struct vcpu *v, unsigned length);
void vmx_inject(struct vcpu *v, unsigned vector, bool has_error, uint32_t error);
/* #DB with what it adds to DR6. */
void vmx_trap(struct vcpu *v, uint64_t dr6);

/* exits.c */
void vmx_handle(struct vcpu *v);
bool vmx_counter(const struct vcpu *v, unsigned index, const char **name, uint64_t *value);
const char *vmx_exit_name(uint32_t reason);

/* event.c: what interrupted a delivery, and the guest's NMIs */
void vmx_event_exit(struct vcpu *v);
void vmx_event_entry(struct vcpu *v);
void vmx_event_nmi(struct vcpu *v);
bool vmx_event_counters(struct vcpu *v);

/* msr.c */
void vmx_msr_prepare(uint8_t *map);
void vmx_msr_read(struct vcpu *v);
void vmx_msr_write(struct vcpu *v);

/* entry.S */
enum vmx_entered {
	VMX_EXITED,
	VMX_NMI, /* came before the entry */
	VMX_FAILED,
};

uint32_t vmx_enter(uint64_t *gpr, bool launched, const _Atomic uint32_t *nmi_arrived);
void vmx_exit(void);
void vmx_sleep(const _Atomic uint32_t *word, uint32_t value, const _Atomic uint32_t *nmi_arrived);
void vmx_nmi(void);

#endif
