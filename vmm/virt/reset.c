/* SPDX-License-Identifier: MIT */
#include "lib/log.h"
#include "machine/x86.h"
#include "virt/reset.h"

#define RESET_CONTROL  0xcf9
#define KEYBOARD       0x64
#define KEYBOARD_RESET 0xfe

void reset_machine(const struct vcpu *v, const char *why)
{
	log_warning("virt: CPU %u: %s at 0x%lx: the machine is reset", v->cpu, why, v->rip);
	out8(RESET_CONTROL, 2);
	out8(RESET_CONTROL, 6);
	out8(KEYBOARD, KEYBOARD_RESET);
	for (;;)
		__asm__ volatile("hlt");
}
