/* SPDX-License-Identifier: MIT */
/* AMD SVM with nested paging (APM vol. 2 chapter 15). Shared among virt/svm only. */
#ifndef ANNEX_SVM_H
#define ANNEX_SVM_H

#include <stdbool.h>
#include <stdint.h>
#include "virt/svm/vmcb.h"
#include "virt/vcpu.h"

#define SVM_ROWS 0x108u /* of the exit table */

struct svm {
	struct vmcb *vmcb;
	uint64_t host_cr4;
	uint64_t saved_flags; /* TF and IF of the guest while it is stepped */
	uint64_t saved_dr6;
	uint64_t iret_rip; /* of the IRET that ends its NMI handler */
	uint64_t refused_rip; /* of a MOV to CR that QEMU's emulation refused */
	bool nmi_blocked; /* the guest is in its NMI handler */
	bool iret_reached; /* it has come to that IRET */
	bool iret_stepped; /* that IRET runs alone, because another NMI waits */
	uint64_t count[SVM_ROWS];
};

static inline struct svm *svm_of(const struct vcpu *v)
{
	return v->vendor;
}

static inline struct vmcb *vmcb_of(const struct vcpu *v)
{
	return svm_of(v)->vmcb;
}

/* What this CPU can do. */
struct svm_features {
	bool next_rip;
	bool flush_by_asid;
	bool counters_extended; /* six performance counters instead of four */
	uint32_t asids;
};

extern struct svm_features svm_features;

/* svm.c */
void svm_advance(struct vcpu *v, unsigned length);
/*
 * Length of the instruction that exited, `opcode` bytes behind its prefixes. False: not known now; the
 * guest is to execute it again.
 */
bool svm_length(const struct vcpu *v, unsigned opcode, unsigned *length);
void svm_inject(struct vcpu *v, unsigned vector, bool has_error, uint32_t error);

/* exits.c */
void svm_handle(struct vcpu *v);
bool svm_counter(const struct vcpu *v, unsigned index, const char **name, uint64_t *value);
const char *svm_exit_name(uint64_t code);

/* event.c: what interrupted a delivery, and the guest's NMIs */
void svm_event_exit(struct vcpu *v);
void svm_event_entry(struct vcpu *v);
void svm_event_nmi(struct vcpu *v);
void svm_event_iret(struct vcpu *v);
bool svm_event_wants_iret(const struct vcpu *v); /* the guest's NMI handler has yet to end */
bool svm_event_trap(struct vcpu *v); /* #DB: was it the step over IRET? */

/* window.c: one CPU only, where interrupts and HLT exit */
void svm_window_close(struct vcpu *v); /* at each exit */
void svm_window_open(struct vcpu *v); /* an interrupt waits */
void svm_window_halt(struct vcpu *v); /* the guest has nothing to do */

/* msr.c */
void svm_msr_prepare(uint8_t *map);
void svm_msr(struct vcpu *v);

/* counters.c */
bool svm_counters_overflowed(struct vcpu *v);

/* entry.S */
void svm_enter(uint64_t vmcb, uint64_t *gpr);
void svm_load(uint64_t vmcb);
void svm_close(void);
void svm_open(void);
void svm_sleep(const _Atomic uint32_t *word, uint32_t value);
void svm_nmi(void);

#endif
