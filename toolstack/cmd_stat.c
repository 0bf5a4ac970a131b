/* SPDX-License-Identifier: MIT */
/* annex stat: how far memory does, from two samples of the VMM's counters. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "toolstack/agent.h"
#include "toolstack/agent_show.h"
#include "toolstack/connect.h"
#include "toolstack/manage.h"
#include "toolstack/output.h"
#include "toolstack/rates.h"
#include "toolstack/size.h"

static const char *watch;
static uint64_t limit;
static bool top;
static volatile sig_atomic_t interrupted;

static const struct option_spec options[] = {
	{"watch", "SECONDS", "a line every SECONDS (default 1) until interrupted", OPTION_MAYBE,
		&watch},
	{"count", "N", "with --watch: end after N lines", OPTION_NUMBER, &limit},
	{"top", NULL, "the guest's processes with the most remote fills too, if it has an agent",
		OPTION_FLAG, &top},
	{NULL, NULL, NULL, OPTION_FLAG, NULL},
};

static void interrupt(int signal)
{
	interrupted = 1;
}

static void pause_for(uint64_t seconds)
{
	struct timespec t = {(time_t)seconds, 0};

	nanosleep(&t, NULL);
}

/* A VMM that has stopped for good tells its state and why, and has no counters. */
static int stopped(virDomainPtr domain, const json_t *status)
{
	const char *state = json_string_value(json_object_get(status, "state"));
	const char *reason = json_string_value(json_object_get(status, "reason"));
	bool refused = state && !strcmp(state, "refused");

	if (json_object_get(status, "far"))
		return 0;
	return error_set(ERROR_FAILED,
		"the VMM of guest '%s' %s: %s. %s: annex guest stop --force %s",
		virDomainGetName(domain), refused ? "has refused to start it" : "has stopped",
		reason ? reason : "(no reason)",
		refused ? "Mend that and start it again" : "End the domain",
		virDomainGetName(domain));
}

/* The VMM's clock, not ours, times the rates: the channel is slow. */
static int sample(virDomainPtr domain, struct rates_sample *out)
{
	int code;

	manage_hold(domain);
	code = manage_ask(domain, "status", &out->status);

	if (!code)
		code = stopped(domain, out->status);
	if (!code)
		code = manage_ask(domain, "counters", &out->counters);
	manage_release();
	return code;
}

static void sample_free(struct rates_sample *s)
{
	json_decref(s->counters);
	json_decref(s->status);
	*s = (struct rates_sample){0};
}

static void print_watch(const struct rates *r, bool head)
{
	if (head)
		printf("%8s %10s %10s %12s %12s %10s %10s\n", "hit %", "fills/s", "zero/s",
			"evictions/s", "writebacks/s", "resident", "remote");
	printf("%8.2f %10.1f %10.1f %12.1f %12.1f %10lld %10lld\n", r->hit_ratio * 100, r->fills,
		r->zero_fills, r->evictions, r->writebacks, (long long)r->resident,
		(long long)r->remote);
	fflush(stdout);
}

static int run_watch(struct annex *annex, virDomainPtr domain)
{
	struct rates_sample before = {0}, after = {0};
	uint64_t seconds = 1;
	int code;

	if (*watch && !size_number(watch, 1, 86400, &seconds))
		return error_set(ERROR_USAGE, "--watch=%s is no number of seconds", watch);
	signal(SIGINT, interrupt);
	code = sample(domain, &before);
	for (uint64_t n = 0; !code && !interrupted && (!limit || n < limit); n++) {
		struct rates rates;

		pause_for(seconds);
		if (interrupted)
			break;
		code = sample(domain, &after);
		if (code)
			break;
		rates_between(&before, &after, &rates);
		if (annex->json) {
			json_dumpf(
				rates_json(&rates), stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
			putchar('\n');
			fflush(stdout);
		} else {
			print_watch(&rates, n % 20 == 0);
		}
		sample_free(&before);
		before = after;
		after = (struct rates_sample){0};
	}
	sample_free(&before);
	sample_free(&after);
	return code;
}

static void print_pages(const json_t *status)
{
	static const char *const states[] = {"zero", "remote", "filling", "resident", "unsettled",
		"victim_clean", "victim_dirty", "cleaning", "moving"};
	const json_t *far = json_object_get(status, "far"),
		     *frames = json_object_get(status, "frames");
	json_int_t pages = json_integer_value(json_object_get(far, "pages"));

	printf("\nfar pages: %lld\n", (long long)pages);
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		json_int_t n = json_integer_value(json_object_get(far, states[i]));

		printf("  %-14s %10lld  %5.1f %%\n", states[i], (long long)n,
			pages ? 100.0 * (double)n / (double)pages : 0);
	}
	printf("frames: %lld, free %lld (low %lld, high %lld)\n",
		(long long)json_integer_value(json_object_get(frames, "total")),
		(long long)json_integer_value(json_object_get(frames, "free")),
		(long long)json_integer_value(json_object_get(frames, "low")),
		(long long)json_integer_value(json_object_get(frames, "high")));
}

static void print_latency(const json_t *histogram)
{
	static const char *const kinds[] = {"remote", "victim", "zero"};
	struct output_table *table = output_table_new(7);
	static const char *const heads[] = {
		"FILL", "STAGE", "COUNT", "P50 us", "P99 us", "P99.9 us", "MAX us"};

	for (unsigned i = 0; i < 7; i++)
		output_table_cell(table, "%s", heads[i]);
	for (unsigned k = 0; k < 3; k++) {
		json_t *stages = json_object_get(histogram, kinds[k]), *h;
		const char *stage;

		json_object_foreach(stages, stage, h)
		{
			static const char *const points[] = {"p50", "p99", "p999", "max"};

			output_table_cell(table, "%s", kinds[k]);
			output_table_cell(table, "%s", stage);
			output_table_cell(table, "%lld",
				(long long)json_integer_value(json_object_get(h, "count")));
			for (unsigned p = 0; p < 4; p++)
				output_table_cell(table, "%.1f",
					(double)json_integer_value(json_object_get(h, points[p])) /
						1000);
		}
	}
	putchar('\n');
	output_table_end(table);
}

static void print_once(const char *name, const struct rates *r, const struct rates_sample *now,
	const json_t *histogram)
{
	const char *state = json_string_value(json_object_get(now->status, "state"));
	const char *reason = json_string_value(json_object_get(now->status, "reason"));

	printf("%s: %s%s%s\n", name, state ? state : "?", reason && *reason ? ": " : "",
		reason ? reason : "");
	printf("hit ratio:   %.2f %% of faults without the network in the last %.1f s, %.2f %% "
	       "since "
	       "boot\n",
		r->hit_ratio * 100, r->seconds, r->hit_ratio_total * 100);
	printf("fills:       %.1f/s remote, %.1f/s zero, %.1f/s victims taken back\n", r->fills,
		r->zero_fills, r->victim_hits);
	printf("prefetched:  %.1f/s, %.1f %% of all touched since\n", r->prefetched,
		r->prefetch_ratio * 100);
	printf("evictions:   %.1f/s\nwrite-backs: %.1f/s\n", r->evictions, r->writebacks);
	print_pages(now->status);
	print_latency(histogram);
}

static int more(virDomainPtr domain, const json_t *status, json_t **histogram, struct agent *agent)
{
	int code;

	manage_hold(domain);
	code = manage_ask(domain, "histogram", histogram);
	if (!code)
		code = agent_ask(domain, status, agent);
	manage_release();
	return code;
}

static int run_once(struct annex *annex, virDomainPtr domain, const char *name)
{
	struct rates_sample before = {0}, after = {0};
	json_t *histogram = NULL;
	struct agent agent;
	struct rates rates;
	int code = sample(domain, &before);

	if (!code) {
		pause_for(1);
		code = sample(domain, &after);
	}
	if (!code)
		code = more(domain, after.status, &histogram, &agent);
	if (!code) {
		rates_between(&before, &after, &rates);
		if (!output_answer(
			    annex, json_pack("{s:s,s:o,s:O,s:O,s:O,s:o}", "name", name, "rates",
					   rates_json(&rates), "status", after.status, "counters",
					   after.counters, "histogram", histogram, "agent",
					   agent_show_json(&agent)))) {
			print_once(name, &rates, &after, histogram);
			putchar('\n');
			agent_show_text(&agent, top);
		}
	}
	json_decref(histogram);
	sample_free(&before);
	sample_free(&after);
	return code;
}

static int run(struct annex *annex, int count, char **arguments)
{
	virDomainPtr domain;
	int code;

	if (top && watch)
		return error_set(
			ERROR_USAGE, "--top does not fit into the lines of --watch. Leave one out");
	if (limit && !watch)
		return error_set(ERROR_USAGE, "--count counts the lines of --watch. Add --watch");
	domain = connect_guest(annex, arguments[0]);
	if (!domain)
		return (int)error_code();
	code = watch ? run_watch(annex, domain) : run_once(annex, domain, arguments[0]);
	virDomainFree(domain);
	return code;
}

const struct command cmd_stat = {
	.name = "stat",
	.arguments = "NAME",
	.summary = "Show how a running guest's far memory does",
	.details = "The hit ratio is that of faults on far pages: answered from local memory (a "
		   "victim\n"
		   "taken back, a first touch, a page that another fault had filled) against "
		   "answered\n"
		   "by an RDMA READ. Rates are per second of the VMM's clock.\n"
		   "With --json, --watch prints one compact object a line.\n",
	.options = options,
	.minimum = 1,
	.maximum = 1,
	.run = run,
};
