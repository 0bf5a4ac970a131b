/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest-agent/check.h"

static const char *const result_text[CHECK_RESULTS] = {"ok", "warn", "fail", "skip"};

/* In brief, what is well is not explained. */
static const char *text_of(const struct check_line *line, bool brief)
{
	bool quiet = line->result == CHECK_OK || line->result == CHECK_SKIP;

	return brief && quiet ? result_text[line->result] : line->text;
}

static size_t line_length(const struct check_line *line, bool brief)
{
	return strlen(result_text[line->result]) + strlen(line->name) +
	       strlen(text_of(line, brief)) + sizeof(" : \n") - 1;
}

/* As long as what is worth doing something about fits, it comes before what is well. */
size_t check_text(const struct check *check, char *text, size_t size)
{
	static const char more[] =
		"warn more: %u lines did not fit; annex-agent check in the guest\n";
	size_t whole = 0, brief_whole = 0, used = 0;
	unsigned left_out = 0;

	for (unsigned i = 0; i < check->count; i++) {
		whole += line_length(&check->line[i], false);
		brief_whole += line_length(&check->line[i], true);
	}
	bool brief = whole >= size;
	size_t room = brief && brief_whole >= size ? size - sizeof(more) - 8 : size;

	text[0] = 0;
	for (unsigned i = 0; i < check->count; i++) {
		const struct check_line *line = &check->line[i];
		size_t length = line_length(line, brief);

		if (left_out || used + length >= room) {
			left_out++;
			continue;
		}
		snprintf(text + used, size - used, "%s %s: %s\n", result_text[line->result],
			line->name, text_of(line, brief));
		used += length;
	}
	if (left_out)
		used += (size_t)snprintf(text + used, size - used, more, left_out);
	return used;
}

/* The worst of them. */
static const char *overall(const struct check *check)
{
	bool warn = false;

	for (unsigned i = 0; i < check->count; i++)
		warn |= check->line[i].result == CHECK_WARN;
	switch (check_exit_code(check)) {
	case 0:
		return warn ? "warn" : "ok";
	case 1:
		return "fail";
	default:
		return "skip";
	}
}

/* The texts are printable ASCII; two of those characters need more. */
static void put_string(FILE *to, const char *name, const char *text)
{
	fprintf(to, "\"%s\": \"", name);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', to);
		fputc(*text, to);
	}
	fputc('"', to);
}

char *check_json(const struct check *check)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		return NULL;
	fprintf(to, "{\n  \"annex\": %s, ", check->annex ? "true" : "false");
	put_string(to, "result", overall(check));
	fputs(", \"lines\": [", to);
	for (unsigned i = 0; i < check->count; i++) {
		const struct check_line *line = &check->line[i];

		fputs(i ? ",\n    {" : "\n    {", to);
		put_string(to, "result", result_text[line->result]);
		fputs(", ", to);
		put_string(to, "name", line->name);
		fputs(", ", to);
		put_string(to, "text", line->text);
		fputc('}', to);
	}
	fputs("\n  ]\n}", to);
	if (fclose(to) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static void help(FILE *to)
{
	fputs("usage: annex-agent check [--json]\n"
	      "Is this guest set up right for far memory? One line each: ok, warn, fail or skip,\n"
	      "and what to do. Needs no running agent; root sees more.\n"
	      "  --json   the same as JSON\n"
	      "exit code: 0 ok or warnings, 1 a line failed, 2 usage, 3 no Annex below\n",
		to);
}

int check_command(int argc, char **argv, const struct check_annex *annex)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
	char text[CHECK_LINES_MAX * (CHECK_TEXT_MAX + 32)];
	struct check check;
	bool json = false;

	optind = 1;
	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (o == 'h') {
			help(stdout);
			return 0;
		}
		if (o != 'j') {
			help(stderr);
			return 2;
		}
		json = true;
	}
	if (optind != argc) {
		fprintf(stderr, "annex-agent check: takes no argument: %s\n", argv[optind]);
		help(stderr);
		return 2;
	}
	check_run(&check, "", annex);
	if (json) {
		char *all = check_json(&check);

		if (!all) {
			fputs("annex-agent check: out of memory\n", stderr);
			return 1;
		}
		puts(all);
		free(all);
	} else {
		check_text(&check, text, sizeof(text));
		fputs(text, stdout);
	}
	return check_exit_code(&check);
}
