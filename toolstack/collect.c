/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <time.h>
#include "toolstack/agent_show.h"
#include "toolstack/collect.h"
#include "toolstack/connect.h"
#include "toolstack/job.h"
#include "toolstack/manage.h"

#define LIST (-1) /* the job that lists the guests */

struct slot {
	struct job job;
	bool used;
	int guest; /* index in guests, or LIST */
};

struct collect {
	struct annex annex; /* how to reach libvirt; never connected itself */
	double began, deadline;
	json_t *guests; /* NULL: not listed yet */
	json_t *result;
	bool libvirt;
	size_t next; /* guest to start a job for */
	struct slot slot[COLLECT_PARALLEL];
};

struct question {
	struct annex annex;
	const char *uuid;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* In the child: every guest, running or not. */
static int list_one(virDomainPtr domain, void *context)
{
	char uuid[VIR_UUID_STRING_BUFLEN];

	if (connect_is_guest(domain) && virDomainGetUUIDString(domain, uuid) == 0)
		json_array_append_new(
			context, json_pack("{s:s,s:s,s:b}", "name", virDomainGetName(domain),
					 "uuid", uuid, "running", virDomainIsActive(domain) > 0));
	return 0;
}

static void list_guests(void *context)
{
	struct question *q = context;
	json_t *guests = json_array();

	if (!connect_each(&q->annex, list_one, guests))
		job_tell(json_pack("{s:o}", "guests", guests));
}

/* In the child: what one VMM says, part by part. One that has stopped says its state and no more. */
static void ask_guest(void *context)
{
	static const char *const more[] = {"counters", "histogram"};
	struct question *q = context;
	virDomainPtr domain = connect_domain(&q->annex, q->uuid);
	json_t *status = NULL;
	struct agent agent;

	if (!domain)
		return;
	manage_hold(domain); /* to the end of this process */
	if (manage_ask(domain, "status", &status))
		return;
	job_tell(json_pack("{s:O}", "status", status));
	if (!json_object_get(status, "far"))
		return;
	for (unsigned i = 0; i < 2; i++) {
		json_t *answer = NULL;

		if (!manage_ask(domain, more[i], &answer))
			job_tell(json_pack("{s:o}", more[i], answer));
	}
	if (!agent_ask(domain, status, &agent))
		job_tell(json_pack("{s:o}", "agent", agent_show_json(&agent)));
}

static void start(struct collect *c, int guest, void (*work)(void *context), const char *uuid)
{
	struct question q = {c->annex, uuid};

	for (unsigned i = 0; i < COLLECT_PARALLEL; i++) {
		struct slot *slot = &c->slot[i];

		if (slot->used)
			continue;
		slot->guest = guest;
		slot->used = job_start(&slot->job, work, &q);
		return;
	}
}

static unsigned busy(const struct collect *c)
{
	unsigned count = 0;

	for (unsigned i = 0; i < COLLECT_PARALLEL; i++)
		count += c->slot[i].used;
	return count;
}

struct collect *collect_start(const struct annex *annex, double seconds)
{
	struct collect *c = error_memory(calloc(1, sizeof(*c)));

	c->annex = *annex;
	c->annex.connection = NULL;
	c->began = now();
	c->deadline = c->began + seconds;
	start(c, LIST, list_guests, NULL);
	return c;
}

static void end_slot(struct collect *c, struct slot *slot)
{
	json_t *answer = job_end(&slot->job);

	slot->used = false;
	if (slot->guest == LIST) {
		c->guests = json_incref(json_object_get(answer, "guests"));
		c->libvirt = json_is_array(c->guests);
	} else if (answer) {
		json_object_update_missing(json_array_get(c->guests, (size_t)slot->guest), answer);
	}
	json_decref(answer);
}

void collect_free(struct collect *c)
{
	for (unsigned i = 0; i < COLLECT_PARALLEL; i++)
		if (c->slot[i].used)
			end_slot(c, &c->slot[i]);
	json_decref(c->guests);
	json_decref(c->result);
	free(c);
}

unsigned collect_descriptors(const struct collect *c, struct pollfd *fds)
{
	unsigned count = 0;

	for (unsigned i = 0; i < COLLECT_PARALLEL; i++)
		if (c->slot[i].used)
			fds[count++] = (struct pollfd){c->slot[i].job.fd, POLLIN, 0};
	return count;
}

int collect_timeout(const struct collect *c)
{
	double left = c->deadline - now();

	return left > 0 ? (int)(left * 1000) + 1 : 0;
}

bool collect_turn(struct collect *c)
{
	bool late = now() >= c->deadline;

	for (unsigned i = 0; i < COLLECT_PARALLEL; i++)
		if (c->slot[i].used && (job_turn(&c->slot[i].job) || late))
			end_slot(c, &c->slot[i]);
	for (; !late && c->next < json_array_size(c->guests) && busy(c) < COLLECT_PARALLEL;
		c->next++) {
		const json_t *guest = json_array_get(c->guests, c->next);

		if (json_is_true(json_object_get(guest, "running")))
			start(c, (int)c->next, ask_guest,
				json_string_value(json_object_get(guest, "uuid")));
	}
	return late || !busy(c);
}

const json_t *collect_result(struct collect *c)
{
	if (!c->result)
		c->result = json_pack("{s:f,s:b,s:o}", "seconds", now() - c->began, "libvirt",
			c->libvirt, "guests", c->guests ? json_incref(c->guests) : json_array());
	return c->result;
}
