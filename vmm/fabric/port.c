/* SPDX-License-Identifier: MIT */
#include "fabric/port.h"

#include <string.h>

static uint64_t mix(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

void port_init(struct port *port, const struct fabric_config *config)
{
	uint64_t state = 0;

	memset(port, 0, sizeof(*port));
	port->nic = config->nic;
	port->address = config->address;
	port->mask = ~0u << (32 - config->prefix);
	port->gateway = config->gateway;
	port->mtu = config->mtu;
	/* Every number drawn must depend on every word: a boot may have only one good one. */
	for (unsigned i = 0; i < 4; i++) {
		state ^= config->random[i];
		state = mix(&state);
	}
	for (unsigned i = 0; i < 4; i++)
		port->random[i] = mix(&state);
	port->random[0] |= 1; /* never all zero */
}

bool port_send(struct port *port, const void *head, size_t head_length, const void *body,
	size_t body_length)
{
	return port->nic->ops->send(port->nic, head, head_length, body, body_length);
}

static uint64_t rotate(uint64_t v, unsigned by)
{
	return v << by | v >> (64 - by);
}

/* xoshiro256** */
uint64_t port_random(struct port *port)
{
	uint64_t *s = port->random;
	uint64_t result = rotate(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

uint32_t port_next_hop(const struct port *port, uint32_t destination)
{
	if (((destination ^ port->address) & port->mask) == 0)
		return destination;
	return port->gateway;
}

uint64_t port_guid(const struct port *port)
{
	const uint8_t *m = port->nic->mac;
	uint8_t guid[8] = {m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};

	return wire_get64(guid);
}
