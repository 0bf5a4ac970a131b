/* SPDX-License-Identifier: MIT */
/* The policy's life, its links, and what an administrator asks of it. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include "memserver/policy_state.h"

void policy_log(struct policy *p, int level, const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	p->ops.log(p->context, level, text);
}

struct policy *policy_new(
	const struct policy_config *config, const struct policy_ops *ops, void *context)
{
	struct policy *p;

	if (config->slots == 0 || config->slots > POLICY_SLOTS_MAX)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->slot = calloc(config->slots, sizeof(*p->slot));
	if (!p->slot) {
		free(p);
		return NULL;
	}
	p->config = *config;
	p->ops = *ops;
	p->context = context;
	p->capacity = config->slots;
	p->unsure_slot = POLICY_NONE;
	return p;
}

void policy_free(struct policy *p)
{
	struct policy_link *link;

	if (!p)
		return;
	while ((link = p->links)) {
		p->links = link->next;
		free(link);
	}
	for (unsigned i = 0; i < POLICY_SESSIONS; i++)
		free(p->session[i].extent);
	free(p->slot);
	free(p);
}

/* Takes a link out of the list; its queue pair is gone or about to go. */
static void unlink_one(struct policy *p, struct policy_link *link)
{
	struct policy_link **at = &p->links;

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	p->link_count--;
	free(link);
}

static void destroy(struct policy *p, struct policy_link *link)
{
	p->ops.destroy(p->context, link->context);
	unlink_one(p, link);
}

void policy_fence(struct policy *p, uint64_t tenant, uint64_t number, uint64_t order)
{
	struct policy_link *link, *next;

	for (link = p->links; link; link = next) {
		next = link->next;
		if (link->tenant == tenant && link->number == number && link->order < order)
			destroy(p, link);
	}
}

/*
 * A VMM that cannot get through leaves a queue pair behind at every attempt, and a responder's
 * queue pair never times out: only the last few of a session are kept.
 */
static void drop_waiting(struct policy *p, uint64_t tenant, uint64_t number)
{
	struct policy_link *link, *oldest = NULL;
	unsigned waiting = 0;

	for (link = p->links; link; link = link->next) {
		if (link->tenant != tenant || link->number != number || link->session)
			continue;
		waiting++;
		if (!oldest || link->order < oldest->order)
			oldest = link;
	}
	if (waiting >= POLICY_LINKS_WAITING)
		destroy(p, oldest);
}

static struct policy_link *refuse(
	struct policy *p, struct rpc_refusal *refusal, enum rpc_error code, const char *text)
{
	memset(refusal, 0, sizeof(*refusal));
	refusal->magic = be32_make(RPC_MAGIC);
	refusal->code = be32_make(code);
	policy_message_text(refusal->text, sizeof(refusal->text), text);
	p->refusals++;
	policy_log(p, LOG_WARNING, "connection refused: %s", text);
	return NULL;
}

/* The text of what is wrong with a hello, or NULL. */
static const char *hello_wrong(const struct rpc_hello *hello, size_t length)
{
	if (length < sizeof(*hello))
		return "private data too short for a hello";
	if (be32_get(hello->magic) != RPC_MAGIC)
		return "private data is no hello";
	if (be16_get(hello->version_low) > be16_get(hello->version_high))
		return "lowest version above the highest";
	if (be64_get(hello->session) == 0)
		return "session number 0";
	return NULL;
}

struct policy_link *policy_connect(struct policy *p, const void *private_data, size_t length,
	void *link_context, struct rpc_welcome *welcome, struct rpc_refusal *refusal)
{
	struct rpc_hello hello = {0};
	struct policy_link *link;
	const char *wrong;
	char text[120];
	uint16_t low, high;

	if (length > 0)
		memcpy(&hello, private_data, length < sizeof(hello) ? length : sizeof(hello));
	wrong = hello_wrong(&hello, length);
	if (wrong)
		return refuse(p, refusal, RPC_ERROR_MALFORMED, wrong);
	low = be16_get(hello.version_low);
	high = be16_get(hello.version_high);
	if (low > RPC_VERSION || high < RPC_VERSION_LOW) {
		snprintf(text, sizeof(text), "no common version: asked for %u to %u, have %u to %u",
			low, high, RPC_VERSION_LOW, RPC_VERSION);
		return refuse(p, refusal, RPC_ERROR_VERSION, text);
	}
	drop_waiting(p, be64_get(hello.tenant), be64_get(hello.session));
	if (p->link_count >= POLICY_LINKS)
		return refuse(p, refusal, RPC_ERROR_RESOURCES, "too many queue pairs");
	link = calloc(1, sizeof(*link));
	if (!link)
		return refuse(p, refusal, RPC_ERROR_RESOURCES, "out of memory");
	link->context = link_context;
	link->tenant = be64_get(hello.tenant);
	link->number = be64_get(hello.session);
	link->version = high < RPC_VERSION ? high : RPC_VERSION;
	link->order = ++p->order;
	link->next = p->links;
	p->links = link;
	p->link_count++;
	*welcome = (struct rpc_welcome){
		be32_make(RPC_MAGIC), be16_make(link->version), be16_make(p->config.reads)};
	return link;
}

bool policy_attached(const struct policy_link *link)
{
	return link->session != NULL;
}

void policy_unlinked(struct policy *p, struct policy_link *link)
{
	unlink_one(p, link);
}

/* A forgotten session's record goes when no slot's record names it any more. */
static void erase_forgotten(struct policy *p)
{
	if (!p->forgetting)
		return;
	p->forgetting = false;
	for (unsigned i = 0; i < POLICY_SESSIONS; i++) {
		struct session *s = &p->session[i];

		if (s->used && s->forgotten && (s->dirty > 0 || policy_session_erase(p, s) != 0))
			p->forgetting = true;
	}
}

/* Zeroes one slot, if there is one; false: none is left, or the store fails. */
static bool zero_one(struct policy *p)
{
	for (uint32_t i = 0; p->dirty > 0 && i < p->capacity; i++) {
		uint32_t slot = p->next_dirty;

		p->next_dirty = (slot + 1) % p->capacity;
		if (p->slot[slot].state != SLOT_TO_ZERO)
			continue;
		/* A store that fails now is tried again at the next idle time, not at once. */
		return policy_lease_clean(p, slot) == 0 && p->dirty > 0;
	}
	return false;
}

bool policy_turn(struct policy *p)
{
	bool more = zero_one(p);

	erase_forgotten(p);
	return more;
}

static int forget_one(struct policy *p, struct session *s)
{
	int error;

	if (s->ended && s->dirty == 0)
		return policy_session_erase(p, s);
	/* From this one record on it is forgotten, whatever happens to the server. */
	s->forgotten = true;
	error = s->ended ? policy_store_session(p, s) : policy_session_end(p, s);
	if (error)
		s->forgotten = false;
	else
		p->forgetting = true;
	return error;
}

int policy_forget(struct policy *p, uint64_t tenant)
{
	bool known = false;
	int error;

	for (unsigned i = 0; i < POLICY_SESSIONS; i++) {
		struct session *s = &p->session[i];

		if (!s->used || s->forgotten || s->tenant != tenant)
			continue;
		known = true;
		error = forget_one(p, s);
		if (error)
			return error;
	}
	if (!known)
		return ENOENT;
	erase_forgotten(p);
	policy_log(p, LOG_NOTICE, "tenant %016llx forgotten", (unsigned long long)tenant);
	return 0;
}

void policy_totals(const struct policy *p, struct policy_totals *totals)
{
	*totals = (struct policy_totals){.slots = p->config.slots,
		.promised = (uint32_t)policy_session_promised(p, NULL),
		.dirty = p->dirty,
		.links = p->link_count,
		.messages = p->messages,
		.refusals = p->refusals,
		.leases = p->leases,
		.releases = p->releases};
	for (unsigned i = 0; i < POLICY_SESSIONS; i++) {
		if (!p->session[i].used || p->session[i].ended)
			continue;
		totals->sessions++;
		totals->leased += p->session[i].held - p->session[i].lost;
		totals->lost += p->session[i].lost;
	}
}
