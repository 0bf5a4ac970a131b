/* SPDX-License-Identifier: MIT */
/*
 * The guest's accesses to intercepted I/O ports: hidden ones read as ones, and configuration space
 * (PCI 3.0 3.2.2.3.2) shows no hidden function. An access that covers the data register's edge reads
 * as ones too: software has no use for it. Everything else reaches the machine unchanged.
 */
#ifndef ANNEX_PORTS_H
#define ANNEX_PORTS_H

#include <stdbool.h>
#include <stdint.h>
#include "virt/vcpu.h"

/*
 * Intercepted besides the hidden ports: the data register, and the address register where another
 * CPU could change it between our look and our access.
 */
#define PORTS_CONFIG_ADDRESS 0xcf8u
#define PORTS_CONFIG_DATA    0xcfcu
#define PORTS_CONFIG_LAST    0xcffu

/* First of the configuration ports to intercept with so many guest CPUs. Boot. */
uint16_t ports_prepare(unsigned cpus);

/* The same, and sets the bits of all ports that are intercepted in a map of 65,536. Boot. */
void ports_close(unsigned cpus, uint8_t *map);

/* bytes: 1, 2 or 4. Any vCPU. */
uint32_t ports_in(uint16_t port, unsigned bytes);
void ports_out(uint16_t port, unsigned bytes, uint32_t value);

/* The guest's IN or OUT with AL, AX or EAX. */
void ports_access(struct vcpu *v, uint16_t port, unsigned bytes, bool in);

#endif
