/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/error.h"
#include "toolstack/metrics.h"
#include "toolstack/printable.h"

struct family {
	struct family *next;
	char *name;
	char *head; /* HELP and TYPE */
	char *samples;
	size_t size;
	FILE *out; /* of samples */
};

struct metrics {
	struct family *first, **last;
};

struct metrics *metrics_new(void)
{
	struct metrics *metrics = error_memory(calloc(1, sizeof(*metrics)));

	metrics->last = &metrics->first;
	return metrics;
}

void metrics_free(struct metrics *metrics)
{
	struct family *next;

	for (struct family *f = metrics->first; f; f = next) {
		next = f->next;
		fclose(f->out);
		free(f->samples);
		free(f->head);
		free(f->name);
		free(f);
	}
	free(metrics);
}

/* [a-zA-Z_][a-zA-Z0-9_]*; colons are for rules. */
static bool name_ok(const char *name)
{
	if (!isalpha((unsigned char)*name) && *name != '_')
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && *name != '_')
			return false;
	return true;
}

static struct family *find(
	struct metrics *metrics, const char *name, const char *type, const char *help)
{
	struct family *f;

	for (f = metrics->first; f; f = f->next)
		if (!strcmp(f->name, name))
			return f;
	f = error_memory(calloc(1, sizeof(*f)));
	*metrics->last = f;
	metrics->last = &f->next;
	f->name = error_memory(strdup(name));
	if (asprintf(&f->head, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type) < 0)
		f->head = NULL;
	error_memory(f->head);
	f->out = error_memory(open_memstream(&f->samples, &f->size));
	return f;
}

static void put_value(FILE *out, const char *value)
{
	char *text = error_memory(strdup(value));

	printable_text(text, true);
	for (const char *p = text; *p; p++)
		if (*p == '\n')
			fputs("\\n", out);
		else if (*p == '"' || *p == '\\')
			fprintf(out, "\\%c", *p);
		else
			fputc(*p, out);
	free(text);
}

/* The shortest digits that give the same number again. */
static void put_number(FILE *out, double value)
{
	char text[40];

	snprintf(text, sizeof(text), "%.15g", value);
	if (strtod(text, NULL) != value)
		snprintf(text, sizeof(text), "%.17g", value);
	fprintf(out, " %s\n", text);
}

void metrics_add(struct metrics *metrics, const char *name, const char *type, const char *help,
	const char *suffix, double value, ...)
{
	const char *label;
	bool first = true;
	struct family *f;
	va_list labels;

	if (!name_ok(name))
		return;
	f = find(metrics, name, type, help);
	fprintf(f->out, "%s%s", name, suffix);
	va_start(labels, value);
	while ((label = va_arg(labels, const char *))) {
		fprintf(f->out, "%s%s=\"", first ? "{" : ",", label);
		put_value(f->out, va_arg(labels, const char *));
		fputc('"', f->out);
		first = false;
	}
	va_end(labels);
	if (!first)
		fputc('}', f->out);
	put_number(f->out, value);
}

char *metrics_text(const struct metrics *metrics)
{
	char *text = NULL;
	size_t size;
	FILE *out = error_memory(open_memstream(&text, &size));

	for (const struct family *f = metrics->first; f; f = f->next) {
		fflush(f->out);
		fputs(f->head, out);
		fputs(f->samples, out);
	}
	fclose(out);
	return error_memory(text);
}
