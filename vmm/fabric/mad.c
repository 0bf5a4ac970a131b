/* SPDX-License-Identifier: MIT */
#include "fabric/mad.h"

#include <string.h>
#include "fabric/wire.h"

#define BODY          24u
#define BASE_VERSION  1u
#define CLASS_CM      0x07u
#define CLASS_VERSION 2u
#define METHOD_SEND   0x03u

#define REQ_DATA  140u /* the IP CM header, then the user's */
#define REQ_HELLO 176u
#define REP_DATA  36u
#define REJ_DATA  84u

/* Timeouts of the exchange itself: 4.096 us * 2^n. */
#define REMOTE_TIMEOUT 20u /* 4.3 s for the server's application to answer */
#define LOCAL_TIMEOUT  16u /* it repeats its REP every 0.27 s */
#define CM_RETRIES     15u
#define RNR_RETRIES    7u /* for ever */
#define HOP_LIMIT      64u

static void put_gid(uint8_t *p, uint32_t address)
{
	memset(p, 0, 10);
	p[10] = p[11] = 0xff;
	wire_put32(p + 12, address);
}

static bool gid_address(const uint8_t *p, uint32_t *address)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	*address = wire_get32(p + 12);
	return memcmp(p, mapped, sizeof(mapped)) == 0;
}

static void put_req(uint8_t *b, const struct mad *m)
{
	uint8_t *ip = b + REQ_DATA;

	wire_put32(b, m->local_id);
	wire_put64(b + 8, MAD_SERVICE_TCP | m->port);
	wire_put64(b + 16, m->guid);
	wire_put24(b + 32, m->queue_pair);
	b[35] = m->responder_resources;
	b[39] = m->initiator_depth;
	b[43] = REMOTE_TIMEOUT << 3;
	wire_put24(b + 44, m->psn);
	b[47] = LOCAL_TIMEOUT << 3 | m->retries;
	wire_put16(b + 48, WIRE_PKEY);
	b[50] = m->mtu_code << 4 | RNR_RETRIES;
	b[51] = CM_RETRIES << 4;
	put_gid(b + 56, m->source);
	put_gid(b + 72, m->destination);
	b[93] = HOP_LIMIT;
	b[95] = m->ack_timeout << 3;
	ip[1] = 0x40; /* IPv4 */
	wire_put16(ip + 2, m->source_port);
	wire_put32(ip + 16, m->source);
	wire_put32(ip + 32, m->destination);
	if (m->data != NULL)
		memcpy(b + REQ_HELLO, m->data, m->data_length);
}

static void put_rep(uint8_t *b, const struct mad *m)
{
	wire_put24(b + 12, m->queue_pair);
	wire_put24(b + 20, m->psn);
	b[24] = m->responder_resources;
	b[25] = m->initiator_depth;
	b[27] = RNR_RETRIES << 5;
	wire_put64(b + 28, m->guid);
	if (m->data != NULL)
		memcpy(b + REP_DATA, m->data, m->data_length);
}

static void put_rej(uint8_t *b, const struct mad *m)
{
	b[8] = m->message << 6;
	wire_put16(b + 10, m->reason);
	if (m->data != NULL)
		memcpy(b + REJ_DATA, m->data, m->data_length);
}

void mad_encode(uint8_t out[MAD_BYTES], const struct mad *m)
{
	uint8_t *b = out + BODY;

	memset(out, 0, MAD_BYTES);
	out[0] = BASE_VERSION;
	out[1] = CLASS_CM;
	out[2] = CLASS_VERSION;
	out[3] = METHOD_SEND;
	wire_put64(out + 8, m->transaction);
	wire_put16(out + 16, m->attribute);
	if (m->attribute == MAD_REQ) {
		put_req(b, m);
		return;
	}
	wire_put32(b, m->local_id);
	wire_put32(b + 4, m->remote_id);
	switch (m->attribute) {
	case MAD_REP:
		put_rep(b, m);
		break;
	case MAD_REJ:
		put_rej(b, m);
		break;
	case MAD_MRA:
		b[8] = m->message << 6;
		b[9] = m->service_timeout << 3;
		break;
	case MAD_DREQ:
		wire_put24(b + 8, m->remote_queue_pair);
		break;
	case MAD_REQ:
	case MAD_RTU:
	case MAD_DREP:
		break;
	}
}

static bool get_req(const uint8_t *b, struct mad *m)
{
	uint64_t service = wire_get64(b + 8);
	uint32_t source, destination;

	if ((service & ~0xffffull) != MAD_SERVICE_TCP || (b[43] & 0x06) != 0)
		return false;
	if (!gid_address(b + 56, &m->source) || !gid_address(b + 72, &m->destination))
		return false;
	source = wire_get32(b + REQ_DATA + 16);
	destination = wire_get32(b + REQ_DATA + 32);
	if (b[REQ_DATA] != 0 || b[REQ_DATA + 1] >> 4 != 4 || source != m->source ||
		destination != m->destination)
		return false;
	m->remote_id = 0;
	m->port = service & 0xffff;
	m->guid = wire_get64(b + 16);
	m->queue_pair = wire_get24(b + 32);
	m->responder_resources = b[35];
	m->initiator_depth = b[39];
	m->psn = wire_get24(b + 44);
	m->retries = b[47] & 7;
	m->mtu_code = b[50] >> 4;
	m->ack_timeout = b[95] >> 3;
	m->source_port = wire_get16(b + REQ_DATA + 2);
	m->data = b + REQ_HELLO;
	m->data_length = MAD_HELLO;
	return true;
}

static void get_rep(const uint8_t *b, struct mad *m)
{
	m->queue_pair = wire_get24(b + 12);
	m->psn = wire_get24(b + 20);
	m->responder_resources = b[24];
	m->initiator_depth = b[25];
	m->guid = wire_get64(b + 28);
	m->data = b + REP_DATA;
	m->data_length = MAD_REPLY;
}

static void get_rej(const uint8_t *b, struct mad *m)
{
	m->message = b[8] >> 6;
	m->reason = wire_get16(b + 10);
	m->data = b + REJ_DATA;
	m->data_length = MAD_REFUSAL;
}

bool mad_decode(const uint8_t *in, size_t length, struct mad *m)
{
	const uint8_t *b = in + BODY;

	memset(m, 0, sizeof(*m));
	if (length != MAD_BYTES || in[0] != BASE_VERSION || in[1] != CLASS_CM ||
		in[2] != CLASS_VERSION || in[3] != METHOD_SEND)
		return false;
	m->transaction = wire_get64(in + 8);
	m->attribute = wire_get16(in + 16);
	m->local_id = wire_get32(b);
	m->remote_id = wire_get32(b + 4);
	switch (m->attribute) {
	case MAD_REQ:
		return get_req(b, m);
	case MAD_REP:
		get_rep(b, m);
		return true;
	case MAD_REJ:
		get_rej(b, m);
		return true;
	case MAD_MRA:
		m->message = b[8] >> 6;
		m->service_timeout = b[9] >> 3;
		return true;
	case MAD_DREQ:
		m->remote_queue_pair = wire_get24(b + 8);
		return true;
	case MAD_RTU:
	case MAD_DREP:
		return true;
	}
	return false;
}
