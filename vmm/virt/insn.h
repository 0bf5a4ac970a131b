/* SPDX-License-Identifier: MIT */
/*
 * The little that is known of the guest's instructions: where CPUs do not report the next RIP, an
 * intercepted instruction's length is its opcode's plus its prefixes'.
 */
#ifndef ANNEX_INSN_H
#define ANNEX_INSN_H

#include <stdbool.h>
#include <stdint.h>
#include "virt/vcpu.h"

#define INSN_MAX 15u /* bytes of an instruction */

/* Legacy prefixes, and in 64-bit code REX ones, at the start of bytes (APM vol. 3 1.2). */
unsigned insn_prefixes(const uint8_t *bytes, unsigned count, bool code64);

/*
 * Length of the instruction at RIP whose opcode has `opcode` bytes. False: its bytes cannot be read
 * now (its far page has just been taken), so let the guest try it again.
 */
bool insn_length(const struct vcpu *v, unsigned opcode, unsigned *length);

/* The guest is about to execute HLT. */
bool insn_is_hlt(const struct vcpu *v);

/* The guest is about to execute MOV to CR3 or CR4. */
bool insn_loads_cr(const struct vcpu *v);

/*
 * The instruction at RIP is 64-bit code's MOV of a register or a constant to 4 bytes of memory,
 * without prefixes but REX, and nothing traps behind it: its length and the value. Linux writes its
 * APIC by no other.
 */
bool insn_is_store(const struct vcpu *v, unsigned *length, uint32_t *value);

#endif
