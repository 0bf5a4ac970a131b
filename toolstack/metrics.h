/* SPDX-License-Identifier: MIT */
/*
 * Prometheus' text format 0.0.4: families of samples, each with its HELP and TYPE line, the samples of
 * one family together in whatever order they were added.
 */
#ifndef ANNEX_METRICS_H
#define ANNEX_METRICS_H

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metrics;

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

/*
 * Adds a sample. type is "counter", "gauge" or "summary"; suffix is behind the name ("_count" of a
 * summary) or "". Then pairs of label name and value, ended by NULL. Values are escaped; what no
 * terminal should see is replaced (toolstack/printable.h). A name that the format does not allow adds
 * nothing.
 */
void metrics_add(struct metrics *metrics, const char *name, const char *type, const char *help,
	const char *suffix, double value, ...);

/* The whole text, for free(). */
char *metrics_text(const struct metrics *metrics);

#endif
