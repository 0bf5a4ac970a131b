/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include "tests/unit/policy_fixture.h"

static void trace(struct fixture *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void trace(struct fixture *f, const char *format, ...)
{
	size_t used = strlen(f->trace);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(f->trace + used, sizeof(f->trace) - used, format, arguments);
	va_end(arguments);
}

static void op_destroy(void *context, void *link_context)
{
	trace(context, "destroy %s;", (const char *)link_context);
}

static int op_expose(void *context, uint64_t tenant, uint64_t session, uint32_t slot,
	uint64_t *address, uint32_t *rkey)
{
	struct fixture *f = context;

	assert_true(slot < FIXTURE_SLOTS);
	if (f->expose_error)
		return f->expose_error;
	assert_int_equal(f->exposed[slot], 0);
	f->exposed[slot] = session;
	*address = 0x1000000ull * (slot + 1);
	*rkey = 0x100 + slot;
	trace(f, "expose %u;", slot);
	return 0;
}

static void op_conceal(void *context, uint64_t tenant, uint64_t session, uint32_t slot)
{
	struct fixture *f = context;

	assert_true(slot < FIXTURE_SLOTS);
	assert_int_equal(f->exposed[slot], session);
	f->exposed[slot] = 0;
	trace(f, "conceal %u;", slot);
}

static void op_zero(void *context, uint32_t slot)
{
	struct fixture *f = context;

	assert_true(slot < FIXTURE_SLOTS);
	/* Whoever can still reach the memory could write after the zeros. */
	assert_int_equal(f->exposed[slot], 0);
	f->memory[slot] = 0;
	trace(f, "zero %u;", slot);
}

static int op_scratch(
	void *context, uint64_t tenant, uint64_t session, uint64_t *address, uint32_t *rkey)
{
	struct fixture *f = context;

	*address = 0x5000;
	*rkey = 0x55;
	if (!f->scratch_error)
		trace(f, "scratch;");
	return f->scratch_error;
}

static void op_session_end(void *context, uint64_t tenant, uint64_t session)
{
	trace(context, "end %x;", (unsigned)session);
}

static int op_store(void *context, uint32_t number, const void *record, size_t length)
{
	struct fixture *f = context;
	uint64_t place = policy_record_place(number);
	bool fails = f->stores_good == 0 && f->store_errors > 0;

	assert_int_equal(length, POLICY_RECORD_SIZE);
	assert_true(place < FIXTURE_RECORDS);
	if (f->stores_good > 0)
		f->stores_good--;
	if (fails)
		f->store_errors--;
	if (!fails || f->store_tears)
		memcpy(f->store[place], record, length);
	if (fails)
		return ENOSPC;
	if (number == POLICY_RECORD_HEADER)
		trace(f, "store header;");
	else if (number >= POLICY_RECORD_SESSION)
		trace(f, "store session;");
	else
		trace(f, "store %u=%u;", number, ((const uint8_t *)record)[15]);
	return 0;
}

static void op_log(void *context, int level, const char *text)
{
	struct fixture *f = context;

	f->log_lines++;
	snprintf(f->log, sizeof(f->log), "%s", text);
	for (const char *c = text; *c; c++)
		assert_true(*c >= ' ' && *c <= '~');
}

const struct policy_ops fixture_ops = {
	op_destroy, op_expose, op_conceal, op_zero, op_scratch, op_session_end, op_store, op_log};

void fixture_load(struct fixture *f, const struct policy_ops *ops)
{
	f->policy = policy_new(&f->config, ops, f);
	assert_non_null(f->policy);
	assert_int_equal(policy_load(f->policy, POLICY_RECORD_HEADER, f->store[0], 64), 0);
	for (uint32_t i = 0; i < POLICY_SESSIONS; i++)
		assert_int_equal(
			policy_load(f->policy, POLICY_RECORD_SESSION + i, f->store[1 + i], 64), 0);
	for (uint32_t i = 1 + POLICY_SESSIONS; i < FIXTURE_RECORDS; i++)
		assert_int_equal(
			policy_load(f->policy, i - 1 - POLICY_SESSIONS, f->store[i], 64), 0);
	assert_int_equal(policy_loaded(f->policy), 0);
	f->counter = 0;
}

void fixture_start(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->config = (struct policy_config){.slots = FIXTURE_SLOTS, .pool = {1}, .reads = 16};
	fixture_load(f, &fixture_ops);
	fixture_trace_is(f, "store header;");
}

void fixture_restart(struct fixture *f, bool reboot)
{
	policy_free(f->policy);
	memset(f->exposed, 0, sizeof(f->exposed));
	if (reboot) {
		f->config.pool[0]++;
		memset(f->memory, 0, sizeof(f->memory));
	}
	fixture_trace_clear(f);
	fixture_load(f, &fixture_ops);
}

void fixture_stop(struct fixture *f)
{
	policy_free(f->policy);
	f->policy = NULL;
}

struct policy_link *fixture_connect(
	struct fixture *f, const char *name, uint64_t tenant, uint64_t session)
{
	struct rpc_hello hello = {be32_make(RPC_MAGIC), be16_make(1), be16_make(1),
		be64_make(tenant), be64_make(session), {0}};
	struct rpc_welcome welcome;
	struct rpc_refusal refusal;
	struct policy_link *link;

	link = policy_connect(
		f->policy, &hello, sizeof(hello), (void *)(uintptr_t)name, &welcome, &refusal);
	assert_non_null(link);
	assert_int_equal(be32_get(welcome.magic), RPC_MAGIC);
	assert_int_equal(be16_get(welcome.version), 1);
	assert_int_equal(be16_get(welcome.reads), 16);
	return link;
}

struct answer fixture_ask(struct fixture *f, struct policy_link *link, enum rpc_type type,
	const void *body, size_t length)
{
	uint8_t message[RPC_MESSAGE_MAX], out[RPC_MESSAGE_MAX];
	struct answer a;
	struct rpc_header header = {be32_make(RPC_MAGIC), be16_make(1), be16_make((uint16_t)type),
		be32_make(++f->id), be32_make((uint32_t)length), be64_make(++f->counter), {0}};
	size_t got;

	memcpy(message, &header, sizeof(header));
	if (length)
		memcpy(message + sizeof(header), body, length);
	got = policy_message(f->policy, link, message, sizeof(header) + length, out);
	assert_true(got >= sizeof(header) && got <= RPC_MESSAGE_MAX);
	memcpy(&a.header, out, sizeof(a.header));
	a.length = got - sizeof(header);
	memcpy(a.body, out + sizeof(header), a.length);
	assert_int_equal(be32_get(a.header.magic), RPC_MAGIC);
	assert_int_equal(be32_get(a.header.id), f->id);
	assert_int_equal(be32_get(a.header.length), a.length);
	if (be16_get(a.header.type) != RPC_ERROR)
		assert_int_equal(be16_get(a.header.type), (unsigned)type | RPC_ANSWER);
	return a;
}

struct rpc_error_body fixture_error_body(const struct answer *a)
{
	struct rpc_error_body body;

	assert_int_equal(be16_get(a->header.type), RPC_ERROR);
	assert_int_equal(a->length, sizeof(body));
	memcpy(&body, a->body, sizeof(body));
	assert_non_null(memchr(body.text, 0, sizeof(body.text)));
	assert_true(strlen(body.text) > 0);
	return body;
}

enum rpc_error fixture_error(const struct answer *a)
{
	if (be16_get(a->header.type) != RPC_ERROR)
		return RPC_ERROR_NONE;
	return be32_get(fixture_error_body(a).code);
}

enum rpc_error fixture_attach(struct fixture *f, struct policy_link *link,
	enum rpc_attach_mode mode, uint32_t extents, uint8_t domain)
{
	struct rpc_attach attach = {be32_make(mode), be32_make(RPC_EXTENT_SHIFT),
		be32_make(extents), be32_make(0), {domain}};
	struct answer a = fixture_ask(f, link, RPC_ATTACH, &attach, sizeof(attach));

	return fixture_error(&a);
}

enum rpc_error fixture_lease(struct fixture *f, struct policy_link *link, uint32_t index)
{
	struct rpc_index body = {be32_make(index), be32_make(0)};
	struct answer a = fixture_ask(f, link, RPC_LEASE, &body, sizeof(body));

	return fixture_error(&a);
}

enum rpc_error fixture_release(struct fixture *f, struct policy_link *link, uint32_t index)
{
	struct rpc_index body = {be32_make(index), be32_make(0)};
	struct answer a = fixture_ask(f, link, RPC_RELEASE, &body, sizeof(body));

	return fixture_error(&a);
}

void fixture_trace_clear(struct fixture *f)
{
	f->trace[0] = '\0';
}

int fixture_setup(void **state)
{
	static struct fixture fixture;

	fixture_start(&fixture);
	*state = &fixture;
	return 0;
}

int fixture_teardown(void **state)
{
	fixture_stop(*state);
	return 0;
}

struct policy_link *fixture_attached(
	struct fixture *f, const char *name, uint64_t tenant, uint64_t session, uint32_t extents)
{
	struct policy_link *link = fixture_connect(f, name, tenant, session);

	f->counter = 0;
	assert_int_equal(fixture_attach(f, link, RPC_ATTACH_FRESH, extents, (uint8_t)tenant),
		RPC_ERROR_NONE);
	fixture_trace_clear(f);
	return link;
}

unsigned fixture_list(struct fixture *f, struct policy_link *link, uint32_t *states, size_t size)
{
	struct rpc_list list = {be32_make(0), be32_make(0)};
	struct rpc_listed listed;
	struct rpc_extent extent;
	unsigned total = 0, pages = 0;
	int64_t last = -1;

	do {
		struct answer a = fixture_ask(f, link, RPC_LIST, &list, sizeof(list));

		assert_int_equal(fixture_error(&a), RPC_ERROR_NONE);
		memcpy(&listed, a.body, sizeof(listed));
		assert_int_equal(
			a.length, sizeof(listed) + be32_get(listed.count) * sizeof(extent));
		for (uint32_t i = 0; i < be32_get(listed.count); i++) {
			memcpy(&extent, &a.body[sizeof(listed) + i * sizeof(extent)],
				sizeof(extent));
			assert_true(be32_get(extent.index) > last);
			last = be32_get(extent.index);
			if (last < (int64_t)size)
				states[last] = be32_get(extent.state);
			total++;
		}
		list.first = listed.next;
		assert_true(++pages < 100);
	} while (be32_get(listed.next) != RPC_LIST_END);
	return total;
}
