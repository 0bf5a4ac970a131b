/* SPDX-License-Identifier: MIT */
/* The guest resets the machine. */
#ifndef ANNEX_RESET_H
#define ANNEX_RESET_H

#include "virt/vcpu.h"

/* What a machine does at a triple fault; why: for the log. Any vCPU. */
_Noreturn void reset_machine(const struct vcpu *v, const char *why);

#endif
