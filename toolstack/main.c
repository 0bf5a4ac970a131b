/* SPDX-License-Identifier: MIT */
/* annex: finds the command and runs it. */
#include <libvirt/virterror.h>
#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/annex.h"
#include "toolstack/connect.h"
#include "toolstack/output.h"

static const struct command *const commands[] = {
	&cmd_server_provision,
	&cmd_server_add,
	&cmd_server_list,
	&cmd_server_show,
	&cmd_server_remove,
	&cmd_server_forget,
	&cmd_server_restart,
	&cmd_guest_define,
	&cmd_guest_list,
	&cmd_guest_show,
	&cmd_guest_start,
	&cmd_guest_stop,
	&cmd_guest_undefine,
	&cmd_guest_hint,
	&cmd_guest_check,
	&cmd_host_install_boot,
	&cmd_stat,
	&cmd_exporter,
	&cmd_log,
	&cmd_doctor,
	&cmd_version,
	NULL,
};

/* Matches the command's words against argv; returns how many words, 0: another command. */
static int match(const struct command *command, int argc, char **argv)
{
	const char *rest = command->name;
	int words = 0;

	while (*rest) {
		size_t n = strcspn(rest, " ");

		if (words >= argc || strlen(argv[words]) != n || strncmp(argv[words], rest, n))
			return 0;
		words++;
		rest += n + (rest[n] == ' ');
	}
	return words;
}

/* Global options may stand before the command: moves them behind it. */
static int skip_options(int argc, char **argv)
{
	int i = 0;

	while (i < argc && argv[i][0] == '-') {
		bool value = !strcmp(argv[i], "--connect") || !strcmp(argv[i], "--state");

		i += value ? 2 : 1;
	}
	return i < argc ? i : argc;
}

static void rotate(int argc, char **argv, int options, int words)
{
	char *kept[16];

	for (int i = 0; i < words; i++)
		kept[i] = argv[options + i];
	memmove(argv + words, argv, (size_t)options * sizeof(*argv));
	memcpy(argv, kept, (size_t)words * sizeof(*argv));
	(void)argc;
}

static int unknown(int argc, char **argv)
{
	static const char *const groups[] = {"guest", "server", "host"};

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (argc < 1 || strcmp(argv[0], groups[i]))
			continue;
		if (argc > 1)
			return error_set(ERROR_USAGE,
				"unknown command %s %s. annex --help lists them", argv[0], argv[1]);
		return error_set(ERROR_USAGE,
			"annex %s needs a second word. annex --help lists them", argv[0]);
	}
	return error_set(ERROR_USAGE, "unknown command %s. annex --help lists them", argv[0]);
}

static int run(const struct command *command, struct annex *annex, int argc, char **argv)
{
	bool help = false;
	int count, code = options_parse(command, annex, argc, argv, &count, &help);

	if (code)
		return code;
	if (help) {
		options_help(command);
		return 0;
	}
	if (count < command->minimum || count > command->maximum)
		return error_set(ERROR_USAGE, "usage: annex %s %s [OPTION...]. See annex %s --help",
			command->name, command->arguments, command->name);
	return command->run(annex, count, argv);
}

static int dispatch(struct annex *annex, int argc, char **argv)
{
	int options = skip_options(argc, argv);

	for (int i = 0; i < options; i++) {
		annex->json |= !strcmp(argv[i], "--json");
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			options_overview(commands);
			return 0;
		}
		if (!strcmp(argv[i], "--version")) {
			printf("annex %s\n", ANNEX_VERSION);
			return 0;
		}
	}
	if (options == argc)
		return error_set(ERROR_USAGE, "no command. annex --help lists them");
	for (const struct command *const *c = commands; *c; c++) {
		int words = match(*c, argc - options, argv + options);

		if (!words)
			continue;
		rotate(argc, argv, options, words);
		return run(*c, annex, argc - words, argv + words);
	}
	return unknown(argc - options, argv + options);
}

/* libxml2 and libvirt tell their errors through their return values; nothing goes to stderr. */
static void silent_xml(void *context, const char *format, ...)
{
}

static void silent_libvirt(void *context, virErrorPtr error)
{
}

int main(int argc, char **argv)
{
	struct annex annex = {.uri = getenv("LIBVIRT_DEFAULT_URI"), .state = getenv("ANNEX_STATE")};
	int code;

	xmlSetGenericErrorFunc(NULL, silent_xml);
	virSetErrorFunc(NULL, silent_libvirt);
	if (!annex.state || !*annex.state)
		annex.state = ANNEX_STATE;
	code = dispatch(&annex, argc - 1, argv + 1);
	for (int i = 1; i < argc && code == ERROR_USAGE; i++)
		annex.json |= !strcmp(argv[i], "--json");
	if (code)
		output_error(&annex);
	connect_close(&annex);
	xmlCleanupParser();
	if (fflush(stdout) || ferror(stdout))
		return code ? code : ERROR_FAILED;
	return code;
}
