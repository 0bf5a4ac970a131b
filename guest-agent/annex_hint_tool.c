/* SPDX-License-Identifier: MIT */
/* annex-hint(1): hints about the memory of the process that runs it. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "annex/version.h"
#include "guest-agent/annex_hint.h"

static void help(FILE *to)
{
	fputs("usage: annex-hint [-p PID] {pin|unpin|prefetch|cold} ADDRESS LENGTH\n"
	      "Tells annex-agent which memory of a process is worth holding.\n"
	      "  ADDRESS     of that process; hexadecimal with 0x, or decimal\n"
	      "  LENGTH      bytes, or with K, M or G behind the number\n"
	      "  -p PID      the process; default: the one that runs this command. It must have\n"
	      "              the caller's user and group, and be one that the caller could trace\n"
	      "  --help, --version\n"
	      "exit code: 0 the hint was taken, 1 refused or no agent here, 2 usage\n",
		to);
}

/* Digits only: no sign, no space. suffix: the number may end with K, M or G. */
static bool number(const char *text, bool suffix, uint64_t *value)
{
	static const char units[] = "KMG";
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, text[1] == 'x' || text[1] == 'X' ? 16 : 10);
	if (errno || end == text)
		return false;
	const char *unit = suffix && *end ? strchr(units, *end) : NULL;

	if (unit) {
		unsigned shift = 10 * (unsigned)(unit - units + 1);

		if (*value > UINT64_MAX >> shift)
			return false;
		*value <<= shift;
		end++;
	}
	return !*end;
}

static int kind_of(const char *name)
{
	static const char *const names[ANNEX_HINT_KINDS] = {[ANNEX_HINT_PIN] = "pin",
		[ANNEX_HINT_UNPIN] = "unpin",
		[ANNEX_HINT_PREFETCH] = "prefetch",
		[ANNEX_HINT_COLD] = "cold"};

	for (int i = 0; i < ANNEX_HINT_KINDS; i++)
		if (names[i] && strcmp(name, names[i]) == 0)
			return i;
	return 0;
}

static int wrong(const char *what, const char *text)
{
	fprintf(stderr, "annex-hint: %s: %s\n", what, text);
	help(stderr);
	return 2;
}

static int hint(int count, char **word, uint64_t pid)
{
	uint64_t address, length;

	if (count != 3)
		return wrong("takes a hint, an address and a length", count ? word[0] : "nothing");
	int kind = kind_of(word[0]);

	if (!kind)
		return wrong("no such hint", word[0]);
	if (!number(word[1], false, &address))
		return wrong("no address", word[1]);
	if (!number(word[2], true, &length) || length == 0 || address + length < address)
		return wrong("no length", word[2]);
	if (annex_hint_process(kind, (pid_t)pid, address, length) == 0)
		return 0;
	fprintf(stderr, "annex-hint: process %llu: %s\n", (unsigned long long)pid,
		annex_hint_reason());
	return 1;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"pid", required_argument, NULL, 'p'},
		{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'v'}, {0}};
	uint64_t pid = (uint64_t)getppid();

	for (int o; (o = getopt_long(argc, argv, "+p:", options, NULL)) != -1;) {
		switch (o) {
		case 'p':
			if (!number(optarg, false, &pid) || pid == 0 || pid > INT32_MAX)
				return wrong("no process", optarg);
			break;
		case 'h':
			help(stdout);
			return 0;
		case 'v':
			puts("annex-hint " ANNEX_VERSION);
			return 0;
		default:
			help(stderr);
			return 2;
		}
	}
	return hint(argc - optind, argv + optind, pid);
}
