/* SPDX-License-Identifier: MIT */
#include "fabric/session.h"

#include <string.h>
#include "fabric/session_state.h"
#include "lib/event.h"
#include "lib/log.h"
#include "lib/panic.h"

static const char *const state_names[] = {
	[SESSION_IDLE] = "idle",
	[SESSION_RESOLVING] = "resolving",
	[SESSION_CONNECTING] = "connecting",
	[SESSION_ATTACHING] = "attaching",
	[SESSION_LISTING] = "listing",
	[SESSION_CHECKING] = "checking",
	[SESSION_READY] = "ready",
	[SESSION_AWAY] = "away",
	[SESSION_ENDED] = "ended",
};

const char *session_state_name(enum session_state state)
{
	return state <= SESSION_ENDED ? state_names[state] : "?";
}

static void on_done(
	void *context, const struct qp_request *r, enum session_status status, uint64_t now)
{
	struct session *s = context;

	if (r->internal) {
		if (r->kind == QP_READ)
			attach_scratch_done(s, status, now);
	} else if (r->kind == QP_READ) {
		s->events->read_done(s->context, s->config.server, r->tag, status, now);
	} else {
		s->events->write_done(s->context, s->config.server, r->tag, status, now);
	}
}

static void on_message(void *context, const uint8_t *data, uint32_t length, uint64_t now)
{
	attach_message(context, data, length, now);
}

static const struct qp_events qp_events = {.done = on_done, .message = on_message};

void session_init(struct session *s, struct port *port, struct arp *arp, unsigned reads,
	const struct session_config *config)
{
	memset(s, 0, sizeof(*s));
	s->port = port;
	s->arp = arp;
	s->config = *config;
	s->config.name[sizeof(s->config.name) - 1] = '\0';
	s->mtu = s->mtu_top = wire_path_mtu(port->mtu);
	s->reads_wanted = reads;
	s->backoff = SESSION_BACKOFF_MIN_NS;
	cm_init(&s->cm, port);
	qp_init(&s->qp, port, &qp_events, s);
	control_init(&s->control);
}

void session_listen(struct session *s, const struct session_events *events, void *context)
{
	s->events = events;
	s->context = context;
}

void session_enter(struct session *s, enum session_state state, uint64_t now)
{
	event_record(EVENT_SESSION, s->config.server, state);
	s->state = state;
	s->since = now;
	if (state == SESSION_RESOLVING)
		s->reached = state;
	else if (state > s->reached && state <= SESSION_READY)
		s->reached = state;
}

void session_give_up(struct session *s, const char *why)
{
	if (s->qp.death == NULL)
		s->qp.death = why;
}

/* Tears down what there is; nothing of the engine's is outstanding afterwards. */
static void tear_down(struct session *s, enum session_state state, uint64_t now)
{
	/* An attempt that failed may have named extents: the next one names all anew. */
	bool named = s->state >= SESSION_LISTING && s->state <= SESSION_READY;

	session_enter(s, state, now); /* first: callbacks must find it not ready */
	cm_close(&s->cm);
	if (s->qp.open)
		s->port->counters.queue_pairs_lost++;
	qp_close(&s->qp, now);
	control_reset(&s->control, 0);
	if (named)
		s->events->lost(s->context, s->config.server, now);
}

static void set_text(struct session *s, const char *why)
{
	/* Once per reason: a server that stays away would fill the log. */
	if (!s->told || strncmp(s->text, why, sizeof(s->text) - 1) != 0)
		log_warning("server %s: %s (while %s)", s->config.name, why,
			session_state_name(s->state));
	s->told = true;
	control_text(s->text, sizeof(s->text), why, sizeof(s->text));
}

static void lose(struct session *s, const char *why, uint64_t now)
{
	set_text(s, why);
	tear_down(s, SESSION_AWAY, now);
	s->retry_at = now + s->backoff;
	s->backoff =
		2 * s->backoff < SESSION_BACKOFF_MAX_NS ? 2 * s->backoff : SESSION_BACKOFF_MAX_NS;
}

/* What no repetition mends. */
static bool permanent(enum rpc_error code)
{
	return code == RPC_ERROR_VERSION || code == RPC_ERROR_MALFORMED ||
	       code == RPC_ERROR_TENANT || code == RPC_ERROR_DOMAIN || code == RPC_ERROR_QUOTA ||
	       code == RPC_ERROR_POOL || code == RPC_ERROR_ENDED || code == RPC_ERROR_UNKNOWN;
}

void session_refused(struct session *s, enum rpc_error code, const char *text, size_t length)
{
	char clean[sizeof(s->text)];

	control_text(clean, sizeof(clean), text, length);
	set_text(s, clean);
	s->code = code;
	s->refused = permanent(code);
	session_give_up(s, s->text);
}

static void finish(struct session *s, uint64_t now)
{
	log_error("server %s: refused for good: %s", s->config.name, s->text);
	tear_down(s, SESSION_ENDED, now);
	s->events->ended(s->context, s->config.server, s->code, s->text);
}

/* After anything that can have ended the queue pair or the attempt. */
static void settle(struct session *s, uint64_t now)
{
	const char *why = s->qp.death;

	if (why == NULL || s->state == SESSION_AWAY || s->state == SESSION_ENDED)
		return;
	s->qp.death = NULL;
	if (s->refused)
		finish(s, now);
	else
		lose(s, why, now);
}

static void begin(struct session *s, uint64_t now)
{
	s->code = RPC_ERROR_NONE;
	s->qp.death = NULL;
	session_enter(s, SESSION_RESOLVING, now);
	s->number = 0;
	arp_resolve(s->arp, s->config.address, true, s->path.destination_mac, now);
}

static void connect(struct session *s, uint64_t now)
{
	struct rpc_hello hello = {
		.magic = be32_make(RPC_MAGIC),
		.version_low = be16_make(RPC_VERSION_LOW),
		.version_high = be16_make(RPC_VERSION),
		.tenant = be64_make(s->config.tenant),
		.session = be64_make(s->config.number),
	};
	struct cm_parameters p = {
		.port = s->config.port,
		.mtu = s->mtu,
		.reads = s->reads_wanted,
	};

	memcpy(s->path.source_mac, s->port->nic->mac, 6);
	s->path.source = s->port->address;
	s->path.destination = s->config.address;
	/* New numbers each time: what is still under way for the old ones must find nobody. */
	s->number = 2 + port_random(s->port) % (WIRE_PSN_MASK - 2);
	s->psn = port_random(s->port) & WIRE_PSN_MASK;
	s->path.source_port = 0xc000 | (s->number & 0x3fff);
	p.path = s->path;
	p.queue_pair = s->number;
	p.psn = s->psn;
	memcpy(p.hello, &hello, sizeof(hello));
	session_enter(s, SESSION_CONNECTING, now);
	cm_connect(&s->cm, &p, now);
}

/* One step down; from the lowest back to the top, for the next attempt. */
static void step_mtu(struct session *s)
{
	uint32_t from = s->mtu;

	s->mtu = s->mtu / 2 >= QP_MTU_MIN ? s->mtu / 2 : s->mtu_top;
	s->mtu_failures = 0;
	s->mtu_worked = false;
	if (s->mtu < from)
		log_warning("server %s: path MTU %u does not get through, trying %u",
			s->config.name, from, s->mtu);
}

static void mtu_failed(struct session *s, unsigned allowed)
{
	if (++s->mtu_failures >= (s->mtu_worked ? allowed + 2 : allowed))
		step_mtu(s);
}

static void accepted(struct session *s, uint64_t now)
{
	struct rpc_welcome welcome;
	struct qp_parameters p = {
		.path = s->path,
		.number = s->number,
		.remote = s->cm.accepted.queue_pair,
		.mtu = s->mtu,
		.first_psn = s->cm.accepted.psn,
		.expected_psn = s->psn,
		.reads = s->cm.accepted.reads,
	};

	memcpy(&welcome, s->cm.accepted.data, sizeof(welcome));
	if (be32_get(welcome.magic) != RPC_MAGIC) {
		lose(s, "who answers there is no memory server", now);
		return;
	}
	if (be16_get(welcome.version) < RPC_VERSION_LOW ||
		be16_get(welcome.version) > RPC_VERSION) {
		lose(s, "the server chose a version that was not offered", now);
		return;
	}
	if (be16_get(welcome.reads) != 0 && be16_get(welcome.reads) < p.reads)
		p.reads = be16_get(welcome.reads);
	if (p.reads > s->reads_wanted)
		p.reads = s->reads_wanted;
	if (p.reads == 0) {
		lose(s, "the server grants no READs", now);
		return;
	}
	s->heard = now;
	qp_open(&s->qp, &p, now);
	control_reset(&s->control, be16_get(welcome.version));
	session_enter(s, SESSION_ATTACHING, now);
	attach_begin(s, now);
}

static void rejected(struct session *s, uint64_t now)
{
	struct rpc_refusal refusal;

	memcpy(&refusal, s->cm.rejected.data, sizeof(refusal));
	if (s->cm.rejected.reason == MAD_REJECT_CONSUMER && be32_get(refusal.magic) == RPC_MAGIC) {
		session_refused(s, be32_get(refusal.code), refusal.text, sizeof(refusal.text));
		return;
	}
	if (s->cm.rejected.reason == MAD_REJECT_MTU)
		mtu_failed(s, 1);
	/* With REJ 10 comes the DREQ that clears the old connection: soon again, new numbers. */
	if (s->cm.rejected.reason == MAD_REJECT_STALE)
		s->backoff = SESSION_BACKOFF_MIN_NS;
	lose(s, cm_reason(s->cm.rejected.reason), now);
}

static void outcome(struct session *s, enum cm_outcome what, uint64_t now)
{
	switch (what) {
	case CM_NOTHING:
		break;
	case CM_ACCEPTED:
		accepted(s, now);
		break;
	case CM_REJECTED:
		rejected(s, now);
		break;
	case CM_DISCONNECTED:
		session_give_up(s, "the server ended the connection");
		break;
	case CM_SILENT:
		mtu_failed(s, 2);
		lose(s, "no answer to the connection request", now);
		break;
	}
	settle(s, now);
}

bool session_mad(struct session *s, const struct mad *mad, uint32_t source, uint64_t now)
{
	if (!cm_wants(&s->cm, mad, source))
		return false;
	outcome(s, cm_input(&s->cm, mad, now), now);
	return true;
}

void session_packet(struct session *s, const struct wire_packet *packet, uint64_t now)
{
	if (packet->source != s->path.destination) {
		s->port->counters.frames_ignored++;
		return;
	}
	s->heard = now;
	qp_input(&s->qp, packet, now);
	settle(s, now);
}

static void turn_connected(struct session *s, uint64_t now)
{
	qp_turn(&s->qp, now);
	if (s->reconnect)
		session_give_up(s, "reconnecting as asked");
	if (s->qp.death == NULL)
		attach_turn(s, now);
	if (s->state == SESSION_CHECKING && now >= s->since + SESSION_CHECK_NS) {
		mtu_failed(s, 1);
		session_give_up(s, "the scratch page was not answered");
	}
	settle(s, now);
}

void session_turn(struct session *s, uint64_t now)
{
	check(s->events != NULL);
	switch (s->state) {
	case SESSION_AWAY:
		if (now < s->retry_at)
			return;
		/* fall through */
	case SESSION_IDLE:
		begin(s, now);
		/* fall through */
	case SESSION_RESOLVING:
		if (arp_resolve(s->arp, s->config.address, false, s->path.destination_mac, now))
			connect(s, now);
		break;
	case SESSION_CONNECTING:
		outcome(s, cm_turn(&s->cm, now), now);
		break;
	case SESSION_ATTACHING:
	case SESSION_LISTING:
	case SESSION_CHECKING:
	case SESSION_READY:
		turn_connected(s, now);
		break;
	case SESSION_ENDED:
		break;
	}
	s->reconnect = false;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t session_deadline(const struct session *s, uint64_t now)
{
	uint64_t deadline;

	switch (s->state) {
	case SESSION_IDLE:
		return 0;
	case SESSION_AWAY:
		return s->retry_at;
	case SESSION_CONNECTING:
		return cm_deadline(&s->cm);
	case SESSION_RESOLVING: /* ARP has its own */
	case SESSION_ENDED:
		return UINT64_MAX;
	case SESSION_ATTACHING:
	case SESSION_LISTING:
	case SESSION_CHECKING:
	case SESSION_READY:
		break;
	}
	deadline = earlier(qp_deadline(&s->qp, now), attach_deadline(s));
	if (s->state == SESSION_CHECKING)
		deadline = earlier(deadline, s->since + SESSION_CHECK_NS);
	return s->reconnect ? 0 : deadline;
}

void session_shift(struct session *s, uint64_t gap, uint64_t now)
{
	s->since += s->state == SESSION_CHECKING ? gap : 0;
	s->heard += gap;
	s->retry_at += gap;
	s->control.asked_at += gap;
	cm_shift(&s->cm, gap);
	qp_shift(&s->qp, gap, now);
}

unsigned session_reads_free(const struct session *s)
{
	return s->state == SESSION_READY ? qp_reads_free(&s->qp) : 0;
}

unsigned session_writes_free(const struct session *s)
{
	return s->state == SESSION_READY ? qp_writes_free(&s->qp) : 0;
}

bool session_read(
	struct session *s, uint64_t address, uint32_t rkey, void *to, uint32_t tag, uint64_t now)
{
	return s->state == SESSION_READY && qp_read(&s->qp, address, rkey, to, tag, false, now);
}

bool session_write(struct session *s, uint64_t address, uint32_t rkey, const void *from,
	uint32_t tag, uint64_t now)
{
	return s->state == SESSION_READY && qp_write(&s->qp, address, rkey, from, tag, false, now);
}

void session_abandon(struct session *s, uint32_t tag)
{
	qp_abandon(&s->qp, tag);
}

bool session_lease(struct session *s, uint32_t index)
{
	return s->state != SESSION_ENDED && control_enqueue(&s->control, RPC_LEASE, index);
}

bool session_release(struct session *s, uint32_t index)
{
	return s->state != SESSION_ENDED && control_enqueue(&s->control, RPC_RELEASE, index);
}

void session_reconnect(struct session *s, uint64_t now)
{
	(void)now;
	s->reconnect = true;
}

void session_info(const struct session *s, struct session_info *info)
{
	memset(info, 0, sizeof(*info));
	info->state = s->state;
	info->reached = s->reached;
	info->since = s->since;
	info->rtt = s->qp.rto.smoothed;
	info->mtu = s->mtu;
	info->reconnects = s->reconnects;
	info->code = s->code;
	memcpy(info->text, s->text, sizeof(info->text));
}
