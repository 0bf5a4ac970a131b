/* SPDX-License-Identifier: MIT */
/* ICMP echo (RFC 792): answered, so that an operator can ping the VMM. Nothing else of ICMP is. */
#ifndef ANNEX_ICMP_H
#define ANNEX_ICMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "fabric/port.h"

#define ICMP_PROTOCOL 1u

/* The answer goes back to the MAC that asked. `scratch` has room for NIC_FRAME_MAX. */
void icmp_input(struct port *port, const uint8_t *frame, size_t length, uint8_t *scratch);

#endif
