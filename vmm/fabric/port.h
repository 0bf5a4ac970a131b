/* SPDX-License-Identifier: MIT */
/* What all connections share: the card, our address, random numbers, counters. Service core only. */
#ifndef ANNEX_PORT_H
#define ANNEX_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "fabric/fabric.h"
#include "fabric/wire.h"
#include "nic/nic.h"

struct port {
	struct nic *nic;
	uint32_t address; /* host order */
	uint32_t mask;
	uint32_t gateway; /* 0: none */
	uint32_t mtu; /* of the link */
	uint64_t random[4];
	struct fabric_counters counters;
};

void port_init(struct port *port, const struct fabric_config *config);

/* False: the card's ring is full, nothing was sent. */
bool port_send(struct port *port, const void *head, size_t head_length, const void *body,
	size_t body_length);

/* Good enough for numbers that must not repeat; not for keys. */
uint64_t port_random(struct port *port);

/* Whom to ask ARP for: the destination, or the gateway when it is not on-link. 0: unreachable. */
uint32_t port_next_hop(const struct port *port, uint32_t destination);

/* An Ethernet address that stays ours for ever, as EUI-64. */
uint64_t port_guid(const struct port *port);

#endif
