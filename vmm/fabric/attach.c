/* SPDX-License-Identifier: MIT */
/* From a queue pair to a session that is ready: ATTACH, LIST, the scratch page; then the queue. */
#include <string.h>
#include "fabric/session_state.h"
#include "lib/log.h"

#define RELEASE_RETRY_NS 1000000000ull

static void ask(struct session *s, uint16_t type, const void *body, size_t length, uint64_t now)
{
	uint8_t message[RPC_MESSAGE_MAX];
	size_t n = control_request(&s->control, type, body, length, message, now);

	if (!qp_send(&s->qp, message, n, now))
		session_give_up(s, "no room for a control message");
}

static void ask_list(struct session *s, uint32_t first, uint64_t now)
{
	struct rpc_list list = {.first = be32_make(first)};

	s->list_next = first;
	ask(s, RPC_LIST, &list, sizeof(list), now);
}

void attach_begin(struct session *s, uint64_t now)
{
	struct rpc_attach attach = {
		.mode = be32_make(s->attached ? RPC_ATTACH_RESUME : RPC_ATTACH_FRESH),
		.extent_shift = be32_make(RPC_EXTENT_SHIFT),
		.extents = be32_make(s->config.extents),
	};

	memcpy(attach.domain, s->config.domain, sizeof(attach.domain));
	ask(s, RPC_ATTACH, &attach, sizeof(attach), now);
}

static void on_attached(struct session *s, const uint8_t *body, size_t length, uint64_t now)
{
	struct rpc_attached a;

	if (length != sizeof(a)) {
		session_give_up(s, "malformed answer to ATTACH");
		return;
	}
	memcpy(&a, body, sizeof(a));
	if (be32_get(a.extents_promised) < s->config.extents) {
		session_give_up(s, "the server promised less than was asked for");
		return;
	}
	/*
	 * Nothing can have been leased from a pool between its first sight and ready: what the
	 * server claims to hold then is not what we wrote.
	 */
	if (s->pool_known && memcmp(s->pool, a.pool, sizeof(s->pool)) != 0)
		s->pool_changed = true;
	memcpy(s->pool, a.pool, sizeof(s->pool));
	s->pool_known = true;
	s->attached = true;
	s->scratch_address = be64_get(a.scratch_address);
	s->scratch_rkey = be32_get(a.scratch_rkey);
	session_enter(s, SESSION_LISTING, now);
	ask_list(s, 0, now);
}

static void check_scratch(struct session *s, uint64_t now)
{
	session_enter(s, SESSION_CHECKING, now);
	for (unsigned i = 0; i < SESSION_PAGE; i += 8)
		wire_put64(s->scratch_out + i, port_random(s->port));
	memset(s->scratch_in, 0, SESSION_PAGE);
	if (!qp_write(&s->qp, s->scratch_address, s->scratch_rkey, s->scratch_out, 0, true, now) ||
		!qp_read(&s->qp, s->scratch_address, s->scratch_rkey, s->scratch_in, 0, true, now))
		session_give_up(s, "no room for the scratch page");
}

/*
 * One entry of a LIST's answer; false: it contradicts the order. Which indices can be is the
 * engine's to know: they count the far window, of which this server has a share.
 */
static bool take_extent(struct session *s, const uint8_t *from)
{
	struct rpc_extent e;
	uint32_t index, state;

	memcpy(&e, from, sizeof(e));
	index = be32_get(e.index);
	state = be32_get(e.state);
	if (index < s->list_next || index == RPC_LIST_END ||
		(state != RPC_EXTENT_HELD && state != RPC_EXTENT_LOST))
		return false;
	s->list_next = index + 1;
	if (s->pool_changed)
		state = RPC_EXTENT_LOST;
	if (!control_releasing(&s->control, index))
		s->events->extent(s->context, s->config.server, index, state, be64_get(e.address),
			be32_get(e.rkey));
	return true;
}

static void on_listed(struct session *s, const uint8_t *body, size_t length, uint64_t now)
{
	struct rpc_listed listed;
	uint32_t count, next;

	if (length < sizeof(listed)) {
		session_give_up(s, "malformed answer to LIST");
		return;
	}
	memcpy(&listed, body, sizeof(listed));
	count = be32_get(listed.count);
	next = be32_get(listed.next);
	if (count > RPC_LIST_MAX || length != sizeof(listed) + count * sizeof(struct rpc_extent)) {
		session_give_up(s, "malformed answer to LIST");
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		if (!take_extent(s, body + sizeof(listed) + i * sizeof(struct rpc_extent))) {
			session_give_up(s, "LIST names what cannot be");
			return;
		}
	}
	if (next == RPC_LIST_END)
		check_scratch(s, now);
	else if (count == 0 || next < s->list_next)
		session_give_up(s, "LIST does not come to its end");
	else
		ask_list(s, next, now);
}

void attach_scratch_done(struct session *s, enum session_status status, uint64_t now)
{
	if (status != SESSION_OK || s->state != SESSION_CHECKING)
		return;
	if (memcmp(s->scratch_in, s->scratch_out, SESSION_PAGE) != 0) {
		session_give_up(s, "the scratch page reads back wrong");
		return;
	}
	s->mtu_worked = true;
	s->mtu_failures = 0;
	s->told = false;
	s->reconnects += s->was_ready;
	s->was_ready = true;
	s->pool_changed = false;
	s->backoff = SESSION_BACKOFF_MIN_NS;
	session_enter(s, SESSION_READY, now);
	log_info("server %s: ready, path MTU %u", s->config.name, s->qp.mtu);
	s->events->ready(s->context, s->config.server, now);
}

static void on_leased(struct session *s, const uint8_t *body, size_t length)
{
	const struct control_item *first = control_first(&s->control);
	struct rpc_extent e;

	if (length != sizeof(e) || first == NULL) {
		session_give_up(s, "malformed answer to LEASE");
		return;
	}
	memcpy(&e, body, sizeof(e));
	if (be32_get(e.index) != first->index || be32_get(e.state) != RPC_EXTENT_HELD) {
		session_give_up(s, "LEASE answered with another extent");
		return;
	}
	control_drop(&s->control);
	s->events->extent(s->context, s->config.server, be32_get(e.index), RPC_EXTENT_HELD,
		be64_get(e.address), be32_get(e.rkey));
}

static void on_released(struct session *s, const uint8_t *body, size_t length)
{
	const struct control_item *first = control_first(&s->control);
	struct rpc_index index;

	if (length != sizeof(index) || first == NULL) {
		session_give_up(s, "malformed answer to RELEASE");
		return;
	}
	memcpy(&index, body, sizeof(index));
	if (be32_get(index.index) != first->index) {
		session_give_up(s, "RELEASE answered with another extent");
		return;
	}
	control_drop(&s->control);
	s->events->released(s->context, s->config.server, be32_get(index.index));
}

/* An error to a LEASE is the engine's to judge, unless it means the whole session. */
static bool extent_error(enum rpc_error code)
{
	return code == RPC_ERROR_QUOTA || code == RPC_ERROR_POOL || code == RPC_ERROR_EXTENT ||
	       code == RPC_ERROR_STORE || code == RPC_ERROR_LOST || code == RPC_ERROR_RESOURCES;
}

static void on_error(
	struct session *s, uint16_t asked, enum rpc_error code, const uint8_t *body, uint64_t now)
{
	const struct control_item *first = control_first(&s->control);
	struct rpc_error_body error;

	memcpy(&error, body, sizeof(error));
	if (asked == RPC_LEASE && extent_error(code) && first != NULL) {
		uint32_t index = first->index;

		control_text(s->text, sizeof(s->text), error.text, sizeof(error.text));
		s->code = code;
		control_drop(&s->control);
		s->events->lease_refused(s->context, s->config.server, index, code);
		return;
	}
	if (asked == RPC_RELEASE && extent_error(code)) {
		/* It stays first in the queue: a full disk must not cost the queue pair. */
		s->ask_at = now + RELEASE_RETRY_NS;
		return;
	}
	session_refused(s, code, error.text, sizeof(error.text));
}

void attach_message(struct session *s, const uint8_t *data, uint32_t length, uint64_t now)
{
	uint16_t asked = s->control.asked;
	const uint8_t *body;
	size_t body_length;
	enum rpc_error error;
	const char *wrong = control_answer(&s->control, data, length, &body, &body_length, &error);

	if (wrong != NULL)
		session_give_up(s, wrong);
	else if (error != RPC_ERROR_NONE)
		on_error(s, asked, error, body, now);
	else if (asked == RPC_ATTACH)
		on_attached(s, body, body_length, now);
	else if (asked == RPC_LIST)
		on_listed(s, body, body_length, now);
	else if (asked == RPC_LEASE)
		on_leased(s, body, body_length);
	else if (asked == RPC_RELEASE)
		on_released(s, body, body_length);
}

void attach_turn(struct session *s, uint64_t now)
{
	const struct control_item *first = control_first(&s->control);
	struct rpc_index index;

	if (s->control.asked != 0) {
		if (now >= s->control.asked_at + SESSION_ANSWER_NS)
			session_give_up(s, "a control message was not answered for 30 s");
		return;
	}
	if (s->state != SESSION_READY)
		return;
	if (first != NULL) {
		if (now < s->ask_at)
			return;
		index = (struct rpc_index){.index = be32_make(first->index)};
		ask(s, first->type, &index, sizeof(index), now);
	} else if (qp_idle(&s->qp) && now >= s->heard + SESSION_PING_NS) {
		ask(s, RPC_PING, NULL, 0, now);
	}
}

uint64_t attach_deadline(const struct session *s)
{
	if (s->control.asked != 0)
		return s->control.asked_at + SESSION_ANSWER_NS;
	if (s->state != SESSION_READY)
		return UINT64_MAX;
	if (control_first(&s->control) != NULL)
		return s->ask_at;
	return qp_idle(&s->qp) ? s->heard + SESSION_PING_NS : UINT64_MAX;
}
