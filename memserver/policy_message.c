/* SPDX-License-Identifier: MIT */
/* Control messages: checked, handed to who answers them, answers and errors written. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include "memserver/policy_state.h"

void policy_message_text(char *to, size_t size, const char *text)
{
	size_t i;

	for (i = 0; i + 1 < size && text[i]; i++)
		to[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	memset(to + i, 0, size - i);
}

void policy_message_refuse(struct policy_reply *r, enum rpc_error error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(r->text, sizeof(r->text), format, arguments);
	va_end(arguments);
	r->error = error;
}

static void on_attach(
	struct policy *p, struct policy_link *link, const void *body, struct policy_reply *r)
{
	struct rpc_attach attach;

	memcpy(&attach, body, sizeof(attach));
	policy_session_attach(p, link, &attach, r);
}

static void on_list(
	struct policy *p, struct policy_link *link, const void *body, struct policy_reply *r)
{
	struct rpc_list list;

	memcpy(&list, body, sizeof(list));
	policy_lease_list(p, link->session, be32_get(list.first), r);
}

static void on_lease(
	struct policy *p, struct policy_link *link, const void *body, struct policy_reply *r)
{
	struct rpc_index index;

	memcpy(&index, body, sizeof(index));
	policy_lease_take(p, link->session, be32_get(index.index), r);
}

static void on_release(
	struct policy *p, struct policy_link *link, const void *body, struct policy_reply *r)
{
	struct rpc_index index;

	memcpy(&index, body, sizeof(index));
	policy_lease_release(p, link->session, be32_get(index.index), r);
}

static void on_ping(
	struct policy *p, struct policy_link *link, const void *body, struct policy_reply *r)
{
}

static const struct request {
	const char *name;
	uint32_t length; /* of its body */
	bool attached; /* only after ATTACH */
	void (*handle)(struct policy *p, struct policy_link *link, const void *body,
		struct policy_reply *r);
} requests[] = {
	[RPC_ATTACH] = {"ATTACH", sizeof(struct rpc_attach), false, on_attach},
	[RPC_LIST] = {"LIST", sizeof(struct rpc_list), true, on_list},
	[RPC_LEASE] = {"LEASE", sizeof(struct rpc_index), true, on_lease},
	[RPC_RELEASE] = {"RELEASE", sizeof(struct rpc_index), true, on_release},
	[RPC_PING] = {"PING", 0, true, on_ping},
};

#define REQUESTS (sizeof(requests) / sizeof(requests[0]))

/* What holds for every message. False: the reply is an error. */
static bool header_good(struct policy_link *link, const struct rpc_header *header, size_t length,
	struct policy_reply *r)
{
	uint16_t type = be16_get(header->type);

	if (length < sizeof(*header) || length > RPC_MESSAGE_MAX) {
		policy_message_refuse(r, RPC_ERROR_MALFORMED, "message of %zu bytes", length);
	} else if (be32_get(header->magic) != RPC_MAGIC) {
		policy_message_refuse(
			r, RPC_ERROR_MALFORMED, "bad magic %08x", be32_get(header->magic));
	} else if (be16_get(header->version) != link->version) {
		r->number[0] = RPC_VERSION_LOW;
		r->number[1] = RPC_VERSION;
		policy_message_refuse(r, RPC_ERROR_VERSION, "version %u, agreed was %u",
			be16_get(header->version), link->version);
	} else if (be32_get(header->length) != length - sizeof(*header)) {
		policy_message_refuse(r, RPC_ERROR_MALFORMED, "body of %u bytes in one of %zu",
			be32_get(header->length), length - sizeof(*header));
	} else if (be64_get(header->counter) <= link->received) {
		policy_message_refuse(r, RPC_ERROR_MALFORMED, "counter %llu after %llu",
			(unsigned long long)be64_get(header->counter),
			(unsigned long long)link->received);
	} else if (type >= REQUESTS || !requests[type].handle) {
		policy_message_refuse(r, RPC_ERROR_MALFORMED, "unknown type %04x", type);
	} else if (be32_get(header->length) != requests[type].length) {
		policy_message_refuse(r, RPC_ERROR_MALFORMED, "%s with a body of %u bytes",
			requests[type].name, be32_get(header->length));
	} else {
		return true;
	}
	return false;
}

/* Writes the answer behind which the reply stands; returns its length. */
static size_t finish(struct policy_link *link, const struct rpc_header *request,
	const struct policy_reply *r, void *answer)
{
	struct rpc_header header = {.magic = be32_make(RPC_MAGIC),
		.version = be16_make(link->version),
		.id = request->id,
		.counter = be64_make(++link->sent)};
	struct rpc_error_body body = {0};
	const void *from = r->body.bytes;
	size_t length = r->length;

	header.type = be16_make(be16_get(request->type) | RPC_ANSWER);
	if (r->error) {
		header.type = be16_make(RPC_ERROR);
		body.code = be32_make(r->error);
		body.number[0] = be64_make(r->number[0]);
		body.number[1] = be64_make(r->number[1]);
		policy_message_text(body.text, sizeof(body.text), r->text);
		from = &body;
		length = sizeof(body);
	}
	header.length = be32_make((uint32_t)length);
	memcpy(answer, &header, sizeof(header));
	memcpy((uint8_t *)answer + sizeof(header), from, length);
	return sizeof(header) + length;
}

size_t policy_message(struct policy *p, struct policy_link *link, const void *message,
	size_t length, void *answer)
{
	struct rpc_header header = {0};
	struct policy_reply reply;
	const uint8_t *body = (const uint8_t *)message + sizeof(header);
	uint16_t type;

	reply.error = RPC_ERROR_NONE;
	reply.number[0] = reply.number[1] = 0;
	reply.length = 0;
	p->messages++;
	if (length >= sizeof(header))
		memcpy(&header, message, sizeof(header));
	type = be16_get(header.type);
	if (header_good(link, &header, length, &reply)) {
		link->received = be64_get(header.counter);
		if (requests[type].attached && !link->session)
			policy_message_refuse(
				&reply, RPC_ERROR_ATTACH, "%s before ATTACH", requests[type].name);
		else
			requests[type].handle(p, link, body, &reply);
	}
	if (reply.error) {
		p->refusals++;
		policy_log(p, LOG_WARNING, "tenant %016llx: request %u refused: %s",
			(unsigned long long)link->tenant, type, reply.text);
	}
	return finish(link, &header, &reply, answer);
}
