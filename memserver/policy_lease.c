/* SPDX-License-Identifier: MIT */
/* Extents: taken, named, given back. */
#include <errno.h>
#include <string.h>
#include <syslog.h>
#include "memserver/policy_state.h"

void policy_lease_conceal(struct policy *p, struct session *s, uint32_t slot)
{
	if (!p->slot[slot].exposed)
		return;
	p->ops.conceal(p->context, s->tenant, s->number, slot);
	p->slot[slot].exposed = false;
}

/* Describes the extent in a slot; a held one is exposed first. False: the reply is an error. */
static bool name(struct policy *p, struct session *s, uint32_t number, struct rpc_extent *extent,
	struct policy_reply *r)
{
	struct slot *slot = &p->slot[number];
	int error;

	*extent = (struct rpc_extent){.index = be32_make(slot->index)};
	if (slot->state == SLOT_LOST) {
		extent->state = be32_make(RPC_EXTENT_LOST);
		return true;
	}
	if (slot->unsure && policy_store_slot(p, number, slot) != 0) {
		policy_message_refuse(
			r, RPC_ERROR_STORE, "extent %u cannot be recorded", slot->index);
		return false;
	}
	slot->unsure = false;
	if (!slot->exposed) {
		error = p->ops.expose(
			p->context, s->tenant, s->number, number, &slot->address, &slot->rkey);
		if (error) {
			policy_message_refuse(r, RPC_ERROR_RESOURCES,
				"extent %u cannot be registered: %s", slot->index, strerror(error));
			return false;
		}
		slot->exposed = true;
	}
	extent->state = be32_make(RPC_EXTENT_HELD);
	extent->address = be64_make(slot->address);
	extent->rkey = be32_make(slot->rkey);
	return true;
}

void policy_lease_list(struct policy *p, struct session *s, uint32_t first, struct policy_reply *r)
{
	uint32_t place = policy_session_place(s, first), count = 0;
	struct rpc_extent extent;
	struct rpc_listed listed;

	while (place < s->held && count < RPC_LIST_MAX) {
		if (!name(p, s, s->extent[place].slot, &extent, r))
			return;
		memcpy(&r->body.bytes[sizeof(listed) + count * sizeof(extent)], &extent,
			sizeof(extent));
		place++;
		count++;
	}
	listed.count = be32_make(count);
	listed.next = be32_make(place < s->held ? s->extent[place].index : RPC_LIST_END);
	memcpy(r->body.bytes, &listed, sizeof(listed));
	r->length = sizeof(listed) + count * sizeof(extent);
}

/* A slot's record has been replaced, and it holds nobody's content any more. */
static void mark_free(struct policy *p, uint32_t number)
{
	struct slot *slot = &p->slot[number];

	if (slot->state == SLOT_TO_ZERO) {
		p->dirty--;
		if (slot->owner)
			slot->owner->dirty--;
	}
	if (p->unsure_slot == number)
		p->unsure_slot = POLICY_NONE;
	*slot = (struct slot){.state = number < p->config.slots ? SLOT_FREE : SLOT_ABSENT};
}

int policy_lease_clean(struct policy *p, uint32_t number)
{
	int error;

	if (number < p->config.slots)
		p->ops.zero(p->context, number);
	error = policy_store_slot(p, number, &(struct slot){.state = SLOT_FREE});
	if (!error)
		mark_free(p, number);
	return error;
}

static uint32_t find(struct policy *p, enum slot_state state)
{
	for (uint32_t i = 0; i < p->config.slots; i++) {
		uint32_t slot = (p->next_free + i) % p->config.slots;

		if (p->slot[slot].state == state)
			return slot;
	}
	return POLICY_NONE;
}

/* A slot whose memory is zeros, not yet recorded as anyone's; POLICY_NONE: the pool is full. */
static uint32_t find_zeroed(struct policy *p)
{
	uint32_t slot = p->unsure_slot;

	if (slot == POLICY_NONE)
		slot = find(p, SLOT_FREE);
	if (slot == POLICY_NONE)
		slot = find(p, SLOT_TO_ZERO);
	if (slot != POLICY_NONE && p->slot[slot].state == SLOT_TO_ZERO)
		p->ops.zero(p->context, slot);
	return slot;
}

static uint32_t lease(struct policy *p, struct session *s, uint32_t index, struct policy_reply *r)
{
	struct slot slot;
	uint32_t number;

	if (s->held >= s->promised) {
		policy_message_refuse(r, RPC_ERROR_EXTENT,
			"extent %u is beyond the %u that were promised", index, s->promised);
		return POLICY_NONE;
	}
	number = find_zeroed(p);
	if (number == POLICY_NONE) {
		r->number[0] = RPC_EXTENT_SIZE;
		policy_message_refuse(r, RPC_ERROR_POOL,
			"%llu MiB wanted, 0 MiB of the pool's %llu MiB are free",
			(unsigned long long)RPC_EXTENT_SIZE >> 20,
			(unsigned long long)p->config.slots << (RPC_EXTENT_SHIFT - 20));
		return POLICY_NONE;
	}
	if (!policy_session_hold(s, index, number)) {
		policy_message_refuse(r, RPC_ERROR_RESOURCES, "out of memory");
		return POLICY_NONE;
	}
	/* On disk before anyone learns the rkey: or a crash gives the extent to somebody else. */
	slot = (struct slot){.state = SLOT_LEASED, .owner = s, .index = index};
	if (policy_store_slot(p, number, &slot) != 0) {
		policy_session_drop(s, index);
		p->unsure_slot = number;
		policy_message_refuse(r, RPC_ERROR_STORE, "the lease cannot be recorded");
		return POLICY_NONE;
	}
	mark_free(p, number);
	p->slot[number] = slot;
	p->next_free = (number + 1) % p->config.slots;
	p->leases++;
	return number;
}

void policy_lease_take(struct policy *p, struct session *s, uint32_t index, struct policy_reply *r)
{
	uint32_t number = policy_session_slot(s, index);
	struct rpc_extent extent;

	if (index >= POLICY_INDEX_MAX) {
		policy_message_refuse(
			r, RPC_ERROR_EXTENT, "extent %u is beyond any far window", index);
		return;
	}
	if (number != POLICY_NONE && p->slot[number].state == SLOT_LOST) {
		policy_message_refuse(r, RPC_ERROR_LOST, "extent %u: its content is gone", index);
		return;
	}
	if (number == POLICY_NONE)
		number = lease(p, s, index, r);
	if (number == POLICY_NONE || !name(p, s, number, &extent, r))
		return;
	memcpy(r->body.bytes, &extent, sizeof(extent));
	r->length = sizeof(extent);
}

void policy_lease_release(
	struct policy *p, struct session *s, uint32_t index, struct policy_reply *r)
{
	uint32_t number = policy_session_slot(s, index);
	struct rpc_index answer = {.index = be32_make(index)};
	struct slot slot = {.state = SLOT_TO_ZERO};

	if (index >= POLICY_INDEX_MAX) {
		policy_message_refuse(
			r, RPC_ERROR_EXTENT, "extent %u is beyond any far window", index);
		return;
	}
	/* Not held: it was released before, and the answer went with a queue pair. */
	if (number != POLICY_NONE) {
		policy_lease_conceal(p, s, number);
		if (policy_store_slot(p, number, &slot) != 0) {
			p->slot[number].unsure = true;
			policy_message_refuse(r, RPC_ERROR_STORE, "the release cannot be recorded");
			return;
		}
		if (p->slot[number].state == SLOT_LOST)
			s->lost--;
		policy_session_drop(s, index);
		p->slot[number] = slot;
		p->dirty++;
		p->releases++;
		/* If the disk fails now, the slot stays to be zeroed; the extent is given back. */
		policy_lease_clean(p, number);
	}
	memcpy(r->body.bytes, &answer, sizeof(answer));
	r->length = sizeof(answer);
}
