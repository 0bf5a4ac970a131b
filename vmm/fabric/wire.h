/* SPDX-License-Identifier: MIT */
/*
 * RoCEv2 as it lies on the wire: Ethernet, IPv4, UDP, BTH and the headers behind it, ICRC (IBTA
 * vol. 1, 9.2-9.6 and annex A17). Encoding is exact; decoding refuses whatever contradicts itself.
 * No state, no I/O.
 */
#ifndef ANNEX_WIRE_H
#define ANNEX_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_ETHERNET     14u
#define WIRE_IPV4         20u
#define WIRE_UDP          8u
#define WIRE_BTH          12u
#define WIRE_ICRC         4u
#define WIRE_IP_AT        WIRE_ETHERNET
#define WIRE_UDP_AT       (WIRE_IP_AT + WIRE_IPV4)
#define WIRE_BTH_AT       (WIRE_UDP_AT + WIRE_UDP)
#define WIRE_EXTENSION_AT (WIRE_BTH_AT + WIRE_BTH) /* 54 */
#define WIRE_HEAD_MAX     (WIRE_EXTENSION_AT + 28u) /* with the longest extension, AtomicETH */

#define WIRE_TYPE_IPV4 0x0800u
#define WIRE_TYPE_ARP  0x0806u
#define WIRE_PORT      4791u
#define WIRE_PKEY      0xffffu
#define WIRE_QP1_KEY   0x80010000u
#define WIRE_PSN_MASK  0xffffffu

enum wire_opcode {
	WIRE_SEND_FIRST = 0x00,
	WIRE_SEND_MIDDLE = 0x01,
	WIRE_SEND_LAST = 0x02,
	WIRE_SEND_LAST_IMMEDIATE = 0x03,
	WIRE_SEND_ONLY = 0x04,
	WIRE_SEND_ONLY_IMMEDIATE = 0x05,
	WIRE_WRITE_FIRST = 0x06,
	WIRE_WRITE_MIDDLE = 0x07,
	WIRE_WRITE_LAST = 0x08,
	WIRE_WRITE_LAST_IMMEDIATE = 0x09,
	WIRE_WRITE_ONLY = 0x0a,
	WIRE_WRITE_ONLY_IMMEDIATE = 0x0b,
	WIRE_READ_REQUEST = 0x0c,
	WIRE_READ_FIRST = 0x0d,
	WIRE_READ_MIDDLE = 0x0e,
	WIRE_READ_LAST = 0x0f,
	WIRE_READ_ONLY = 0x10,
	WIRE_ACK = 0x11,
	WIRE_ATOMIC_ACK = 0x12,
	WIRE_COMPARE_SWAP = 0x13,
	WIRE_FETCH_ADD = 0x14,
	WIRE_SEND_LAST_INVALIDATE = 0x16,
	WIRE_SEND_ONLY_INVALIDATE = 0x17,
	WIRE_DATAGRAM = 0x64,
	WIRE_DATAGRAM_IMMEDIATE = 0x65,
	WIRE_CNP = 0x81,
};

/* AETH syndromes (9.7.5.2.3). */
#define WIRE_SYNDROME_ACK       0x1fu /* positive, no credits */
#define WIRE_SYNDROME_RNR       0x20u /* | timer code */
#define WIRE_SYNDROME_SEQUENCE  0x60u
#define WIRE_SYNDROME_INVALID   0x61u
#define WIRE_SYNDROME_ACCESS    0x62u
#define WIRE_SYNDROME_OPERATION 0x63u

/* The two ends of a packet. Addresses in host order. */
struct wire_path {
	uint8_t source_mac[6];
	uint8_t destination_mac[6];
	uint32_t source;
	uint32_t destination;
	uint16_t source_port; /* UDP; the same for a queue pair's whole life */
};

/* A packet in host order. Only the fields of its opcode's headers count. */
struct wire_packet {
	uint8_t opcode;
	bool solicited;
	bool migrated; /* MigReq; we send 1 */
	bool becn;
	bool ack_request;
	uint32_t queue_pair; /* destination */
	uint32_t psn;
	/* RETH */
	uint64_t address;
	uint32_t rkey;
	uint32_t dma_length;
	/* AETH */
	uint8_t syndrome;
	uint32_t msn;
	/* DETH */
	uint32_t queue_key;
	uint32_t source_queue_pair;
	/* Decoded only. */
	bool congested; /* IP ECN bits are 11 */
	uint8_t source_mac[6];
	uint32_t source; /* IP, host order */
	uint32_t destination; /* IP, host order */
	const uint8_t *payload;
	uint32_t length; /* of the payload, without pad */
};

enum wire_result {
	WIRE_OK,
	WIRE_IGNORED, /* well-formed as far as looked, but of a kind we do not speak */
	WIRE_MALFORMED, /* lengths or headers contradict themselves */
	WIRE_ICRC_ERROR,
};

static inline uint32_t wire_get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static inline uint32_t wire_get24(const uint8_t *p)
{
	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static inline uint32_t wire_get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | wire_get24(p + 1);
}

static inline uint64_t wire_get64(const uint8_t *p)
{
	return (uint64_t)wire_get32(p) << 32 | wire_get32(p + 4);
}

static inline void wire_put16(uint8_t *p, uint32_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static inline void wire_put24(uint8_t *p, uint32_t v)
{
	p[0] = v >> 16;
	wire_put16(p + 1, v);
}

static inline void wire_put32(uint8_t *p, uint32_t v)
{
	p[0] = v >> 24;
	wire_put24(p + 1, v);
}

static inline void wire_put64(uint8_t *p, uint64_t v)
{
	wire_put32(p, v >> 32);
	wire_put32(p + 4, v);
}

/* Distance from b to a in the 24-bit circle: negative when a is behind b (9.7.1). */
static inline int32_t wire_psn_diff(uint32_t a, uint32_t b)
{
	return (int32_t)((a - b) << 8) >> 8;
}

static inline uint32_t wire_psn_add(uint32_t psn, uint32_t n)
{
	return (psn + n) & WIRE_PSN_MASK;
}

/* The one's complement sum of RFC 1071, complemented; over an even or odd number of bytes. */
uint16_t wire_checksum(const uint8_t *data, size_t length);

/* Path MTU code 1..5 for 256..4096 bytes, and back (0: no such code). */
unsigned wire_mtu_code(uint32_t mtu);
uint32_t wire_mtu_bytes(unsigned code);

/* The largest path MTU that a link MTU carries, 96 bytes left for headers; 0: less than 256. */
uint32_t wire_path_mtu(uint32_t link_mtu);

/* Writes Ethernet and IPv4 headers for `length` bytes behind them. */
void wire_ipv4(uint8_t *frame, const struct wire_path *path, uint8_t protocol, uint8_t tos,
	uint16_t ident, uint32_t length);

/*
 * Writes all headers in front of `length` bytes of payload into head[WIRE_HEAD_MAX]; returns their
 * length. Nothing but the arguments decides the bytes, so a retransmission is the same packet.
 */
size_t wire_head(uint8_t *head, const struct wire_path *path, const struct wire_packet *packet,
	uint32_t length);

/* Raw CRC state after the stand-in link header and the headers: what the payload goes on from. */
uint32_t wire_icrc_head(const uint8_t *head, size_t head_length);

/* Writes pad and ICRC behind a payload of `length` bytes, given the raw state after it. */
size_t wire_icrc_tail(uint8_t *tail, uint32_t state, uint32_t length);

/* A whole frame, payload copied in; returns its length. `frame` has room for it. */
size_t wire_frame(uint8_t *frame, const struct wire_path *path, const struct wire_packet *packet,
	const void *payload, uint32_t length);

/* Checks an IPv4 header and that the frame holds what it announces; fragments are ignored. */
enum wire_result wire_decode_ipv4(const uint8_t *frame, size_t length, uint32_t *total);

/*
 * Decodes a whole RoCEv2 frame. packet->payload points into it. The ICRC is checked before anything
 * behind UDP is believed. Frames for other protocols or ports are ignored.
 */
enum wire_result wire_decode(const uint8_t *frame, size_t length, struct wire_packet *packet);

#endif
