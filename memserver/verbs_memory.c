/* SPDX-License-Identifier: MIT */
/*
 * Protection domains and memory regions. One domain per session and one region per extent; no
 * relaxed ordering, because a READ behind a WRITE must see it (architecture section 8).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "memserver/log.h"
#include "memserver/verbs_state.h"

#define REMOTE (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE)

struct protection *verbs_memory_enter(struct verbs *v, uint64_t tenant, uint64_t session)
{
	struct protection *p;

	for (p = v->protections; p; p = p->next) {
		if (p->tenant == tenant && p->session == session)
			break;
	}
	if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p)
			return NULL;
		p->tenant = tenant;
		p->session = session;
		p->pd = ibv_alloc_pd(v->context);
		if (!p->pd) {
			free(p);
			return NULL;
		}
		p->next = v->protections;
		v->protections = p;
	}
	p->users++;
	return p;
}

void verbs_memory_leave(struct verbs *v, struct protection *p)
{
	struct protection **at = &v->protections;

	if (--p->users > 0)
		return;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	ibv_dealloc_pd(p->pd);
	free(p);
}

/* Deregisters, or ends the process: its end takes every queue pair with it, which is as safe. */
static void deregister(struct ibv_mr *mr)
{
	int error = ibv_dereg_mr(mr);

	if (!error)
		return;
	log_line(LOG_CRIT, "memory cannot be deregistered: %s", strerror(error));
	exit(1);
}

int verbs_expose(struct verbs *v, uint64_t tenant, uint64_t session, uint32_t slot,
	uint64_t *address, uint32_t *rkey)
{
	uint8_t *memory = v->pool->memory + (uint64_t)slot * RPC_EXTENT_SIZE;
	struct protection *p = verbs_memory_enter(v, tenant, session);
	int error;

	if (!p)
		return ENOMEM;
	v->extent[slot] = ibv_reg_mr(p->pd, memory, RPC_EXTENT_SIZE, REMOTE);
	if (!v->extent[slot]) {
		error = errno ? errno : ENOMEM;
		log_line(LOG_ERR, "an extent cannot be registered: %s%s", strerror(error),
			error == ENOMEM ? "; see RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=)" : "");
		verbs_memory_leave(v, p);
		return error;
	}
	v->owner[slot] = p;
	*address = (uintptr_t)memory;
	*rkey = v->extent[slot]->rkey;
	return 0;
}

void verbs_conceal(struct verbs *v, uint64_t tenant, uint64_t session, uint32_t slot)
{
	deregister(v->extent[slot]);
	v->extent[slot] = NULL;
	verbs_memory_leave(v, v->owner[slot]);
	v->owner[slot] = NULL;
}

int verbs_scratch(
	struct verbs *v, uint64_t tenant, uint64_t session, uint64_t *address, uint32_t *rkey)
{
	struct protection *p = verbs_memory_enter(v, tenant, session);
	int error = 0;

	if (!p)
		return ENOMEM;
	if (!p->scratch) {
		p->scratch = mmap(NULL, RPC_SCRATCH_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p->scratch == MAP_FAILED) {
			p->scratch = NULL;
			verbs_memory_leave(v, p);
			return ENOMEM;
		}
		p->scratch_mr = ibv_reg_mr(p->pd, p->scratch, RPC_SCRATCH_SIZE, REMOTE);
		if (!p->scratch_mr) {
			error = errno ? errno : ENOMEM;
			munmap(p->scratch, RPC_SCRATCH_SIZE);
			p->scratch = NULL;
			verbs_memory_leave(v, p);
			return error;
		}
		p->users++;
	}
	*address = (uintptr_t)p->scratch;
	*rkey = p->scratch_mr->rkey;
	verbs_memory_leave(v, p);
	return 0;
}

static void drop_scratch(struct verbs *v, struct protection *p)
{
	if (!p->scratch)
		return;
	deregister(p->scratch_mr);
	munmap(p->scratch, RPC_SCRATCH_SIZE);
	p->scratch = NULL;
	verbs_memory_leave(v, p);
}

void verbs_session_end(struct verbs *v, uint64_t tenant, uint64_t session)
{
	for (struct protection *p = v->protections; p; p = p->next) {
		if (p->tenant != tenant || p->session != session)
			continue;
		drop_scratch(v, p);
		return;
	}
}

bool verbs_memory_open(struct verbs *v)
{
	size_t slots = v->pool->bytes / RPC_EXTENT_SIZE;

	v->extent = calloc(slots, sizeof(struct ibv_mr *));
	v->owner = calloc(slots, sizeof(struct protection *));
	return v->extent && v->owner;
}

void verbs_memory_close(struct verbs *v)
{
	struct protection *p, *next;

	for (size_t slot = 0; slot < v->pool->bytes / RPC_EXTENT_SIZE; slot++) {
		if (v->extent[slot])
			verbs_conceal(v, 0, 0, (uint32_t)slot);
	}
	for (p = v->protections; p; p = next) {
		next = p->next;
		drop_scratch(v, p);
	}
	free(v->extent);
	free(v->owner);
}
