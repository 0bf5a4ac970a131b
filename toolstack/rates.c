/* SPDX-License-Identifier: MIT */
#include "toolstack/rates.h"

static double counter(const struct rates_sample *s, const char *name)
{
	const json_t *far = json_object_get(s->counters, "far");

	return (double)json_integer_value(json_object_get(far, name));
}

static double hits(const struct rates_sample *s)
{
	return counter(s, "zero_fills") + counter(s, "victim_hits") + counter(s, "fault_present");
}

static double ratio(double good, double all)
{
	return all > 0 ? good / all : 1;
}

static long long pages(const struct rates_sample *s, const char *state)
{
	const json_t *far = json_object_get(s->status, "far");

	return (long long)json_integer_value(json_object_get(far, state));
}

/* A VMM that was started anew between the samples counts from zero: never a negative rate. */
static double grown(const struct rates_sample *a, const struct rates_sample *b, const char *name)
{
	double d = counter(b, name) - counter(a, name);

	return d > 0 ? d : 0;
}

void rates_between(
	const struct rates_sample *before, const struct rates_sample *after, struct rates *r)
{
	double nanoseconds =
		(double)(json_integer_value(json_object_get(after->status, "uptime_ns")) -
			 json_integer_value(json_object_get(before->status, "uptime_ns")));
	double remote = grown(before, after, "remote_fills");
	double good = hits(after) - hits(before);

	if (good < 0)
		good = 0;
	r->seconds = nanoseconds > 0 ? nanoseconds / 1e9 : 1;
	r->hit_ratio = ratio(good, good + remote);
	r->hit_ratio_total = ratio(hits(after), hits(after) + counter(after, "remote_fills"));
	r->fills = remote / r->seconds;
	r->zero_fills = grown(before, after, "zero_fills") / r->seconds;
	r->victim_hits = grown(before, after, "victim_hits") / r->seconds;
	r->evictions = grown(before, after, "evictions") / r->seconds;
	r->writebacks = grown(before, after, "writebacks") / r->seconds;
	r->prefetched = (grown(before, after, "prefetch_fills") +
				grown(before, after, "prefetch_zero_fills")) /
			r->seconds;
	r->prefetch_ratio = ratio(counter(after, "prefetch_hits"),
		counter(after, "prefetch_hits") + counter(after, "prefetch_wasted"));
	r->resident = pages(after, "resident");
	r->remote = pages(after, "remote");
	r->zero = pages(after, "zero");
}

json_t *rates_json(const struct rates *r)
{
	return json_pack("{s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:I,s:I,s:I}", "seconds",
		r->seconds, "hit_ratio", r->hit_ratio, "hit_ratio_total", r->hit_ratio_total,
		"fills_per_s", r->fills, "zero_fills_per_s", r->zero_fills, "victim_hits_per_s",
		r->victim_hits, "evictions_per_s", r->evictions, "writebacks_per_s", r->writebacks,
		"prefetched_per_s", r->prefetched, "prefetch_ratio", r->prefetch_ratio, "resident",
		(json_int_t)r->resident, "remote", (json_int_t)r->remote, "zero",
		(json_int_t)r->zero);
}
