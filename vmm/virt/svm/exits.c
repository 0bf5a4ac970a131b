/* SPDX-License-Identifier: MIT */
/*
 * The one table of what ends a stay in the guest (APM vol. 2 appendix C): every code has a name, a
 * counter and a handler.
 */
#include <stddef.h>
#include "lib/event.h"
#include "lib/panic.h"
#include "machine/hidden.h"
#include "machine/x86.h"
#include "virt/fault.h"
#include "virt/insn.h"
#include "virt/leaves.h"
#include "virt/ports.h"
#include "virt/reset.h"
#include "virt/step.h"
#include "virt/svm/svm.h"

#define VECTOR_DB 1u
#define VECTOR_UD 6u
#define VECTOR_GP 13u
#define VECTOR_PF 14u
/* #DF #TS #NP #SS #GP #PF #AC #CP #VC #SX push an error code. */
#define WITH_ERROR 0x60227d00u

#define IO_IN     1u
#define IO_STRING 4u

#define NPF_WRITE 2u

static void exit_exception(struct vcpu *v)
{
	struct vmcb *m = vmcb_of(v);
	unsigned vector = m->exit_code & 31;
	uint64_t hits = step_hits(m->dr6, m->dr7);

	if (svm_event_trap(v))
		return;
	if (v->step != STEP_NONE && vector == VECTOR_DB) {
		step_end(v);
		/* The guest's own breakpoints and single step end this instruction too. */
		if (hits || v->rflags & FLAG_TF) {
			m->dr6 |= hits | (v->rflags & FLAG_TF ? DR6_BS : 0);
			svm_inject(v, VECTOR_DB, false, 0);
		}
		return;
	}
	step_cancel(v);
	if (vector == VECTOR_PF)
		m->cr2 = m->exit_info2;
	svm_inject(v, vector, WITH_ERROR >> vector & 1, (uint32_t)m->exit_info1);
}

static void exit_cpuid(struct vcpu *v)
{
	unsigned length;

	if (!svm_length(v, 2, &length))
		return;
	leaves_cpuid(v, vmcb_of(v)->cr4);
	svm_advance(v, length);
}

static void exit_io(struct vcpu *v)
{
	const struct vmcb *m = vmcb_of(v);
	uint64_t info = m->exit_info1;
	unsigned bytes = info >> 4 & 7;
	uint16_t port = info >> 16;

	/* Linux looks for fw_cfg with INS; through PCI's ports no driver moves strings. */
	if (info & IO_STRING) {
		if (hidden_find(HIDDEN_PORTS, port, port + bytes - 1))
			step_begin_port(v);
		else
			svm_inject(v, VECTOR_GP, true, 0);
		return;
	}
	ports_access(v, port, bytes, info & IO_IN);
	svm_advance(v, (unsigned)(m->exit_info2 - v->rip));
}

static void exit_npf(struct vcpu *v)
{
	const struct vmcb *m = vmcb_of(v);

	fault_handle(v, m->exit_info2, m->exit_info1 & NPF_WRITE);
}

/* The exit itself was all. */
static void exit_nothing(struct vcpu *v)
{
}

static void exit_undefined(struct vcpu *v)
{
	svm_inject(v, VECTOR_UD, false, 0);
}

/* INVD would throw away the VMM's own modified lines too. */
static void exit_invd(struct vcpu *v)
{
	unsigned length;

	if (!svm_length(v, 2, &length))
		return;
	__asm__ volatile("wbinvd" ::: "memory");
	svm_advance(v, length);
}

/* The guest's triple fault resets a machine. */
static void exit_shutdown(struct vcpu *v)
{
	reset_machine(v, "triple fault");
}

/* Rows of exits that were never asked for, and of codes that no CPU has: the VMM is wrong. */
static void exit_unasked(struct vcpu *v)
{
	const struct vmcb *m = vmcb_of(v);

	panic("CPU %u: exit %s (0x%lx, info 0x%lx 0x%lx) was not asked for", v->cpu,
		svm_exit_name(m->exit_code), m->exit_code, m->exit_info1, m->exit_info2);
}

/*
 * VMRUN refused the guest: our fault. But QEMU's emulation also says so, with the guest unchanged,
 * where MOV to CR3 or CR4 should raise #GP.
 */
static void exit_invalid(struct vcpu *v)
{
	struct svm *s = svm_of(v);

	if (s->refused_rip == v->rip || !insn_loads_cr(v))
		exit_unasked(v);
	s->refused_rip = v->rip;
	svm_inject(v, VECTOR_GP, true, 0);
}

struct row {
	const char *name;
	void (*handler)(struct vcpu *v);
};

#define ONE(code, prefix, n, handler) [(code) + n] = {prefix #n, handler}
#define EIGHT(code, prefix, handler)                                                               \
	ONE(code, prefix, 0, handler), ONE(code, prefix, 1, handler),                              \
		ONE(code, prefix, 2, handler), ONE(code, prefix, 3, handler),                      \
		ONE(code, prefix, 4, handler), ONE(code, prefix, 5, handler),                      \
		ONE(code, prefix, 6, handler), ONE(code, prefix, 7, handler)
#define SIXTEEN(code, prefix, handler)                                                             \
	EIGHT(code, prefix, handler), ONE(code, prefix, 8, handler),                               \
		ONE(code, prefix, 9, handler), ONE(code, prefix, 10, handler),                     \
		ONE(code, prefix, 11, handler), ONE(code, prefix, 12, handler),                    \
		ONE(code, prefix, 13, handler), ONE(code, prefix, 14, handler),                    \
		ONE(code, prefix, 15, handler)
#define THIRTY_TWO(code, prefix, handler)                                                          \
	SIXTEEN(code, prefix, handler), ONE(code, prefix, 16, handler),                            \
		ONE(code, prefix, 17, handler), ONE(code, prefix, 18, handler),                    \
		ONE(code, prefix, 19, handler), ONE(code, prefix, 20, handler),                    \
		ONE(code, prefix, 21, handler), ONE(code, prefix, 22, handler),                    \
		ONE(code, prefix, 23, handler), ONE(code, prefix, 24, handler),                    \
		ONE(code, prefix, 25, handler), ONE(code, prefix, 26, handler),                    \
		ONE(code, prefix, 27, handler), ONE(code, prefix, 28, handler),                    \
		ONE(code, prefix, 29, handler), ONE(code, prefix, 30, handler),                    \
		ONE(code, prefix, 31, handler)

/* Codes above 0xff: 0x400-0x403, then -1 to -4. */
#define ROW_NESTED  0x100u
#define ROW_INVALID 0x104u

static const struct row rows[SVM_ROWS] = {
	SIXTEEN(0x00, "cr_read_", exit_unasked),
	SIXTEEN(0x10, "cr_write_", exit_unasked),
	SIXTEEN(0x20, "dr_read_", exit_unasked),
	SIXTEEN(0x30, "dr_write_", exit_unasked),
	THIRTY_TWO(0x40, "exception_", exit_exception),
	[0x60] = {"interrupt", svm_window_open},
	[0x61] = {"nmi", svm_event_nmi},
	[0x62] = {"smi", exit_unasked},
	[0x63] = {"init", exit_unasked},
	[0x64] = {"virtual_interrupt", exit_nothing},
	[0x65] = {"cr0_selective_write", exit_unasked},
	[0x66] = {"idtr_read", exit_unasked},
	[0x67] = {"gdtr_read", exit_unasked},
	[0x68] = {"ldtr_read", exit_unasked},
	[0x69] = {"tr_read", exit_unasked},
	[0x6a] = {"idtr_write", exit_unasked},
	[0x6b] = {"gdtr_write", exit_unasked},
	[0x6c] = {"ldtr_write", exit_unasked},
	[0x6d] = {"tr_write", exit_unasked},
	[0x6e] = {"rdtsc", exit_unasked},
	[0x6f] = {"rdpmc", exit_unasked},
	[0x70] = {"pushf", exit_unasked},
	[0x71] = {"popf", exit_unasked},
	[0x72] = {"cpuid", exit_cpuid},
	[0x73] = {"rsm", exit_unasked},
	[0x74] = {"iret", svm_event_iret},
	[0x75] = {"software_interrupt", exit_unasked},
	[0x76] = {"invd", exit_invd},
	[0x77] = {"pause", exit_unasked},
	[0x78] = {"hlt", svm_window_halt},
	[0x79] = {"invlpg", exit_unasked},
	[0x7a] = {"invlpga", exit_undefined},
	[0x7b] = {"io", exit_io},
	[0x7c] = {"msr", svm_msr},
	[0x7d] = {"task_switch", exit_unasked},
	[0x7e] = {"ferr_freeze", exit_unasked},
	[0x7f] = {"shutdown", exit_shutdown},
	[0x80] = {"vmrun", exit_undefined},
	[0x81] = {"vmmcall", exit_undefined},
	[0x82] = {"vmload", exit_undefined},
	[0x83] = {"vmsave", exit_undefined},
	[0x84] = {"stgi", exit_undefined},
	[0x85] = {"clgi", exit_undefined},
	[0x86] = {"skinit", exit_undefined},
	[0x87] = {"rdtscp", exit_unasked},
	[0x88] = {"icebp", exit_unasked},
	[0x89] = {"wbinvd", exit_unasked},
	[0x8a] = {"monitor", exit_undefined},
	[0x8b] = {"mwait", exit_undefined},
	[0x8c] = {"mwait_armed", exit_undefined},
	[0x8d] = {"xsetbv", exit_unasked},
	[0x8e] = {"rdpru", exit_unasked},
	[0x8f] = {"efer_write_trap", exit_unasked},
	SIXTEEN(0x90, "cr_write_trap_", exit_unasked),
	[0xa0] = {"invlpgb", exit_undefined},
	[0xa1] = {"invlpgb_illegal", exit_undefined},
	[0xa2] = {"invpcid", exit_unasked},
	[0xa3] = {"mcommit", exit_unasked},
	[0xa4] = {"tlbsync", exit_undefined},
	[0xa5] = {"bus_lock", exit_unasked},
	[0xa6] = {"idle_hlt", exit_unasked},
	[ROW_NESTED + 0] = {"nested_page_fault", exit_npf},
	[ROW_NESTED + 1] = {"avic_incomplete_ipi", exit_unasked},
	[ROW_NESTED + 2] = {"avic_no_acceleration", exit_unasked},
	[ROW_NESTED + 3] = {"vmgexit", exit_unasked},
	[ROW_INVALID + 0] = {"invalid", exit_invalid},
	[ROW_INVALID + 1] = {"busy", exit_unasked},
	[ROW_INVALID + 2] = {"idle_required", exit_unasked},
	[ROW_INVALID + 3] = {"invalid_pmc", exit_unasked},
};

/* SVM_ROWS: no such row. */
static unsigned row_of(uint64_t code)
{
	if (code < 0x100)
		return code;
	if (code >= 0x400 && code < 0x404)
		return ROW_NESTED + (unsigned)(code - 0x400);
	if ((uint32_t)code >= 0xfffffffcu)
		return ROW_INVALID + ~(uint32_t)code;
	return SVM_ROWS;
}

const char *svm_exit_name(uint64_t code)
{
	unsigned row = row_of(code);

	return row < SVM_ROWS && rows[row].name ? rows[row].name : "unknown";
}

void svm_handle(struct vcpu *v)
{
	const struct vmcb *m = vmcb_of(v);
	unsigned row = row_of(m->exit_code);

	svm_event_exit(v);
	svm_window_close(v);
	if (row != ROW_INVALID)
		svm_of(v)->refused_rip = 0;
	if (row >= SVM_ROWS || !rows[row].handler) {
		exit_unasked(v);
		return;
	}
	svm_of(v)->count[row]++;
	if (row != ROW_NESTED)
		event_record(EVENT_EXIT, m->exit_code, v->rip);
	rows[row].handler(v);
}

bool svm_counter(const struct vcpu *v, unsigned index, const char **name, uint64_t *value)
{
	for (unsigned row = 0; row < SVM_ROWS; row++) {
		/* Exceptions exit only while an instruction is replayed: #DB's count is theirs. */
		if (!rows[row].handler || rows[row].handler == exit_unasked ||
			(rows[row].handler == exit_exception && row != 0x41))
			continue;
		if (index-- == 0) {
			*name = rows[row].name;
			*value = svm_of(v)->count[row];
			return true;
		}
	}
	return false;
}
