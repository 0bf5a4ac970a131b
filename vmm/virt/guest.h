/* SPDX-License-Identifier: MIT */
/* Reading the guest's memory as its CPU would, without ever touching a device or a missing page. */
#ifndef ANNEX_GUEST_H
#define ANNEX_GUEST_H

#include <stdbool.h>
#include <stdint.h>
#include "virt/vendor.h"

/*
 * Copies up to count bytes from a linear address; returns how many: fewer where a page is not mapped,
 * not RAM, or a far page without a frame. Own vCPU, out of the guest.
 */
unsigned guest_read(const struct virt_paging *p, uint64_t linear, void *to, unsigned count);

/* The same for guest-physical bytes within one page. */
bool guest_read_physical(uint64_t gpa, void *to, unsigned count);

#endif
