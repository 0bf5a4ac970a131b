/* SPDX-License-Identifier: MIT */
#include "virt/bell.h"
#include "virt/vendor.h"
#include "virt/virt.h"

static const uint8_t words[DOORBELL_WORDS] = {GPR_RSI, GPR_RDI, 8, 9, 10, 11, 12, 13, 14, 15};

bool bell_in(struct vcpu *v, uint16_t port, unsigned bytes)
{
	struct ring *r = &virt_ring[v->cpu];

	if (port != DOORBELL_PORT || bytes != 4 || (uint32_t)v->gpr[GPR_RAX] != DOORBELL_MAGIC)
		return false;
	r->request = v->gpr[GPR_RBX];
	r->session = v->gpr[GPR_RCX];
	for (unsigned i = 0; i < DOORBELL_WORDS; i++)
		r->word[i] = v->gpr[words[i]];
	if (!virt_ask(v, &r->state))
		return false;
	v->gpr[GPR_RAX] = r->result;
	for (unsigned i = 0; i < DOORBELL_WORDS; i++)
		v->gpr[words[i]] = r->word[i];
	return true;
}
