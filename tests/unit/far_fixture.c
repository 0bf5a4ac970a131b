/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "far/pcache.h"
#include "tests/unit/far_fixture.h"

#define ADDRESS 0x7000000000ull

struct fixture fixture;

static uint8_t remote[FIXTURE_PAGES][PAGE_SIZE];

uint8_t *fixture_remote(uint32_t page)
{
	return remote[page];
}

static void kick(void *context, unsigned cpu)
{
	fixture.kicks++;
}

static int setup(const struct slat_format *format, unsigned cpus, uint32_t pin)
{
	struct fixture *f = &fixture;
	const char *reason;

	memset(f, 0, sizeof(*f));
	memset(remote, 0, sizeof(remote));
	f->now = 1000000000;
	f->memory = aligned_alloc(PAGE_SIZE, FIXTURE_FRAMES * PAGE_SIZE);
	f->tables = aligned_alloc(
		PAGE_SIZE, (far_tables_size(FIXTURE_FRAMES, FIXTURE_PAGES) + PAGE_SIZE - 1) /
				   PAGE_SIZE * PAGE_SIZE);
	f->window = (struct slat_window){.format = format,
		.leaf = calloc(FIXTURE_PAGES, 8),
		.upper = calloc(FIXTURE_PAGES / 512, 8),
		.base = FIXTURE_BASE,
		.pages = FIXTURE_PAGES};
	shootdown_init(&f->shootdown, FIXTURE_CPUS, kick, NULL);
	f->config = (struct far_config){.window = f->window,
		.shootdown = &f->shootdown,
		.mailbox = f->mailbox,
		.cpus = cpus,
		.range = {{f->memory, FIXTURE_HPA, FIXTURE_FRAMES}},
		.ranges = 1,
		.server = {&f->session},
		.servers = 1,
		.server_name = {"m0"},
		.read_patience = 2000000000,
		.pin = pin,
		.tables = f->tables};
	f->far = far_start(&f->config, &reason);
	if (!f->far)
		return -1;
	fixture_ready();
	return 0;
}

int fixture_setup(void **state)
{
	return setup(&fake_format_ad, FIXTURE_CPUS, 0);
}

int fixture_setup_plain(void **state)
{
	return setup(&fake_format_plain, FIXTURE_CPUS, 0);
}

int fixture_setup_pin(void **state)
{
	return setup(&fake_format_ad, 1, FIXTURE_PIN);
}

int fixture_setup_pin_plain(void **state)
{
	return setup(&fake_format_plain, 1, FIXTURE_PIN);
}

int fixture_teardown(void **state)
{
	far_verify(fixture.far);
	free((void *)fixture.window.leaf);
	free((void *)fixture.window.upper);
	free(fixture.memory);
	free(fixture.tables);
	return 0;
}

bool fixture_done(unsigned cpu)
{
	return fixture.mailbox[cpu].state == MAILBOX_DONE;
}

bool fixture_fault(unsigned cpu, uint32_t page, bool write)
{
	struct mailbox *m = &fixture.mailbox[cpu];

	check(m->state == MAILBOX_EMPTY);
	m->gpa = FIXTURE_BASE + (uint64_t)page * PAGE_SIZE + 123;
	m->access = write ? MAILBOX_WRITE : MAILBOX_READ;
	m->posted = fixture.now;
	m->state = MAILBOX_POSTED;
	far_serve(fixture.far, fixture.now);
	return fixture_done(cpu);
}

void fixture_resume(unsigned cpu)
{
	check(fixture_done(cpu));
	fixture.mailbox[cpu].state = MAILBOX_EMPTY;
}

void fixture_touch(unsigned cpu, uint32_t page, bool write)
{
	check(fixture_fault(cpu, page, write));
	fixture_resume(cpu);
}

void fixture_turns(unsigned turns)
{
	for (; turns > 0; turns--) {
		fixture.now += 1000000;
		far_reclaim(fixture.far, fixture.now);
	}
}

static uint64_t *word(uint32_t page)
{
	uint64_t entry = fixture.window.leaf[page];
	uint64_t offset = slat_address(fixture.window.format, entry) - FIXTURE_HPA;

	check(slat_present(fixture.window.format, entry));
	return (uint64_t *)(void *)(fixture.memory + offset + 8);
}

void fixture_poke(uint32_t page, uint64_t value)
{
	check(fixture.window.leaf[page] & fixture.window.format->writable);
	fixture.window.leaf[page] |= fixture.window.format->accessed | fixture.window.format->dirty;
	*word(page) = value;
}

uint64_t fixture_peek(uint32_t page)
{
	fixture.window.leaf[page] |= fixture.window.format->accessed;
	return *word(page);
}

enum page_state fixture_state(uint32_t page)
{
	uint64_t entry = fixture.window.leaf[page];

	if (!slat_present(fixture.window.format, entry))
		return page_entry_state(entry);
	return fixture.far->frame[pcache_mapped(fixture.far, entry)].state;
}

void fixture_press(unsigned cpu, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (!fixture_fault(cpu, first + i, false)) {
			for (unsigned k = 0; k < 100 && !fixture_done(cpu); k++) {
				fixture_turns(1);
				fixture_answer_reads(SESSION_OK);
			}
		}
		fixture_resume(cpu);
		fixture_turns(1);
		fixture_grant();
	}
}

void fixture_grant(void)
{
	for (uint32_t i = 0; i < fixture.far->extents; i++) {
		if (fixture.far->extent[i].state == EXTENT_ASKED)
			far_session_events.extent(fixture.far, 0, i, RPC_EXTENT_HELD,
				ADDRESS + (uint64_t)i * RPC_EXTENT_SIZE, 77);
	}
}

struct fixture_op *fixture_op(bool write)
{
	for (unsigned i = 0; i < FIXTURE_OPS; i++) {
		if (fixture.session.op[i].used && fixture.session.op[i].write == write)
			return &fixture.session.op[i];
	}
	return NULL;
}

unsigned fixture_answer_writes(enum session_status status)
{
	struct fixture_op *op;
	unsigned n = 0;

	for (; (op = fixture_op(true)) != NULL; n++) {
		if (status == SESSION_OK)
			memcpy(remote[(op->address - ADDRESS) / PAGE_SIZE], op->data, PAGE_SIZE);
		op->used = false;
		far_session_events.write_done(fixture.far, 0, op->tag, status, fixture.now);
	}
	return n;
}

unsigned fixture_answer_reads(enum session_status status)
{
	struct fixture_op *op;
	unsigned n = 0;

	for (; (op = fixture_op(false)) != NULL; n++) {
		if (status == SESSION_OK)
			memcpy(op->to, remote[(op->address - ADDRESS) / PAGE_SIZE], PAGE_SIZE);
		else
			memset(op->to, 0xbd, PAGE_SIZE);
		op->used = false;
		far_session_events.read_done(fixture.far, 0, op->tag, status, fixture.now);
	}
	return n;
}

void fixture_lose(void)
{
	fixture.session.ready = false;
	fixture_answer_writes(SESSION_LOST);
	fixture_answer_reads(SESSION_LOST);
	far_session_events.lost(fixture.far, 0, fixture.now);
}

void fixture_ready(void)
{
	fixture.session.ready = true;
	far_session_events.ready(fixture.far, 0, fixture.now);
}

static bool post(struct session *s, bool write, uint64_t address, void *to, uint32_t tag)
{
	for (unsigned i = 0; i < FIXTURE_OPS; i++) {
		if (s->op[i].used)
			continue;
		s->op[i].used = true;
		s->op[i].write = write;
		s->op[i].address = address;
		s->op[i].to = to;
		s->op[i].tag = tag;
		if (write)
			memcpy(s->op[i].data, to, PAGE_SIZE);
		return true;
	}
	return false;
}

unsigned session_reads_free(const struct session *s)
{
	unsigned reads = 0;

	for (unsigned i = 0; i < FIXTURE_OPS; i++)
		reads += s->op[i].used && !s->op[i].write;
	return s->ready && reads < FIXTURE_READS ? FIXTURE_READS - reads : 0;
}

unsigned session_writes_free(const struct session *s)
{
	return s->ready ? 4 : 0;
}

bool session_read(
	struct session *s, uint64_t address, uint32_t rkey, void *to, uint32_t tag, uint64_t now)
{
	s->reads++;
	return post(s, false, address, to, tag);
}

bool session_write(struct session *s, uint64_t address, uint32_t rkey, const void *from,
	uint32_t tag, uint64_t now)
{
	s->writes++;
	return post(s, true, address, (void *)(uintptr_t)from, tag);
}

void session_abandon(struct session *s, uint32_t tag)
{
	for (unsigned i = 0; i < FIXTURE_OPS; i++) {
		if (s->op[i].used && !s->op[i].write && s->op[i].tag == tag)
			s->op[i].used = false;
	}
	s->abandoned++;
}

bool session_lease(struct session *s, uint32_t index)
{
	s->leases++;
	s->last_lease = index;
	return true;
}

bool session_release(struct session *s, uint32_t index)
{
	s->releases++;
	s->last_release = index;
	return true;
}

void fixture_make_remote(uint64_t value)
{
	fixture_touch(0, 0, true);
	fixture_poke(0, value);
	fixture_turns(1);
	fixture_grant();
	for (unsigned i = 1; i < 600 && fixture_state(0) != PAGE_REMOTE; i++) {
		fixture_press(0, i, 1);
		fixture_answer_writes(SESSION_OK);
	}
	assert_int_equal(fixture_state(0), PAGE_REMOTE);
}

void fixture_make_writing(uint64_t value)
{
	fixture_touch(0, 0, true);
	fixture_poke(0, value);
	fixture_turns(1);
	fixture_grant();
	for (unsigned i = 1; i < 600 && !fixture_op(true); i++)
		fixture_press(0, i, 1);
	assert_int_equal(fixture_state(0), PAGE_VICTIM_DIRTY);
}
