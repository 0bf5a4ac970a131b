/* SPDX-License-Identifier: MIT */
#include "fabric/cm.h"

#include <string.h>

#define SOURCE_PORT  0xc001u
#define TIMEOUT_UNIT 4096ull /* ns */

static bool send_datagram(
	struct port *port, const struct wire_path *path, const uint8_t datagram[MAD_BYTES])
{
	uint8_t frame[WIRE_HEAD_MAX + MAD_BYTES + WIRE_ICRC];
	struct wire_packet packet = {
		.opcode = WIRE_DATAGRAM,
		.migrated = true,
		.queue_pair = CM_QUEUE_PAIR,
		.psn = port_random(port) & WIRE_PSN_MASK,
		.queue_key = WIRE_QP1_KEY,
		.source_queue_pair = CM_QUEUE_PAIR,
	};

	return port_send(
		port, frame, wire_frame(frame, path, &packet, datagram, MAD_BYTES), NULL, 0);
}

static bool send(struct port *port, const struct wire_path *path, const struct mad *mad)
{
	uint8_t datagram[MAD_BYTES];

	mad_encode(datagram, mad);
	return send_datagram(port, path, datagram);
}

void cm_init(struct cm *cm, struct port *port)
{
	memset(cm, 0, sizeof(*cm));
	cm->port = port;
	cm->repeat_at = cm->give_up_at = UINT64_MAX;
}

static uint32_t draw_id(struct port *port)
{
	uint32_t id;

	do
		id = port_random(port);
	while (id == 0);
	return id;
}

void cm_connect(struct cm *cm, const struct cm_parameters *p, uint64_t now)
{
	struct mad req = {
		.attribute = MAD_REQ,
		.port = p->port,
		.guid = port_guid(cm->port),
		.source_port = SOURCE_PORT,
		.source = p->path.source,
		.destination = p->path.destination,
		.mtu_code = wire_mtu_code(p->mtu),
		.ack_timeout = CM_ACK_TIMEOUT,
		.retries = CM_RETRIES,
		.queue_pair = p->queue_pair,
		.psn = p->psn,
		.initiator_depth = p->reads,
		.data = p->hello,
		.data_length = MAD_HELLO,
	};

	cm->path = p->path;
	cm->path.source_port = SOURCE_PORT;
	cm->local_id = req.local_id = draw_id(cm->port);
	cm->remote_id = 0;
	cm->transaction = req.transaction = port_random(cm->port);
	cm->queue_pair = p->queue_pair;
	mad_encode(cm->request, &req);
	cm->state = CM_REQUESTED;
	cm->repeated = false;
	cm->give_up_at = now + CM_GIVE_UP_NS;
	/* A full ring counts as a lost REQ, but for less time. */
	cm->repeat_at = now;
	if (send_datagram(cm->port, &cm->path, cm->request))
		cm->repeat_at += CM_REPEAT_NS;
	cm->port->counters.connects++;
}

bool cm_wants(const struct cm *cm, const struct mad *mad, uint32_t source)
{
	if (cm->state == CM_IDLE || source != cm->path.destination ||
		mad->remote_id != cm->local_id || mad->attribute == MAD_REQ)
		return false;
	if (cm->state == CM_REQUESTED)
		return true;
	/* A REJ of a server that gave our RTU up may carry no id of its own. */
	return mad->local_id == cm->remote_id || mad->attribute == MAD_REJ;
}

static void send_short(struct cm *cm, enum mad_attribute attribute, uint64_t transaction)
{
	struct mad m = {
		.attribute = attribute,
		.transaction = transaction,
		.local_id = cm->local_id,
		.remote_id = cm->remote_id,
		.remote_queue_pair = cm->accepted.queue_pair,
	};

	send(cm->port, &cm->path, &m);
}

static enum cm_outcome input_rep(struct cm *cm, const struct mad *m)
{
	if (cm->state == CM_CONNECTED) {
		send_short(cm, MAD_RTU, cm->transaction); /* ours was lost */
		return CM_NOTHING;
	}
	cm->remote_id = m->local_id;
	cm->accepted.queue_pair = m->queue_pair;
	cm->accepted.psn = m->psn;
	cm->accepted.reads = m->responder_resources;
	memcpy(cm->accepted.data, m->data, MAD_REPLY);
	cm->state = CM_CONNECTED;
	cm->repeat_at = cm->give_up_at = UINT64_MAX;
	cm->port->counters.connected++;
	send_short(cm, MAD_RTU, cm->transaction);
	return CM_ACCEPTED;
}

static void forget(struct cm *cm)
{
	cm->state = CM_IDLE;
	cm->repeat_at = cm->give_up_at = UINT64_MAX;
}

enum cm_outcome cm_input(struct cm *cm, const struct mad *m, uint64_t now)
{
	enum cm_outcome outcome = CM_NOTHING;
	uint64_t wait;

	switch (m->attribute) {
	case MAD_REP:
		return input_rep(cm, m);
	case MAD_REJ:
		outcome = cm->state == CM_CONNECTED ? CM_DISCONNECTED : CM_REJECTED;
		cm->rejected.reason = m->reason;
		memcpy(cm->rejected.data, m->data, MAD_REFUSAL);
		forget(cm);
		return outcome;
	case MAD_MRA:
		if (cm->state != CM_REQUESTED)
			return CM_NOTHING;
		wait = TIMEOUT_UNIT << m->service_timeout;
		cm->repeat_at = UINT64_MAX;
		cm->give_up_at = now + (wait < CM_SLOW_NS ? wait : CM_SLOW_NS);
		return CM_NOTHING;
	case MAD_DREQ:
		if (cm->state != CM_CONNECTED)
			return CM_NOTHING;
		send_short(cm, MAD_DREP, m->transaction);
		forget(cm);
		return CM_DISCONNECTED;
	case MAD_REQ:
	case MAD_RTU:
	case MAD_DREP:
		break;
	}
	return CM_NOTHING;
}

void cm_stranger(struct port *port, const struct wire_packet *packet, const struct mad *m)
{
	struct wire_path path = {
		.source = packet->destination,
		.destination = packet->source,
		.source_port = SOURCE_PORT,
	};
	struct mad reply = {
		.transaction = m->transaction,
		.local_id = m->remote_id,
		.remote_id = m->local_id,
	};

	memcpy(path.source_mac, port->nic->mac, 6);
	memcpy(path.destination_mac, packet->source_mac, 6);
	if (m->attribute == MAD_DREQ) {
		reply.attribute = MAD_DREP;
	} else if (m->attribute == MAD_REP) {
		reply.attribute = MAD_REJ;
		reply.message = 1;
		reply.reason = MAD_REJECT_COMM_ID;
	} else {
		port->counters.frames_ignored++;
		return;
	}
	send(port, &path, &reply);
}

enum cm_outcome cm_turn(struct cm *cm, uint64_t now)
{
	if (cm->state != CM_REQUESTED)
		return CM_NOTHING;
	if (now >= cm->give_up_at) {
		forget(cm);
		return CM_SILENT;
	}
	if (now >= cm->repeat_at && send_datagram(cm->port, &cm->path, cm->request)) {
		cm->repeat_at = now + (cm->repeated ? 2 : 1) * CM_REPEAT_NS;
		cm->repeated = true;
	}
	return CM_NOTHING;
}

uint64_t cm_deadline(const struct cm *cm)
{
	return cm->repeat_at < cm->give_up_at ? cm->repeat_at : cm->give_up_at;
}

void cm_shift(struct cm *cm, uint64_t gap)
{
	if (cm->give_up_at != UINT64_MAX)
		cm->give_up_at += gap;
}

void cm_close(struct cm *cm)
{
	if (cm->state == CM_CONNECTED)
		send_short(cm, MAD_DREQ, port_random(cm->port));
	forget(cm);
}

const char *cm_reason(unsigned reason)
{
	switch (reason) {
	case MAD_REJECT_NO_QP:
	case MAD_REJECT_RESOURCES:
		return "the server is out of resources";
	case MAD_REJECT_TIMEOUT:
		return "the server gave the connection up";
	case MAD_REJECT_SERVICE:
		return "nobody listens on that port";
	case MAD_REJECT_STALE:
		return "the server still knows an older connection";
	case MAD_REJECT_MTU:
		return "the server refuses the path MTU";
	case MAD_REJECT_CONSUMER:
		return "the server refused the connection";
	}
	return "the connection was rejected";
}
