/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "annex/rpc.h"
#include "memserver/options.h"
#include "memserver/policy.h"

static const char help[] =
	"Usage: annex-memserver --listen ADDRESS[:PORT] --pool SIZE [OPTION]...\n"
	"       annex-memserver [--control PATH] forget TENANT\n"
	"Leases memory to Annex guests on other machines, by RDMA; or tells the server that runs\n"
	"here to forget a tenant (its identifier in hexadecimal) and free what it holds.\n"
	"\n"
	"  --listen ADDRESS[:PORT]  address of an RDMA device (port 7471)\n"
	"  --pool SIZE              memory to lease, a multiple of 16M; K, M, G, T behind it\n"
	"  --quota SIZE             most that one tenant may have promised (no limit)\n"
	"  --overcommit             promise more than the pool has\n"
	"  --hugepages yes|no|auto  whether the pool is made of huge pages (auto)\n"
	"  --pool-dir DIRECTORY     on hugetlbfs or tmpfs (a hugetlbfs mount, else "
	"/dev/shm/annex)\n"
	"  --store DIRECTORY        on a disk: who holds what (" OPTIONS_STORE ")\n"
	"  --http ADDRESS:PORT|off  status and metrics, read only (" OPTIONS_HTTP ")\n"
	"  --control PATH           socket of the administrator (" OPTIONS_CONTROL ")\n"
	"  --foreground             stay in the foreground (always so)\n"
	"  --help, --version\n"
	"\n"
	"Exit status: 0 ended by SIGTERM or SIGINT, or forgotten; 1 cannot; 2 wrong command line.\n"
	"See annex-memserver(8).\n";

enum option_id {
	OPTION_LISTEN = 256,
	OPTION_POOL,
	OPTION_QUOTA,
	OPTION_OVERCOMMIT,
	OPTION_HUGEPAGES,
	OPTION_POOL_DIRECTORY,
	OPTION_STORE,
	OPTION_HTTP,
	OPTION_CONTROL,
	OPTION_FOREGROUND,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option known[] = {
	{"listen", required_argument, NULL, OPTION_LISTEN},
	{"pool", required_argument, NULL, OPTION_POOL},
	{"quota", required_argument, NULL, OPTION_QUOTA},
	{"overcommit", no_argument, NULL, OPTION_OVERCOMMIT},
	{"hugepages", required_argument, NULL, OPTION_HUGEPAGES},
	{"pool-dir", required_argument, NULL, OPTION_POOL_DIRECTORY},
	{"store", required_argument, NULL, OPTION_STORE},
	{"http", required_argument, NULL, OPTION_HTTP},
	{"control", required_argument, NULL, OPTION_CONTROL},
	{"foreground", no_argument, NULL, OPTION_FOREGROUND},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{0},
};

static void wrong(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void wrong(const char *format, ...)
{
	va_list arguments;

	fputs("annex-memserver: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputs("\nTry annex-memserver --help.\n", stderr);
	exit(2);
}

bool options_size(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;
	uint64_t number = 0;
	unsigned shift = 0;

	if (*text < '0' || *text > '9')
		return false;
	while (*text >= '0' && *text <= '9') {
		if (number > (UINT64_MAX - 9) / 10)
			return false;
		number = 10 * number + (uint64_t)(*text++ - '0');
	}
	if (*text) {
		suffix = strchr(suffixes, *text++);
		if (!suffix || *text)
			return false;
		shift = 10 * (unsigned)(suffix - suffixes + 1);
	}
	if (number == 0 || number > UINT64_MAX >> shift)
		return false;
	*bytes = number << shift;
	return true;
}

bool options_address(const char *text, uint16_t port, struct sockaddr_in *address)
{
	const char *colon = strchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : strlen(text);
	char copy[INET_ADDRSTRLEN];
	unsigned long number = port;
	char *end;

	if (length >= sizeof(copy))
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	if (colon) {
		if (colon[1] < '0' || colon[1] > '9')
			return false;
		number = strtoul(colon + 1, &end, 10);
		if (*end || number == 0 || number > 65535)
			return false;
	}
	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
	return inet_pton(AF_INET, copy, &address->sin_addr) == 1;
}

static void set_listen(struct options *o, const char *value)
{
	if (!options_address(value, RPC_PORT, &o->listen))
		wrong("--listen %s: want A.B.C.D or A.B.C.D:PORT (IPv4)", value);
	if (o->listen.sin_addr.s_addr == htonl(INADDR_ANY))
		wrong("--listen %s: want the one address of an RDMA device, not all addresses",
			value);
}

static void set_pool(struct options *o, const char *value)
{
	if (!options_size(value, &o->pool))
		wrong("--pool %s: want a size like 512M or 64G", value);
	if (o->pool % RPC_EXTENT_SIZE != 0)
		wrong("--pool %s: want a multiple of 16M", value);
	if (o->pool / RPC_EXTENT_SIZE > POLICY_SLOTS_MAX)
		wrong("--pool %s: 256T at most", value);
}

static void set_hugepages(struct options *o, const char *value)
{
	if (strcmp(value, "auto") == 0)
		o->hugepages = HUGEPAGES_AUTO;
	else if (strcmp(value, "yes") == 0)
		o->hugepages = HUGEPAGES_YES;
	else if (strcmp(value, "no") == 0)
		o->hugepages = HUGEPAGES_NO;
	else
		wrong("--hugepages %s: want yes, no or auto", value);
}

static void set_http(struct options *o, const char *value)
{
	o->no_http = strcmp(value, "off") == 0;
	if (!o->no_http && (!options_address(value, 0, &o->http) || o->http.sin_port == 0))
		wrong("--http %s: want A.B.C.D:PORT or off", value);
}

static void set(struct options *o, int id, const char *value)
{
	switch (id) {
	case OPTION_LISTEN:
		set_listen(o, value);
		break;
	case OPTION_POOL:
		set_pool(o, value);
		break;
	case OPTION_QUOTA:
		if (!options_size(value, &o->quota))
			wrong("--quota %s: want a size like 512M or 64G", value);
		break;
	case OPTION_OVERCOMMIT:
		o->overcommit = true;
		break;
	case OPTION_HUGEPAGES:
		set_hugepages(o, value);
		break;
	case OPTION_POOL_DIRECTORY:
		o->pool_directory = value;
		break;
	case OPTION_STORE:
		o->store = value;
		break;
	case OPTION_HTTP:
		set_http(o, value);
		break;
	case OPTION_CONTROL:
		o->control = value;
		break;
	case OPTION_FOREGROUND:
		break;
	case OPTION_HELP:
		fputs(help, stdout);
		exit(0);
	case OPTION_VERSION:
		printf("annex-memserver, fabric protocol %u to %u\n", RPC_VERSION_LOW, RPC_VERSION);
		exit(0);
	default:
		fputs("Try annex-memserver --help.\n", stderr);
		exit(2);
	}
}

void options_parse(struct options *options, int argc, char **argv)
{
	int id;

	*options = (struct options){.store = OPTIONS_STORE, .control = OPTIONS_CONTROL};
	options_address(OPTIONS_HTTP, 0, &options->http);
	while ((id = getopt_long(argc, argv, "", known, NULL)) != -1)
		set(options, id, optarg);
	if (optind < argc) {
		if (strcmp(argv[optind], "forget") != 0)
			wrong("%s: no such argument", argv[optind]);
		if (optind + 2 != argc)
			wrong("forget wants one TENANT, in hexadecimal digits");
		options->forget = argv[optind + 1];
		return;
	}
	if (options->listen.sin_family != AF_INET)
		wrong("--listen is missing: the address of an RDMA device");
	if (options->pool == 0)
		wrong("--pool is missing: how much memory to lease, like 64G");
}
