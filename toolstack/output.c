/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/output.h"

struct output_table {
	unsigned columns;
	unsigned cells;
	char **cell;
};

void output_json(json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
	fflush(stdout);
	json_decref(value);
}

bool output_answer(const struct annex *annex, json_t *value)
{
	if (annex->json)
		output_json(value);
	else
		json_decref(value);
	return annex->json;
}

void output_progress(const struct annex *annex, const char *format, ...)
{
	va_list args;

	if (annex->quiet)
		return;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void output_warning(const struct annex *annex, const char *format, ...)
{
	va_list args;

	if (annex->quiet)
		return;
	fputs("annex: warning: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void output_error(const struct annex *annex)
{
	if (annex->json)
		output_json(
			json_pack("{s:{s:s,s:i,s:s}}", "error", "code", error_name(error_code()),
				"exit", (int)error_code(), "message", error_text()));
	else
		fprintf(stderr, "annex: %s\n", error_text());
}

struct output_table *output_table_new(unsigned columns)
{
	struct output_table *table = error_memory(calloc(1, sizeof(*table)));

	table->columns = columns;
	return table;
}

void output_table_cell(struct output_table *table, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	table->cell = error_memory(realloc(table->cell, (table->cells + 1) * sizeof(*table->cell)));
	table->cell[table->cells++] = error_memory(text);
}

void output_table_end(struct output_table *table)
{
	for (unsigned i = 0; i < table->cells; i++) {
		unsigned column = i % table->columns;
		int width = 0;

		for (unsigned j = column; j < table->cells; j += table->columns)
			if ((int)strlen(table->cell[j]) > width)
				width = (int)strlen(table->cell[j]);
		if (column + 1 < table->columns)
			printf("%-*s  ", width, table->cell[i]);
		else
			printf("%s\n", table->cell[i]);
	}
	for (unsigned i = 0; i < table->cells; i++)
		free(table->cell[i]);
	free(table->cell);
	free(table);
}
