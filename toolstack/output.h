/* SPDX-License-Identifier: MIT */
/* What goes to the user: tables, JSON, progress and errors. */
#ifndef ANNEX_OUTPUT_H
#define ANNEX_OUTPUT_H

#include <jansson.h>
#include "toolstack/annex.h"

/* One JSON document on stdout; takes the reference. */
void output_json(json_t *value);

/* With --json prints value (taking the reference) and returns true; else frees it. */
bool output_answer(const struct annex *annex, json_t *value);

/* A line on stderr, unless --quiet. A warning begins with "annex: warning: ". */
void output_progress(const struct annex *annex, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void output_warning(const struct annex *annex, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The recorded error: "annex: text" on stderr, or {"error":{...}} on stdout with --json. */
void output_error(const struct annex *annex);

/* Columns as wide as their widest cell. Cells are copied. */
struct output_table;
struct output_table *output_table_new(unsigned columns);
void output_table_cell(struct output_table *table, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Prints the table and frees it. */
void output_table_end(struct output_table *table);

#endif
