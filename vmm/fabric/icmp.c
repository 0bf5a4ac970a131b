/* SPDX-License-Identifier: MIT */
#include "fabric/icmp.h"

#include <string.h>

#define ECHO_REPLY   0u
#define ECHO_REQUEST 8u
#define ECHO_HEADER  8u
#define ICMP_AT      (WIRE_IP_AT + WIRE_IPV4)

void icmp_input(struct port *port, const uint8_t *frame, size_t length, uint8_t *scratch)
{
	const uint8_t *ip = frame + WIRE_IP_AT;
	struct wire_path path = {.source = port->address};
	uint32_t total, bytes;
	enum wire_result result = wire_decode_ipv4(frame, length, &total);

	if (result == WIRE_OK && total < WIRE_IPV4 + ECHO_HEADER)
		result = WIRE_MALFORMED;
	if (result == WIRE_OK && WIRE_IP_AT + total > NIC_FRAME_MAX)
		result = WIRE_MALFORMED;
	if (result == WIRE_OK && wire_checksum(frame + ICMP_AT, total - WIRE_IPV4) != 0)
		result = WIRE_MALFORMED;
	if (result == WIRE_MALFORMED) {
		port->counters.frames_malformed++;
		return;
	}
	if (result != WIRE_OK || frame[ICMP_AT] != ECHO_REQUEST || frame[ICMP_AT + 1] != 0) {
		port->counters.frames_ignored++;
		return;
	}
	bytes = total - WIRE_IPV4;
	path.destination = wire_get32(ip + 12);
	memcpy(path.source_mac, port->nic->mac, 6);
	memcpy(path.destination_mac, frame + 6, 6);
	wire_ipv4(scratch, &path, ICMP_PROTOCOL, 0, wire_get16(ip + 4), bytes);
	memcpy(scratch + ICMP_AT, frame + ICMP_AT, bytes);
	scratch[ICMP_AT] = ECHO_REPLY;
	wire_put16(scratch + ICMP_AT + 2, 0);
	wire_put16(scratch + ICMP_AT + 2, wire_checksum(scratch + ICMP_AT, bytes));
	port_send(port, scratch, WIRE_IP_AT + total, NULL, 0);
}
