/* SPDX-License-Identifier: MIT */
/*
 * The memory-server appliance: a stock kernel and an initramfs with our init, annex-memserver, the
 * shared libraries it needs, the Soft-RoCE provider and the kernel modules for it.
 */
#ifndef ANNEX_APPLIANCE_H
#define ANNEX_APPLIANCE_H

#include <stdbool.h>
#include <stdint.h>

#define APPLIANCE_READY "annex-appliance: ready" /* on its console, once the server answers */
#define APPLIANCE_SAYS  "annex-appliance: "
/*
 * The user alias of the domain's second serial port: a line `annex/1 ID forget TENANT` is answered as
 * on a VMM's management channel (annex/manage.h), with the result {"known":B}, and `annex/1 ID restart`
 * with {}. Who may open it may end the domain as well.
 */
#define APPLIANCE_CONTROL "ua-annex-control"
#define APPLIANCE_EXTRA                                                                            \
	(320ull << 20) /* beside the pool: kernel, program, Soft-RoCE under bursts */

struct appliance_parts {
	char *kernel; /* vmlinuz */
	char *modules; /* lib/modules/VERSION */
	char *memserver; /* program */
	char *init; /* annex-appliance-init */
};

/* Fills parts, from the options where given (else NULL). Returns 0 or an error_code. */
int appliance_find(struct appliance_parts *parts, const char *kernel, const char *modules,
	const char *memserver);
void appliance_free(struct appliance_parts *parts);

/* Writes the initramfs. emulated: for a CPU of QEMU's own, which works some instructions off bit by bit. */
int appliance_build(const struct appliance_parts *parts, bool emulated, const char *path);

#endif
