/* SPDX-License-Identifier: MIT */
/* annex-agent: the command line. See annex-agent(8). */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "annex/version.h"
#include "guest-agent/agent.h"
#include "guest-agent/annex_hint.h"
#include "guest-agent/check.h"
#include "guest-agent/lock.h"
#include "guest-agent/log.h"
#include "guest-agent/paths.h"
#include "guest-agent/status.h"

#define EXIT_CANNOT 1
#define EXIT_USAGE  2
#define EXIT_ABSENT 3

static const char help[] =
	"Usage: annex-agent [--config FILE] [--once] [--foreground]\n"
	"       annex-agent check [--json]\n"
	"       annex-agent status [--json]\n"
	"Tells the Annex VMM below this guest which memory is worth holding, and how the guest "
	"feels.\n"
	"\n"
	"  --config FILE   policies and limits, see agent.conf(5) (" PATHS_CONFIG ")\n"
	"  --once          send the configuration's hints once and a report, then end\n"
	"  --foreground    stay in the foreground (always so)\n"
	"  --help, --version\n"
	"  check           is this guest set up right for far memory?\n"
	"  status          what the agent that runs here does\n"
	"\n"
	"Exit status: 0 ended by SIGTERM or SIGINT; 1 cannot; 2 wrong command line or "
	"configuration;\n"
	"3 no Annex below. SIGHUP reads the configuration again. See annex-agent(8).\n";

struct options {
	const char *config;
	bool once;
};

/* Returns an exit code, or -1: go on. */
static int read_options(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{"config", required_argument, NULL, 'c'},
		{"once", no_argument, NULL, 'o'},
		{"foreground", no_argument, NULL, 'f'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'c':
			options->config = optarg;
			break;
		case 'o':
			options->once = true;
			break;
		case 'f':
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		case 'v':
			puts("annex-agent " ANNEX_VERSION);
			return 0;
		default:
			fputs("Try annex-agent --help.\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "annex-agent: there is no '%s'. Try annex-agent --help.\n", argv[optind]);
	return EXIT_USAGE;
}

static int run_check(int argc, char **argv)
{
	struct check_annex annex = {0};
	uint32_t version;
	uint16_t port;

	annex.found = doorbell_find(&port, &version) != DOORBELL_ABSENT;
	return check_command(argc, argv, &annex);
}

/* Before anything else is touched: the doorbell. */
static int open_doorbell(struct doorbell *bell)
{
	uint32_t version = 0;
	enum doorbell_open opened = doorbell_open(bell, &version);

	if (opened == DOORBELL_OPENED)
		return 0;
	if (opened == DOORBELL_OTHER_VERSION)
		log_line(LOG_ERR, "%s (it has %u, this agent %u)", doorbell_open_text(opened),
			version, DOORBELL_VERSION);
	else
		log_line(LOG_ERR, "%s", doorbell_open_text(opened));
	return opened == DOORBELL_ABSENT ? EXIT_ABSENT : EXIT_CANNOT;
}

static int take_lock(void)
{
	pid_t holder;
	int taken;

	if (mkdir(PATHS_RUN, 0755) != 0 && errno != EEXIST) {
		log_line(LOG_ERR, "%s: %s", PATHS_RUN, strerror(errno));
		return EXIT_CANNOT;
	}
	taken = lock_take(PATHS_LOCK, &holder);
	if (taken == 0)
		return 0;
	if (taken > 0)
		log_line(LOG_ERR, "another agent is running (pid %d): annex-agent status asks it",
			(int)holder);
	else
		log_line(LOG_ERR, "%s: %s", PATHS_LOCK, strerror(errno));
	return EXIT_CANNOT;
}

int main(int argc, char **argv)
{
	static struct agent agent; /* large */
	struct options options = {0};
	struct doorbell bell;
	int result;

	if (argc > 1 && strcmp(argv[1], "check") == 0)
		return run_check(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "status") == 0)
		return status_command(argc - 1, argv + 1);
	result = read_options(argc, argv, &options);
	if (result >= 0)
		return result;
	result = open_doorbell(&bell);
	if (!result)
		result = take_lock();
	if (result)
		return result;
	agent.doorbell = &bell;
	agent.config_path = options.config ? options.config : PATHS_CONFIG;
	agent.config_needed = options.config;
	result = agent_open(&agent, ANNEX_HINT_SOCKET);
	if (!result)
		result = options.once ? agent_run_once(&agent) : agent_run(&agent);
	agent_close(&agent);
	return result;
}
