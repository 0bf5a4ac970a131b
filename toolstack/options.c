/* SPDX-License-Identifier: MIT */
/* The command line: one syntax for every command, global options in any place. */
#include <stdio.h>
#include <string.h>
#include "toolstack/annex.h"
#include "toolstack/size.h"

static bool help_wanted;
static struct annex parsed;

static const struct option_spec global[] = {
	{"connect", "URI", "libvirt to talk to (default: LIBVIRT_DEFAULT_URI or qemu:///system)",
		OPTION_TEXT, &parsed.uri},
	{"state", "DIR", "where annex keeps its files (default: ANNEX_STATE or " ANNEX_STATE ")",
		OPTION_TEXT, &parsed.state},
	{"json", NULL, "answer in JSON, errors too", OPTION_FLAG, &parsed.json},
	{"quiet", NULL, "no progress, no warnings", OPTION_FLAG, &parsed.quiet},
	{"help", NULL, "this text", OPTION_FLAG, &help_wanted},
	{NULL, NULL, NULL, OPTION_FLAG, NULL},
};

static const struct option_spec *find(const struct option_spec *specs, const char *name, size_t n)
{
	for (; specs && specs->name; specs++)
		if (strlen(specs->name) == n && !strncmp(specs->name, name, n))
			return specs;
	return NULL;
}

static int store(const struct command *command, const struct option_spec *spec, const char *value)
{
	switch (spec->kind) {
	case OPTION_FLAG:
		*(bool *)spec->target = true;
		return 0;
	case OPTION_TEXT:
	case OPTION_MAYBE:
		*(const char **)spec->target = value;
		return 0;
	case OPTION_SIZE:
		if (size_parse(value, spec->target))
			return 0;
		return error_set(ERROR_USAGE,
			"--%s=%s is not a size. Write a number with K, M or G, such as 512M",
			spec->name, value);
	case OPTION_NUMBER:
		if (size_number(value, 0, UINT64_MAX, spec->target))
			return 0;
		return error_set(ERROR_USAGE, "--%s=%s is not a number. See annex %s --help",
			spec->name, value, command->name);
	}
	return 0;
}

/* Takes one option; *used says whether the next word was its value. */
static int take(const struct command *command, const char *word, const char *next, bool *used)
{
	const char *name = word + 2, *equals = strchr(name, '=');
	size_t n = equals ? (size_t)(equals - name) : strlen(name);
	const struct option_spec *spec = find(command->options, name, n);
	bool wants;

	*used = false;
	if (!spec)
		spec = find(global, name, n);
	if (!spec)
		return error_set(
			ERROR_USAGE, "unknown option %s. See annex %s --help", word, command->name);
	wants = spec->kind != OPTION_FLAG && spec->kind != OPTION_MAYBE;
	if (spec->kind == OPTION_FLAG && equals)
		return error_set(ERROR_USAGE, "--%s takes no value. See annex %s --help",
			spec->name, command->name);
	if (wants && !equals && !next)
		return error_set(ERROR_USAGE, "--%s needs a value: --%s %s", spec->name, spec->name,
			spec->argument);
	*used = wants && !equals;
	return store(command, spec, equals ? equals + 1 : wants ? next : "");
}

int options_parse(const struct command *command, struct annex *annex, int argc, char **argv,
	int *count, bool *help)
{
	bool only_words = false;
	int words = 0;

	parsed = *annex;
	for (int i = 0; i < argc; i++) {
		const char *word = argv[i];
		bool used;
		int code;

		if (only_words || word[0] != '-' || !word[1]) {
			argv[words++] = argv[i];
			continue;
		}
		if (!strcmp(word, "--")) {
			only_words = true;
			continue;
		}
		if (!strcmp(word, "-h"))
			word = "--help";
		if (word[1] != '-')
			return error_set(ERROR_USAGE, "unknown option %s. See annex %s --help",
				word, command->name);
		code = take(command, word, i + 1 < argc ? argv[i + 1] : NULL, &used);
		*annex = parsed; /* so that an error further on is already told in JSON */
		if (code)
			return code;
		i += used;
	}
	*count = words;
	*help = help_wanted;
	return 0;
}

static void print_specs(const struct option_spec *specs)
{
	for (; specs && specs->name; specs++) {
		char head[64];

		snprintf(head, sizeof(head), "--%s%s%s", specs->name,
			!specs->argument              ? ""
			: specs->kind == OPTION_MAYBE ? "[="
						      : " ",
			specs->argument ? specs->argument : "");
		if (specs->kind == OPTION_MAYBE)
			strncat(head, "]", sizeof(head) - strlen(head) - 1);
		printf("  %-22s %s\n", head, specs->help);
	}
}

void options_help(const struct command *command)
{
	printf("usage: annex %s%s%s [OPTION...]\n\n%s.\n", command->name,
		command->arguments[0] ? " " : "", command->arguments, command->summary);
	if (command->details)
		printf("\n%s", command->details);
	if (command->options) {
		puts("\noptions:");
		print_specs(command->options);
	}
	puts("\nglobal options:");
	print_specs(global);
	puts("\nexit codes: 0 done, 1 failed, 2 usage, 3 no such thing, 4 libvirt cannot be "
	     "reached,\n"
	     "5 the VMM does not answer, 6 refused. See annex(1).");
}

void options_overview(const struct command *const *commands)
{
	puts("usage: annex COMMAND [ARGUMENT...] [OPTION...]\n\n"
	     "Runs unmodified Linux guests whose memory lies, in part, on other machines.\n\n"
	     "commands:");
	for (; *commands; commands++) {
		char head[64];

		snprintf(head, sizeof(head), "%s %s", (*commands)->name, (*commands)->arguments);
		printf("  %-38s %s\n", head, (*commands)->summary);
	}
	puts("\nglobal options:");
	print_specs(global);
	puts("\nannex COMMAND --help says more about one command; annex(1) about all of them.");
}
