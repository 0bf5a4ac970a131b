/* SPDX-License-Identifier: MIT */
#include "fabric/wire.h"

#include <string.h>
#include "lib/crc.h"

#define PROTOCOL_UDP 17u
#define TOS_CNP      0xc2u /* DSCP 48, ECT(0): what switches give way to */
#define CNP_PAYLOAD  16u

#define HAS_RETH      0x01u
#define HAS_AETH      0x02u
#define HAS_IMMEDIATE 0x04u
#define HAS_DETH      0x08u
#define HAS_ATOMIC    0x10u
#define HAS_RESULT    0x20u
#define HAS_INVALID   0x40u
#define KNOWN         0x80u
#define NO_PAYLOAD    0x100u

/* What follows the BTH; above the bits, how many bytes that is. */
#define LENGTH_SHIFT 9
#define EXTENSION(bits)                                                                            \
	(((bits)&HAS_RETH ? 16 : 0) + ((bits)&HAS_AETH ? 4 : 0) + ((bits)&HAS_IMMEDIATE ? 4 : 0) + \
		((bits)&HAS_DETH ? 8 : 0) + ((bits)&HAS_ATOMIC ? 28 : 0) +                         \
		((bits)&HAS_RESULT ? 8 : 0) + ((bits)&HAS_INVALID ? 4 : 0))
#define LAYOUT(bits) ((bits) | EXTENSION(bits) << LENGTH_SHIFT)

static const uint16_t layouts[256] = {
	[WIRE_SEND_FIRST] = LAYOUT(KNOWN),
	[WIRE_SEND_MIDDLE] = LAYOUT(KNOWN),
	[WIRE_SEND_LAST] = LAYOUT(KNOWN),
	[WIRE_SEND_LAST_IMMEDIATE] = LAYOUT(KNOWN | HAS_IMMEDIATE),
	[WIRE_SEND_ONLY] = LAYOUT(KNOWN),
	[WIRE_SEND_ONLY_IMMEDIATE] = LAYOUT(KNOWN | HAS_IMMEDIATE),
	[WIRE_WRITE_FIRST] = LAYOUT(KNOWN | HAS_RETH),
	[WIRE_WRITE_MIDDLE] = LAYOUT(KNOWN),
	[WIRE_WRITE_LAST] = LAYOUT(KNOWN),
	[WIRE_WRITE_LAST_IMMEDIATE] = LAYOUT(KNOWN | HAS_IMMEDIATE),
	[WIRE_WRITE_ONLY] = LAYOUT(KNOWN | HAS_RETH),
	[WIRE_WRITE_ONLY_IMMEDIATE] = LAYOUT(KNOWN | HAS_RETH | HAS_IMMEDIATE),
	[WIRE_READ_REQUEST] = LAYOUT(KNOWN | HAS_RETH | NO_PAYLOAD),
	[WIRE_READ_FIRST] = LAYOUT(KNOWN | HAS_AETH),
	[WIRE_READ_MIDDLE] = LAYOUT(KNOWN),
	[WIRE_READ_LAST] = LAYOUT(KNOWN | HAS_AETH),
	[WIRE_READ_ONLY] = LAYOUT(KNOWN | HAS_AETH),
	[WIRE_ACK] = LAYOUT(KNOWN | HAS_AETH | NO_PAYLOAD),
	[WIRE_ATOMIC_ACK] = LAYOUT(KNOWN | HAS_AETH | HAS_RESULT | NO_PAYLOAD),
	[WIRE_COMPARE_SWAP] = LAYOUT(KNOWN | HAS_ATOMIC | NO_PAYLOAD),
	[WIRE_FETCH_ADD] = LAYOUT(KNOWN | HAS_ATOMIC | NO_PAYLOAD),
	[WIRE_SEND_LAST_INVALIDATE] = LAYOUT(KNOWN | HAS_INVALID),
	[WIRE_SEND_ONLY_INVALIDATE] = LAYOUT(KNOWN | HAS_INVALID),
	[WIRE_DATAGRAM] = LAYOUT(KNOWN | HAS_DETH),
	[WIRE_DATAGRAM_IMMEDIATE] = LAYOUT(KNOWN | HAS_DETH | HAS_IMMEDIATE),
	[WIRE_CNP] = LAYOUT(KNOWN),
};

static size_t extension_length(unsigned layout)
{
	return layout >> LENGTH_SHIFT;
}

/*
 * RFC 1071: the sum does not depend on the order of bytes, so whole words are added as they lie in
 * memory, and only what they fold to is turned round.
 */
static uint16_t checksum_from(uint32_t sum, const uint8_t *data, size_t length)
{
	uint64_t words = 0;
	uint32_t word;

	for (; length >= 4; length -= 4, data += 4) {
		memcpy(&word, data, 4);
		words += word;
	}
	while (words >> 16)
		words = (words & 0xffff) + (words >> 16);
	sum += wire_get16((uint8_t *)&words); /* little-endian: its low half comes first */
	for (; length >= 2; length -= 2, data += 2)
		sum += wire_get16(data);
	if (length)
		sum += (uint32_t)data[0] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

uint16_t wire_checksum(const uint8_t *data, size_t length)
{
	return checksum_from(0, data, length);
}

/* None (zero) is usual, the ICRC being there; a wrong one is a broken packet (RFC 768). */
static bool udp_checksum_right(const uint8_t *ip, uint32_t length)
{
	const uint8_t *udp = ip + WIRE_IPV4;
	uint32_t sum = PROTOCOL_UDP + length;

	if (wire_get16(udp + 6) == 0)
		return true;
	for (unsigned i = 12; i < 20; i += 2)
		sum += wire_get16(ip + i);
	return checksum_from(sum, udp, length) == 0;
}

unsigned wire_mtu_code(uint32_t mtu)
{
	for (unsigned code = 1; code <= 5; code++)
		if (mtu == wire_mtu_bytes(code))
			return code;
	return 0;
}

uint32_t wire_mtu_bytes(unsigned code)
{
	return code >= 1 && code <= 5 ? 128u << code : 0;
}

uint32_t wire_path_mtu(uint32_t link_mtu)
{
	for (unsigned code = 5; code >= 1; code--)
		if (link_mtu >= wire_mtu_bytes(code) + 96)
			return wire_mtu_bytes(code);
	return 0;
}

void wire_ipv4(uint8_t *frame, const struct wire_path *path, uint8_t protocol, uint8_t tos,
	uint16_t ident, uint32_t length)
{
	uint8_t *ip = frame + WIRE_IP_AT;

	memcpy(frame, path->destination_mac, 6);
	memcpy(frame + 6, path->source_mac, 6);
	wire_put16(frame + 12, WIRE_TYPE_IPV4);
	ip[0] = 0x45;
	ip[1] = tos;
	wire_put16(ip + 2, WIRE_IPV4 + length);
	wire_put16(ip + 4, ident);
	wire_put16(ip + 6, 0x4000); /* do not fragment: the ICRC covers one packet */
	ip[8] = 64;
	ip[9] = protocol;
	wire_put16(ip + 10, 0);
	wire_put32(ip + 12, path->source);
	wire_put32(ip + 16, path->destination);
	wire_put16(ip + 10, wire_checksum(ip, WIRE_IPV4));
}

static uint8_t *put_extension(uint8_t *p, unsigned layout, const struct wire_packet *packet)
{
	if (layout & HAS_DETH) {
		wire_put32(p, packet->queue_key);
		p[4] = 0;
		wire_put24(p + 5, packet->source_queue_pair);
		p += 8;
	}
	if (layout & HAS_RETH) {
		wire_put64(p, packet->address);
		wire_put32(p + 8, packet->rkey);
		wire_put32(p + 12, packet->dma_length);
		p += 16;
	}
	if (layout & HAS_AETH) {
		p[0] = packet->syndrome;
		wire_put24(p + 1, packet->msn);
		p += 4;
	}
	return p;
}

size_t wire_head(uint8_t *head, const struct wire_path *path, const struct wire_packet *packet,
	uint32_t length)
{
	unsigned layout = layouts[packet->opcode];
	unsigned pad = -length & 3;
	uint8_t *end = put_extension(head + WIRE_EXTENSION_AT, layout, packet);
	uint32_t behind = end - (head + WIRE_UDP_AT) + length + pad + WIRE_ICRC;
	uint8_t *udp = head + WIRE_UDP_AT;
	uint8_t *bth = head + WIRE_BTH_AT;

	/* The ident is the PSN's: a counter would make a retransmission another packet. */
	wire_ipv4(head, path, PROTOCOL_UDP, packet->opcode == WIRE_CNP ? TOS_CNP : 0,
		packet->psn & 0xffff, behind);
	wire_put16(udp, path->source_port);
	wire_put16(udp + 2, WIRE_PORT);
	wire_put16(udp + 4, behind);
	wire_put16(udp + 6, 0);
	bth[0] = packet->opcode;
	bth[1] = (packet->solicited ? 0x80 : 0) | (packet->migrated ? 0x40 : 0) | pad << 4;
	wire_put16(bth + 2, WIRE_PKEY);
	bth[4] = packet->becn ? 0x40 : 0;
	wire_put24(bth + 5, packet->queue_pair);
	bth[8] = packet->ack_request ? 0x80 : 0;
	wire_put24(bth + 9, packet->psn);
	return end - head;
}

uint32_t wire_icrc_head(const uint8_t *head, size_t head_length)
{
	/* The stand-in link header, then the headers with what routers change set to ones. */
	uint8_t masked[8 + WIRE_HEAD_MAX - WIRE_IP_AT];
	uint8_t *ip = masked + 8;
	uint8_t *udp = ip + WIRE_IPV4;
	uint8_t *bth = udp + WIRE_UDP;
	size_t length = head_length - WIRE_IP_AT;

	memset(masked, 0xff, 8);
	memcpy(ip, head + WIRE_IP_AT, length);
	ip[1] = 0xff;
	ip[8] = 0xff;
	ip[10] = ip[11] = 0xff;
	udp[6] = udp[7] = 0xff;
	bth[4] = 0xff;
	return crc_ethernet(0xffffffff, masked, 8 + length);
}

size_t wire_icrc_tail(uint8_t *tail, uint32_t state, uint32_t length)
{
	unsigned pad = -length & 3;
	uint32_t crc;

	memset(tail, 0, pad);
	crc = ~crc_ethernet(state, tail, pad);
	memcpy(tail + pad, &crc, WIRE_ICRC); /* the one little-endian field */
	return pad + WIRE_ICRC;
}

size_t wire_frame(uint8_t *frame, const struct wire_path *path, const struct wire_packet *packet,
	const void *payload, uint32_t length)
{
	size_t head = wire_head(frame, path, packet, length);
	uint32_t state = wire_icrc_head(frame, head);

	state = crc_ethernet_copy(state, frame + head, payload, length);
	return head + length + wire_icrc_tail(frame + head + length, state, length);
}

enum wire_result wire_decode_ipv4(const uint8_t *frame, size_t length, uint32_t *total)
{
	const uint8_t *ip = frame + WIRE_IP_AT;

	if (length < WIRE_IP_AT + WIRE_IPV4)
		return WIRE_MALFORMED;
	if (wire_get16(frame + 12) != WIRE_TYPE_IPV4)
		return WIRE_IGNORED;
	if (ip[0] != 0x45)
		return WIRE_IGNORED; /* options: RoCE's ICRC knows 20 bytes only */
	*total = wire_get16(ip + 2);
	if (*total < WIRE_IPV4 || *total > length - WIRE_IP_AT)
		return WIRE_MALFORMED;
	if (wire_checksum(ip, WIRE_IPV4) != 0)
		return WIRE_MALFORMED;
	if (wire_get16(ip + 6) & 0x3fff)
		return WIRE_IGNORED;
	return WIRE_OK;
}

static void get_extension(const uint8_t *p, unsigned layout, struct wire_packet *packet)
{
	if (layout & HAS_DETH) {
		packet->queue_key = wire_get32(p);
		packet->source_queue_pair = wire_get24(p + 5);
		p += 8;
	}
	if (layout & HAS_RETH) {
		packet->address = wire_get64(p);
		packet->rkey = wire_get32(p + 8);
		packet->dma_length = wire_get32(p + 12);
		p += 16;
	}
	if (layout & HAS_AETH) {
		packet->syndrome = p[0];
		packet->msn = wire_get24(p + 1);
	}
}

/* The transport headers; `length` is of UDP's payload without the ICRC. */
static enum wire_result decode_transport(
	const uint8_t *bth, size_t length, struct wire_packet *packet)
{
	unsigned layout = layouts[bth[0]];
	unsigned pad = bth[1] >> 4 & 3;
	size_t headers = WIRE_BTH + extension_length(layout);

	if ((bth[1] & 0x0f) != 0 || (wire_get16(bth + 2) & 0x7fff) != (WIRE_PKEY & 0x7fff))
		return WIRE_IGNORED;
	if (!(layout & KNOWN))
		return WIRE_IGNORED;
	if (length < headers + pad || (length & 3) != 0)
		return WIRE_MALFORMED;
	if ((layout & NO_PAYLOAD) && length != headers)
		return WIRE_MALFORMED;
	packet->opcode = bth[0];
	packet->solicited = bth[1] & 0x80;
	packet->migrated = bth[1] & 0x40;
	packet->becn = bth[4] & 0x40;
	packet->queue_pair = wire_get24(bth + 5);
	packet->ack_request = bth[8] & 0x80;
	packet->psn = wire_get24(bth + 9);
	get_extension(bth + WIRE_BTH, layout, packet);
	packet->payload = bth + headers;
	packet->length = length - headers - pad;
	if (packet->opcode == WIRE_CNP && packet->length != CNP_PAYLOAD)
		return WIRE_MALFORMED;
	return WIRE_OK;
}

static bool icrc_right(const uint8_t *frame, size_t end)
{
	const uint8_t *tail = frame + end - WIRE_ICRC;
	uint32_t state = wire_icrc_head(frame, WIRE_EXTENSION_AT);
	uint32_t crc = ~crc_ethernet(
		state, frame + WIRE_EXTENSION_AT, end - WIRE_ICRC - WIRE_EXTENSION_AT);

	return crc == ((uint32_t)tail[3] << 24 | (uint32_t)tail[2] << 16 | (uint32_t)tail[1] << 8 |
			      tail[0]);
}

enum wire_result wire_decode(const uint8_t *frame, size_t length, struct wire_packet *packet)
{
	const uint8_t *ip = frame + WIRE_IP_AT;
	const uint8_t *udp = frame + WIRE_UDP_AT;
	uint32_t total;
	enum wire_result result = wire_decode_ipv4(frame, length, &total);

	if (result != WIRE_OK)
		return result;
	if (ip[9] != PROTOCOL_UDP)
		return WIRE_IGNORED;
	if (total < WIRE_IPV4 + WIRE_UDP || wire_get16(udp + 4) != total - WIRE_IPV4)
		return WIRE_MALFORMED;
	if (wire_get16(udp + 2) != WIRE_PORT)
		return WIRE_IGNORED;
	if (total < WIRE_IPV4 + WIRE_UDP + WIRE_BTH + WIRE_ICRC)
		return WIRE_MALFORMED;
	if (!udp_checksum_right(ip, total - WIRE_IPV4))
		return WIRE_MALFORMED;
	if (!icrc_right(frame, WIRE_IP_AT + total))
		return WIRE_ICRC_ERROR;
	memset(packet, 0, sizeof(*packet));
	packet->congested = (ip[1] & 3) == 3;
	memcpy(packet->source_mac, frame + 6, 6);
	packet->source = wire_get32(ip + 12);
	packet->destination = wire_get32(ip + 16);
	return decode_transport(
		frame + WIRE_BTH_AT, total - WIRE_IPV4 - WIRE_UDP - WIRE_ICRC, packet);
}
