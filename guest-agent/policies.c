/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "guest-agent/log.h"
#include "guest-agent/policies.h"

#define WATCHES    256u
#define WATCH_NS   100000000ull /* how often what is stopped is looked at */
#define CGROUP_MAX SELECTOR_PATH_MAX

struct policy {
	unsigned number;
	bool configured;
	struct config_rule rule;
	uint32_t hint; /* pin and cold: the one that lives for it; 0: not made yet */
	unsigned targets;
	struct policy *next;
};

/* A stopped process (pid) or a frozen cgroup (pid 0) of a policy that waits for its waking. */
struct watch {
	unsigned policy;
	pid_t pid;
	uint64_t start;
	char cgroup[CGROUP_MAX];
};

struct policies {
	struct hints *hints;
	struct processes *processes;
	char *cgroup;
	struct policy *first;
	unsigned count;
	unsigned last_number;
	uint64_t passes; /* of the table of processes, at the last look */
	uint64_t watched_ns;
	unsigned watch_count;
	struct watch watch[WATCHES];
};

struct policies *policies_open(struct hints *hints, struct processes *processes, const char *cgroup)
{
	struct policies *p = calloc(1, sizeof(*p));

	if (!p || !(p->cgroup = strdup(cgroup)))
		log_no_memory();
	p->hints = hints;
	p->processes = processes;
	p->passes = UINT64_MAX;
	return p;
}

static void delete_policy(struct policies *p, struct policy **at)
{
	struct policy *old = *at;

	if (old->hint)
		(void)hints_remove(p->hints, old->hint);
	*at = old->next;
	p->count--;
	free(old);
}

void policies_close(struct policies *p)
{
	if (!p)
		return;
	while (p->first)
		delete_policy(p, &p->first);
	free(p->cgroup);
	free(p);
}

static void make_hint(struct policies *p, struct policy *policy)
{
	struct hint_request request = {
		.kind = policy->rule.kind,
		.origin = HINT_OF_POLICY,
		.policy = policy->number,
		.selector = policy->rule.selector,
		.max_pages = policy->rule.max_pages,
		.every_ns = policy->rule.every_ns,
		.partial = true,
	};
	struct hint_outcome outcome;

	if (policy->rule.on_wake || policy->hint)
		return;
	hints_add(p->hints, &request, &outcome);
	policy->hint = outcome.id;
}

static struct policy *new_policy(
	struct policies *p, const struct config_rule *rule, bool configured)
{
	struct policy *policy = calloc(1, sizeof(*policy)), **at = &p->first;

	if (!policy)
		log_no_memory();
	policy->number = ++p->last_number;
	policy->rule = *rule;
	policy->configured = configured;
	while (*at)
		at = &(*at)->next;
	*at = policy;
	p->count++;
	make_hint(p, policy);
	p->passes = UINT64_MAX; /* look for what it applies to */
	return policy;
}

static bool same_rule(const struct config_rule *a, const struct config_rule *b)
{
	/* A user's number may have changed under the name. */
	return strcmp(a->text, b->text) == 0 && selector_equal(&a->selector, &b->selector);
}

static bool has_rule(const struct config *config, const struct config_rule *rule)
{
	for (unsigned i = 0; i < config->rule_count; i++)
		if (same_rule(&config->rule[i], rule))
			return true;
	return false;
}

void policies_set(struct policies *p, const struct config *config)
{
	struct policy **at = &p->first;

	while (*at) {
		if ((*at)->configured && !has_rule(config, &(*at)->rule))
			delete_policy(p, at);
		else
			at = &(*at)->next;
	}
	for (unsigned i = 0; i < config->rule_count; i++) {
		const struct policy *old = p->first;

		while (old && !(old->configured && same_rule(&old->rule, &config->rule[i])))
			old = old->next;
		if (!old)
			(void)new_policy(p, &config->rule[i], true);
	}
}

unsigned policies_add(struct policies *p, const char *line, char error[CONFIG_ERROR])
{
	struct config_rule rule;

	if (config_rule(&rule, line, error) != 0)
		return 0;
	if (p->count >= 2 * CONFIG_RULES) {
		snprintf(error, CONFIG_ERROR, "there are %u policies already", p->count);
		return 0;
	}
	return new_policy(p, &rule, false)->number;
}

bool policies_remove(struct policies *p, unsigned number)
{
	for (struct policy **at = &p->first; *at; at = &(*at)->next) {
		if ((*at)->number == number) {
			delete_policy(p, at);
			return true;
		}
	}
	return false;
}

static const struct policy *find_policy(const struct policies *p, unsigned number)
{
	const struct policy *at = p->first;

	while (at && at->number != number)
		at = at->next;
	return at;
}

/* The kernel's word on a cgroup: 1 frozen, 0 not, -1 no such cgroup. */
static int frozen(const struct policies *p, const char *cgroup)
{
	char path[4096], line[64];
	int result = -1, value;
	FILE *f;

	snprintf(path, sizeof(path), "%s%s/cgroup.events", p->cgroup, cgroup);
	f = fopen(path, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "frozen %d", &value) == 1)
			result = value != 0;
	fclose(f);
	return result;
}

static void add_watch(
	struct policies *p, unsigned policy, const struct process *process, bool stopped)
{
	struct watch *w;

	for (unsigned i = 0; i < p->watch_count; i++) {
		w = &p->watch[i];
		if (w->policy != policy)
			continue;
		if (stopped ? w->pid == process->pid && w->start == process->start
			    : !w->pid && strcmp(w->cgroup, process->cgroup) == 0)
			return;
	}
	if (p->watch_count == WATCHES)
		return;
	w = &p->watch[p->watch_count++];
	memset(w, 0, sizeof(*w));
	w->policy = policy;
	if (stopped) {
		w->pid = process->pid;
		w->start = process->start;
	} else {
		snprintf(w->cgroup, sizeof(w->cgroup), "%s", process->cgroup);
	}
}

/* Which of a policy's processes are stopped or frozen now. */
static void look_for_sleepers(struct policies *p, struct policy *policy)
{
	const struct process *at = NULL;
	char asked[CGROUP_MAX] = "";
	int answer = 0;

	policy->targets = 0;
	while ((at = processes_next(p->processes, at))) {
		if (!selector_fits(&policy->rule.selector, at))
			continue;
		policy->targets++;
		if (at->state == 'T') {
			add_watch(p, policy->number, at, true);
			continue;
		}
		if (!at->cgroup[0] || strlen(at->cgroup) >= CGROUP_MAX)
			continue;
		/* Neighbours in the table are often of one cgroup. */
		if (strcmp(asked, at->cgroup) != 0) {
			snprintf(asked, sizeof(asked), "%s", at->cgroup);
			answer = frozen(p, asked);
		}
		if (answer == 1)
			add_watch(p, policy->number, at, false);
	}
}

static void prefetch(struct policies *p, const struct policy *policy, const struct watch *w)
{
	struct hint_request request = {
		.kind = HINT_PREFETCH,
		.origin = HINT_OF_POLICY,
		.policy = policy->number,
		.selector = policy->rule.selector,
		.max_pages = policy->rule.max_pages,
	};
	struct hint_outcome outcome;

	if (w->pid) {
		request.selector.keys |= SELECTOR_PID;
		request.selector.pid = w->pid;
		request.selector.start = w->start;
		log_line(LOG_INFO, "policy %u: process %d goes on", policy->number, (int)w->pid);
	} else {
		/* At or below the cgroup that the policy may name itself. */
		request.selector.keys |= SELECTOR_CGROUP;
		memcpy(request.selector.cgroup, w->cgroup, sizeof(w->cgroup));
		log_line(LOG_INFO, "policy %u: cgroup %s goes on", policy->number, w->cgroup);
	}
	hints_add(p->hints, &request, &outcome);
	if (outcome.answer == HINT_TOO_MANY)
		log_line(LOG_WARNING, "policy %u: too many hints at a time", policy->number);
}

/* Whether it is still asleep; one that has woken is prefetched. */
static bool sleeps(struct policies *p, const struct watch *w)
{
	const struct policy *policy = find_policy(p, w->policy);

	if (!policy)
		return false;
	if (w->pid) {
		const struct process *now = processes_glance(p->processes, w->pid);

		if (!now || now->start != w->start)
			return false;
		if (now->state == 'T')
			return true;
	} else {
		int now = frozen(p, w->cgroup);

		if (now != 0)
			return now == 1;
	}
	prefetch(p, policy, w);
	return false;
}

static void look_at_watches(struct policies *p, uint64_t now_ns)
{
	unsigned kept = 0;

	if (!p->watch_count || now_ns - p->watched_ns < WATCH_NS)
		return;
	p->watched_ns = now_ns;
	for (unsigned i = 0; i < p->watch_count; i++)
		if (sleeps(p, &p->watch[i]))
			p->watch[kept++] = p->watch[i];
	p->watch_count = kept;
}

void policies_turn(struct policies *p, uint64_t now_ns)
{
	look_at_watches(p, now_ns);
	if (p->passes == processes_passes(p->processes))
		return;
	p->passes = processes_passes(p->processes);
	for (struct policy *policy = p->first; policy; policy = policy->next) {
		if (policy->rule.on_wake) {
			look_for_sleepers(p, policy);
			continue;
		}
		make_hint(p, policy);
		policy->targets = hints_members(p->hints, policy->hint);
	}
}

uint64_t policies_deadline(const struct policies *p)
{
	return p->watch_count ? p->watched_ns + WATCH_NS : UINT64_MAX;
}

unsigned policies_count(const struct policies *p)
{
	return p->count;
}

unsigned policies_targets(const struct policies *p)
{
	unsigned targets = 0;

	for (const struct policy *policy = p->first; policy; policy = policy->next)
		targets += policy->targets;
	return targets;
}

void policies_text(const struct policies *p, char *out, size_t size)
{
	size_t used = 0;

	if (size)
		out[0] = '\0';
	for (const struct policy *policy = p->first; policy; policy = policy->next) {
		int length = snprintf(out + used, size - used, "%u %s (%s): %u now\n",
			policy->number, policy->rule.text,
			policy->configured ? "configured" : "operator", policy->targets);

		if (length < 0 || (size_t)length >= size - used) {
			out[used] = '\0';
			return;
		}
		used += (size_t)length;
	}
}
