/* SPDX-License-Identifier: MIT */
/* Sessions: who may attach, what is promised, how an older one ends. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include "memserver/policy_state.h"

struct session *policy_session_find(struct policy *p, uint64_t tenant, uint64_t number)
{
	for (unsigned i = 0; i < POLICY_SESSIONS; i++) {
		struct session *s = &p->session[i];

		if (s->used && s->tenant == tenant && s->number == number)
			return s;
	}
	return NULL;
}

uint32_t policy_session_place(const struct session *s, uint32_t index)
{
	uint32_t low = 0, high = s->held;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (s->extent[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint32_t policy_session_slot(const struct session *s, uint32_t index)
{
	uint32_t place = policy_session_place(s, index);

	if (place == s->held || s->extent[place].index != index)
		return POLICY_NONE;
	return s->extent[place].slot;
}

bool policy_session_hold(struct session *s, uint32_t index, uint32_t slot)
{
	uint32_t place = policy_session_place(s, index);

	if (s->held == s->capacity) {
		uint32_t capacity = s->capacity ? 2 * s->capacity : 16;
		struct held *bigger = realloc(s->extent, capacity * sizeof(*bigger));

		if (!bigger)
			return false;
		s->extent = bigger;
		s->capacity = capacity;
	}
	memmove(&s->extent[place + 1], &s->extent[place], (s->held - place) * sizeof(*s->extent));
	s->extent[place] = (struct held){index, slot};
	s->held++;
	return true;
}

void policy_session_drop(struct session *s, uint32_t index)
{
	uint32_t place = policy_session_place(s, index);

	s->held--;
	memmove(&s->extent[place], &s->extent[place + 1], (s->held - place) * sizeof(*s->extent));
}

uint64_t policy_session_promised(const struct policy *p, const uint64_t *except_tenant)
{
	uint64_t promised = 0;

	for (unsigned i = 0; i < POLICY_SESSIONS; i++) {
		const struct session *s = &p->session[i];

		if (s->used && !s->ended && !(except_tenant && s->tenant == *except_tenant))
			promised += s->promised;
	}
	return promised;
}

static uint64_t pool_free(const struct policy *p, const uint64_t *except_tenant)
{
	uint64_t promised = policy_session_promised(p, except_tenant);

	if (promised >= p->config.slots)
		return 0;
	return (p->config.slots - promised) << RPC_EXTENT_SHIFT;
}

static void forget_extents(struct session *s)
{
	free(s->extent);
	s->extent = NULL;
	s->capacity = 0;
	s->held = 0;
	s->lost = 0;
}

int policy_session_end(struct policy *p, struct session *s)
{
	int error;

	policy_fence(p, s->tenant, s->number, UINT64_MAX);
	for (uint32_t i = 0; i < s->held; i++)
		policy_lease_conceal(p, s, s->extent[i].slot);
	/*
	 * This one record makes all of the session's slots "to be zeroed": at start a slot of an
	 * ended session is read as such.
	 */
	s->ended = true;
	error = policy_store_session(p, s);
	if (error) {
		s->ended = false;
		return error;
	}
	for (uint32_t i = 0; i < s->held; i++) {
		p->slot[s->extent[i].slot].state = SLOT_TO_ZERO;
		s->dirty++;
		p->dirty++;
	}
	policy_log(p, LOG_NOTICE, "tenant %016llx: session %016llx ended, %u extents taken back",
		(unsigned long long)s->tenant, (unsigned long long)s->number, s->held);
	forget_extents(s);
	p->ops.session_end(p->context, s->tenant, s->number);
	return 0;
}

int policy_session_erase(struct policy *p, struct session *s)
{
	int error;

	s->used = false;
	error = policy_store_session(p, s);
	if (error) {
		s->used = true;
		return error;
	}
	*s = (struct session){0};
	return 0;
}

/* A place for a new session: unused, or that of the ended one longest known. */
static struct session *place_for_new(struct policy *p)
{
	struct session *oldest = NULL;

	if (p->unsure_session)
		return p->unsure_session;
	for (unsigned i = 0; i < POLICY_SESSIONS; i++) {
		struct session *s = &p->session[i];

		if (!s->used)
			return s;
		/* With dirty slots its record must stay: theirs name it. */
		if (s->ended && s->dirty == 0 && (!oldest || s->serial < oldest->serial))
			oldest = s;
	}
	return oldest;
}

static bool may_promise(struct policy *p, uint64_t tenant, uint32_t extents, struct policy_reply *r)
{
	uint64_t wanted = (uint64_t)extents << RPC_EXTENT_SHIFT;
	uint64_t available = pool_free(p, &tenant);

	r->number[0] = wanted;
	if (p->config.quota && wanted > p->config.quota) {
		r->number[1] = p->config.quota;
		policy_message_refuse(r, RPC_ERROR_QUOTA,
			"%llu MiB wanted, the tenant's quota is %llu MiB",
			(unsigned long long)wanted >> 20,
			(unsigned long long)p->config.quota >> 20);
		return false;
	}
	if (!p->config.overcommit && wanted > available) {
		r->number[1] = available;
		policy_message_refuse(r, RPC_ERROR_POOL,
			"%llu MiB wanted, %llu MiB of the pool's %llu MiB are not promised yet",
			(unsigned long long)wanted >> 20, (unsigned long long)available >> 20,
			(unsigned long long)p->config.slots << (RPC_EXTENT_SHIFT - 20));
		return false;
	}
	return true;
}

/* A VMM that has just booted: what its tenant had before is worth nothing any more. */
static struct session *begin(struct policy *p, struct policy_link *link,
	const struct rpc_attach *attach, struct policy_reply *r)
{
	uint32_t extents = be32_get(attach->extents);
	struct session *s;

	if (!may_promise(p, link->tenant, extents, r))
		return NULL;
	for (unsigned i = 0; i < POLICY_SESSIONS; i++) {
		s = &p->session[i];
		if (!s->used || s->ended || s->tenant != link->tenant)
			continue;
		if (policy_session_end(p, s) != 0) {
			policy_message_refuse(r, RPC_ERROR_STORE,
				"the end of the tenant's older session cannot be recorded");
			return NULL;
		}
	}
	s = place_for_new(p);
	if (!s) {
		policy_message_refuse(r, RPC_ERROR_RESOURCES, "too many sessions");
		return NULL;
	}
	*s = (struct session){.used = true,
		.tenant = link->tenant,
		.number = link->number,
		.serial = ++p->serial,
		.promised = extents};
	memcpy(s->domain, attach->domain, sizeof(s->domain));
	if (policy_store_session(p, s) != 0) {
		*s = (struct session){0};
		p->unsure_session = s;
		policy_message_refuse(r, RPC_ERROR_STORE, "the session cannot be recorded");
		return NULL;
	}
	p->unsure_session = NULL;
	policy_log(p, LOG_INFO, "tenant %016llx: session %016llx begins, %u extents promised",
		(unsigned long long)s->tenant, (unsigned long long)s->number, extents);
	return s;
}

static bool other_domain(const struct policy *p, uint64_t tenant, const uint8_t *domain)
{
	for (unsigned i = 0; i < POLICY_SESSIONS; i++) {
		const struct session *s = &p->session[i];

		if (s->used && !s->forgotten && s->tenant == tenant &&
			memcmp(s->domain, domain, sizeof(s->domain)) != 0)
			return true;
	}
	return false;
}

static bool attach_wrong(const struct rpc_attach *attach, struct policy_reply *r)
{
	uint32_t mode = be32_get(attach->mode), extents = be32_get(attach->extents);

	if (mode != RPC_ATTACH_FRESH && mode != RPC_ATTACH_RESUME) {
		policy_message_refuse(r, RPC_ERROR_MALFORMED, "attach: mode %u is unknown", mode);
		return true;
	}
	if (be32_get(attach->extent_shift) != RPC_EXTENT_SHIFT) {
		policy_message_refuse(r, RPC_ERROR_MALFORMED,
			"attach: extents of 2^%u bytes, this server has 2^%u",
			be32_get(attach->extent_shift), RPC_EXTENT_SHIFT);
		return true;
	}
	if (extents == 0 || extents > POLICY_INDEX_MAX) {
		policy_message_refuse(r, RPC_ERROR_MALFORMED, "attach: %u extents", extents);
		return true;
	}
	return false;
}

/* The session that this link may attach to, or NULL with the refusal made. */
static struct session *admit(struct policy *p, struct policy_link *link,
	const struct rpc_attach *attach, struct policy_reply *r)
{
	struct session *s = policy_session_find(p, link->tenant, link->number);

	if (attach_wrong(attach, r))
		return NULL;
	if (other_domain(p, link->tenant, attach->domain)) {
		policy_message_refuse(r, RPC_ERROR_DOMAIN,
			"tenant %016llx belongs to another domain",
			(unsigned long long)link->tenant);
		return NULL;
	}
	if (s && s->forgotten) {
		/* A second one of its name would make the slots' records ambiguous. */
		if (be32_get(attach->mode) == RPC_ATTACH_FRESH) {
			policy_message_refuse(r, RPC_ERROR_RESOURCES,
				"session %016llx is being forgotten: try again",
				(unsigned long long)link->number);
			return NULL;
		}
		s = NULL;
	}
	if (s && s->ended) {
		policy_message_refuse(
			r, RPC_ERROR_ENDED, "a newer session of the tenant has ended this one");
		return NULL;
	}
	if (s && s->promised != be32_get(attach->extents)) {
		policy_message_refuse(r, RPC_ERROR_MALFORMED,
			"attach: %u extents, promised were %u", be32_get(attach->extents),
			s->promised);
		return NULL;
	}
	if (s)
		return s;
	if (be32_get(attach->mode) == RPC_ATTACH_RESUME) {
		policy_message_refuse(r, RPC_ERROR_UNKNOWN, "session %016llx is not known here",
			(unsigned long long)link->number);
		return NULL;
	}
	return begin(p, link, attach, r);
}

void policy_session_attach(struct policy *p, struct policy_link *link,
	const struct rpc_attach *attach, struct policy_reply *r)
{
	struct rpc_attached attached = {0};
	struct session *s = admit(p, link, attach, r);
	uint64_t address;
	uint32_t rkey;
	int error;

	if (!s)
		return;
	/* A WRITE of an older queue pair is certainly dead only now; rkeys are named after this. */
	policy_fence(p, s->tenant, s->number, link->order);
	error = p->ops.scratch(p->context, s->tenant, s->number, &address, &rkey);
	if (error) {
		policy_message_refuse(
			r, RPC_ERROR_RESOURCES, "no scratch page: %s", strerror(error));
		return;
	}
	link->session = s;
	memcpy(attached.pool, p->config.pool, sizeof(attached.pool));
	attached.scratch_address = be64_make(address);
	attached.scratch_rkey = be32_make(rkey);
	attached.extents_promised = be32_make(s->promised);
	attached.extents_held = be32_make(s->held);
	attached.pool_free = be64_make(pool_free(p, NULL));
	attached.quota = be64_make(p->config.quota);
	memcpy(r->body.bytes, &attached, sizeof(attached));
	r->length = sizeof(attached);
	policy_log(p, LOG_INFO,
		"tenant %016llx: session %016llx attached, %u extents held, %u lost",
		(unsigned long long)s->tenant, (unsigned long long)s->number, s->held, s->lost);
}

static bool connected(const struct policy *p, const struct session *s)
{
	for (const struct policy_link *link = p->links; link; link = link->next) {
		if (link->session == s)
			return true;
	}
	return false;
}

bool policy_session(const struct policy *p, unsigned index, struct policy_session_info *info)
{
	for (unsigned i = 0; i < POLICY_SESSIONS; i++) {
		const struct session *s = &p->session[i];

		if (!s->used || s->forgotten || index-- > 0)
			continue;
		*info = (struct policy_session_info){.tenant = s->tenant,
			.session = s->number,
			.promised = s->promised,
			.held = s->held,
			.lost = s->lost,
			.connected = connected(p, s),
			.ended = s->ended};
		memcpy(info->domain, s->domain, sizeof(info->domain));
		return true;
	}
	return false;
}
