/* SPDX-License-Identifier: MIT */
/* The records of the durable store: how they look, and what is made of them at start. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include "memserver/policy_state.h"

#define RECORD_MAGIC   0x414e5853u /* "ANXS" */
#define RECORD_VERSION 1u

enum record_kind {
	RECORD_HEADER = 1,
	RECORD_SESSION = 2,
	RECORD_SLOT = 3,
};

/* In a session's record; a slot's `state` is enum slot_state. */
enum session_state {
	SESSION_LIVE = 0,
	SESSION_ENDED = 1,
	SESSION_FORGOTTEN = 2, /* ended too */
};

struct record {
	be32 magic;
	be16 version;
	be16 kind;
	be32 number; /* its own: a record in the wrong place is nonsense */
	be32 state;
	be64 tenant;
	be64 session;
	uint8_t id[16]; /* header: pool; session: domain */
	be64 serial; /* of the session */
	be32 value; /* header: slots; session: extents promised; slot: index */
	be32 check; /* CRC-32C of all before it */
};

static_assert(sizeof(struct record) == POLICY_RECORD_SIZE, "record");

static uint32_t crc32c(const void *data, size_t length)
{
	const uint8_t *byte = data;
	uint32_t crc = 0xffffffffu;

	while (length--) {
		crc ^= *byte++;
		for (int i = 0; i < 8; i++)
			crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1)));
	}
	return ~crc;
}

static int store(struct policy *p, uint32_t number, enum record_kind kind, struct record *record)
{
	int error;

	record->magic = be32_make(RECORD_MAGIC);
	record->version = be16_make(RECORD_VERSION);
	record->kind = be16_make(kind);
	record->number = be32_make(number);
	record->check = be32_make(crc32c(record, offsetof(struct record, check)));
	error = p->ops.store(p->context, number, record, sizeof(*record));
	if (error)
		policy_log(
			p, LOG_ERR, "store: record %08x not written: %s", number, strerror(error));
	return error;
}

int policy_store_header(struct policy *p)
{
	struct record record = {.value = be32_make(p->config.slots)};

	memcpy(record.id, p->config.pool, sizeof(record.id));
	return store(p, POLICY_RECORD_HEADER, RECORD_HEADER, &record);
}

int policy_store_session(struct policy *p, const struct session *s)
{
	uint32_t number = POLICY_RECORD_SESSION + (uint32_t)(s - p->session);
	enum session_state state = s->forgotten ? SESSION_FORGOTTEN
				   : s->ended   ? SESSION_ENDED
						: SESSION_LIVE;
	struct record record = {.state = be32_make(state),
		.tenant = be64_make(s->tenant),
		.session = be64_make(s->number),
		.serial = be64_make(s->serial),
		.value = be32_make(s->promised)};
	int error;

	memcpy(record.id, s->domain, sizeof(record.id));
	if (s->used)
		return store(p, number, RECORD_SESSION, &record);
	memset(&record, 0, sizeof(record));
	error = p->ops.store(p->context, number, &record, sizeof(record));
	if (error)
		policy_log(
			p, LOG_ERR, "store: record %08x not erased: %s", number, strerror(error));
	return error;
}

int policy_store_slot(struct policy *p, uint32_t number, const struct slot *slot)
{
	struct record record = {.state = be32_make(slot->state), .value = be32_make(slot->index)};

	if (slot->owner) {
		record.tenant = be64_make(slot->owner->tenant);
		record.session = be64_make(slot->owner->number);
	}
	return store(p, number, RECORD_SLOT, &record);
}

static int load_header(struct policy *p, const struct record *record)
{
	p->header = true;
	p->replaced = memcmp(record->id, p->config.pool, sizeof(record->id)) != 0;
	return 0;
}

static int load_session(struct policy *p, uint32_t place, const struct record *record)
{
	struct session *s;

	if (place >= POLICY_SESSIONS || be32_get(record->state) > SESSION_FORGOTTEN ||
		be64_get(record->session) == 0)
		return EBADMSG;
	s = &p->session[place];
	if (s->used || policy_session_find(p, be64_get(record->tenant), be64_get(record->session)))
		return EBADMSG;
	s->used = true;
	s->ended = be32_get(record->state) != SESSION_LIVE;
	s->forgotten = be32_get(record->state) == SESSION_FORGOTTEN;
	p->forgetting |= s->forgotten;
	s->tenant = be64_get(record->tenant);
	s->number = be64_get(record->session);
	s->serial = be64_get(record->serial);
	s->promised = be32_get(record->value);
	memcpy(s->domain, record->id, sizeof(s->domain));
	if (s->serial > p->serial)
		p->serial = s->serial;
	return 0;
}

static int grow(struct policy *p, uint32_t slots)
{
	struct slot *bigger = realloc(p->slot, slots * sizeof(*bigger));

	if (!bigger)
		return ENOMEM;
	for (uint32_t i = p->capacity; i < slots; i++)
		bigger[i] = (struct slot){.state = SLOT_ABSENT};
	p->slot = bigger;
	p->capacity = slots;
	return 0;
}

static void mark_dirty(struct policy *p, struct slot *slot, struct session *owner)
{
	slot->state = SLOT_TO_ZERO;
	slot->owner = owner;
	p->dirty++;
	if (owner)
		owner->dirty++;
}

static int load_slot(struct policy *p, uint32_t place, const struct record *record)
{
	uint32_t state = be32_get(record->state), index = be32_get(record->value);
	struct session *owner;
	struct slot *slot;

	if (place >= POLICY_SLOTS_MAX || state > SLOT_LOST || index >= POLICY_INDEX_MAX)
		return EBADMSG;
	if (state == SLOT_FREE)
		return 0;
	if (place >= p->capacity && grow(p, place + 1) != 0)
		return ENOMEM;
	slot = &p->slot[place];
	if (slot->owner || slot->state == SLOT_TO_ZERO)
		return EBADMSG;
	owner = policy_session_find(p, be64_get(record->tenant), be64_get(record->session));
	if (state == SLOT_TO_ZERO || !owner || owner->ended) {
		if (place < p->config.slots)
			mark_dirty(p, slot, owner && owner->ended ? owner : NULL);
		return 0;
	}
	if (policy_session_slot(owner, index) != POLICY_NONE)
		return EBADMSG;
	if (!policy_session_hold(owner, index, place))
		return ENOMEM;
	slot->owner = owner;
	slot->index = index;
	slot->state = SLOT_LEASED;
	if (state == SLOT_LOST || p->replaced || place >= p->config.slots) {
		slot->state = SLOT_LOST;
		owner->lost++;
	}
	return 0;
}

/* Whether this is the undamaged record `number`. */
static bool good(const void *data, size_t length, uint32_t number, struct record *record)
{
	if (length != sizeof(*record))
		return false;
	memcpy(record, data, sizeof(*record));
	return be32_get(record->magic) == RECORD_MAGIC &&
	       be16_get(record->version) == RECORD_VERSION && be32_get(record->number) == number &&
	       be32_get(record->check) == crc32c(record, offsetof(struct record, check));
}

bool policy_record_pool(const void *data, size_t length, uint8_t *pool)
{
	struct record record;

	if (!good(data, length, POLICY_RECORD_HEADER, &record) ||
		be16_get(record.kind) != RECORD_HEADER)
		return false;
	memcpy(pool, record.id, sizeof(record.id));
	return true;
}

int policy_load(struct policy *p, uint32_t number, const void *data, size_t length)
{
	static const uint8_t zeros[POLICY_RECORD_SIZE];
	struct record record;

	if (length == sizeof(zeros) && memcmp(data, zeros, sizeof(zeros)) == 0)
		return 0;
	if (!good(data, length, number, &record))
		return EBADMSG;
	if (number == POLICY_RECORD_HEADER)
		return be16_get(record.kind) == RECORD_HEADER ? load_header(p, &record) : EBADMSG;
	if (!p->header)
		return EBADMSG;
	if (number >= POLICY_RECORD_SESSION)
		return be16_get(record.kind) == RECORD_SESSION
			       ? load_session(p, number - POLICY_RECORD_SESSION, &record)
			       : EBADMSG;
	return be16_get(record.kind) == RECORD_SLOT ? load_slot(p, number, &record) : EBADMSG;
}

int policy_loaded(struct policy *p)
{
	uint32_t lost = 0;
	int error;

	/*
	 * The losses are recorded before the header names the new pool: a crash in between finds
	 * the old header and reports them all again.
	 */
	for (uint32_t i = 0; i < p->capacity; i++) {
		if (p->slot[i].state != SLOT_LOST)
			continue;
		lost++;
		error = policy_store_slot(p, i, &p->slot[i]);
		if (error)
			return error;
	}
	if (lost > 0)
		policy_log(p, LOG_ERR, "%u extents are lost: their pool is gone", lost);
	if (p->dirty > 0)
		policy_log(p, LOG_NOTICE, "%u slots are still to be zeroed", p->dirty);
	if (!p->header || p->replaced) {
		error = policy_store_header(p);
		if (error)
			return error;
	}
	p->header = true;
	p->replaced = false;
	return 0;
}
