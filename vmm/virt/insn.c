/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "virt/guest.h"
#include "virt/insn.h"
#include "virt/vendor.h"

static bool is_prefix(uint8_t b, bool code64)
{
	switch (b) {
	case 0x26: /* segments */
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65:
	case 0x66: /* operand and address size */
	case 0x67:
	case 0xf0: /* LOCK, REP */
	case 0xf2:
	case 0xf3:
		return true;
	}
	return code64 && (b & 0xf0) == 0x40;
}

unsigned insn_prefixes(const uint8_t *bytes, unsigned count, bool code64)
{
	unsigned n = 0;

	while (n < count && is_prefix(bytes[n], code64))
		n++;
	return n;
}

static unsigned fetch(const struct vcpu *v, uint8_t *bytes, unsigned count, bool *code64)
{
	struct virt_paging p;

	virt_vendor->paging(v, &p);
	*code64 = p.code64;
	return guest_read(&p, p.cs_base + v->rip, bytes, count);
}

bool insn_length(const struct vcpu *v, unsigned opcode, unsigned *length)
{
	uint8_t bytes[INSN_MAX];
	bool code64;
	unsigned got = fetch(v, bytes, INSN_MAX, &code64);
	unsigned prefixes = insn_prefixes(bytes, got, code64);

	*length = prefixes + opcode;
	return prefixes < got && *length <= INSN_MAX;
}

bool insn_is_hlt(const struct vcpu *v)
{
	uint8_t byte;
	bool code64;

	return fetch(v, &byte, 1, &code64) && byte == 0xf4;
}

bool insn_loads_cr(const struct vcpu *v)
{
	uint8_t bytes[INSN_MAX];
	bool code64;
	unsigned got = fetch(v, bytes, INSN_MAX, &code64);
	unsigned n = insn_prefixes(bytes, got, code64);
	unsigned reg = n + 2 < got ? bytes[n + 2] >> 3 & 7 : 0;

	return n + 2 < got && bytes[n] == 0x0f && bytes[n + 1] == 0x22 && (reg == 3 || reg == 4);
}

/* Bytes of ModRM, SIB and displacement (APM vol. 3 1.4); 0: not memory, or not all of it is known. */
static unsigned operand_length(const uint8_t *bytes, unsigned count)
{
	unsigned mod = count > 0 ? bytes[0] >> 6 : 3, base = count > 0 ? bytes[0] & 7 : 0;
	unsigned n = 1;

	if (mod == 3 || (base == 4 && count < 2))
		return 0;
	if (base == 4) {
		base = bytes[1] & 7;
		n++;
	}
	if (mod == 1)
		return n + 1;
	return mod == 2 || base == 5 ? n + 4 : n;
}

bool insn_is_store(const struct vcpu *v, unsigned *length, uint32_t *value)
{
	struct virt_paging p;
	uint8_t bytes[INSN_MAX];
	unsigned got, n = 0, rex = 0, operand;

	virt_vendor->paging(v, &p);
	if (!p.code64 || p.breakpoints || v->rflags & FLAG_TF)
		return false;
	got = guest_read(&p, v->rip, bytes, INSN_MAX);
	if (got > 0 && (bytes[0] & 0xf8) == 0x40) /* REX without W */
		rex = bytes[n++];
	if (n + 1 >= got || (bytes[n] != 0x89 && bytes[n] != 0xc7))
		return false;
	operand = operand_length(bytes + n + 1, got - n - 1);
	*length = n + 1 + operand + (bytes[n] == 0xc7 ? 4 : 0);
	if (operand == 0 || *length > got)
		return false;
	if (bytes[n] == 0x89) {
		*value = (uint32_t)v->gpr[(bytes[n + 1] >> 3 & 7) | (rex & 4) << 1];
		return true;
	}
	memcpy(value, bytes + *length - 4, 4);
	return !(bytes[n + 1] & 0x38);
}
