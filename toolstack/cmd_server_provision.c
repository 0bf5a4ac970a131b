/* SPDX-License-Identifier: MIT */
/* annex server provision: a memory server as a libvirt domain on this machine. */
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "annex/rpc.h"
#include "toolstack/appliance.h"
#include "toolstack/connect.h"
#include "toolstack/files.h"
#include "toolstack/http.h"
#include "toolstack/output.h"
#include "toolstack/provision.h"
#include "toolstack/server.h"
#include "toolstack/size.h"

static struct provision wanted;
static const char *address_option = "10.77.0.1/24";
static const char *kernel, *modules, *memserver;
static uint64_t mtu_option, patience = 100;
static bool start_option, no_start;

static const struct option_spec options[] = {
	{"pool", "SIZE", "memory that it leases, a multiple of 16M (default: 512M)", OPTION_SIZE,
		&wanted.pool},
	{"memory", "SIZE", "of the machine (default: the pool and 320M)", OPTION_SIZE,
		&wanted.memory},
	{"quota", "SIZE", "most that one guest may have (default: no limit)", OPTION_SIZE,
		&wanted.quota},
	{"address", "A.B.C.D/P", "on the fabric (default: 10.77.0.1/24; P: 24)", OPTION_TEXT,
		&address_option},
	{"bridge", "BRIDGE", "the fabric (default: " ANNEX_BRIDGE ")", OPTION_TEXT, &wanted.bridge},
	{"mtu", "N", "1500 to 9216 (default: the bridge's)", OPTION_NUMBER, &mtu_option},
	{"kernel", "FILE", "a stock kernel (default: the newest in /boot with rdma_rxe)",
		OPTION_TEXT, &kernel},
	{"modules", "DIR", "its lib/modules/VERSION (default: /lib/modules/VERSION)", OPTION_TEXT,
		&modules},
	{"memserver", "FILE",
		"the server (default: ANNEX_MEMSERVER, beside this program, or /usr/sbin)",
		OPTION_TEXT, &memserver},
	{"virt-type", "TYPE", "qemu or kvm (default: kvm where it works)", OPTION_TEXT,
		&wanted.type},
	{"start", NULL, "start it and wait until it serves (default)", OPTION_FLAG, &start_option},
	{"no-start", NULL, "only define it", OPTION_FLAG, &no_start},
	{"timeout", "SECONDS", "how long it may take until it serves (default: 100)", OPTION_NUMBER,
		&patience},
	{NULL, NULL, NULL, OPTION_FLAG, NULL},
};

static unsigned bridge_mtu(const char *bridge)
{
	char *path = files_path("/sys/class/net/%.15s/mtu", bridge), *text;
	uint64_t mtu = ANNEX_MTU;
	size_t length;

	if (!files_read(path, 64, &text, &length)) {
		text[strcspn(text, "\n")] = '\0';
		if (!size_number(text, 1500, 9216, &mtu))
			mtu = ANNEX_MTU;
		free(text);
	} else {
		error_clear();
	}
	free(path);
	return (unsigned)mtu;
}

static int check_sizes(struct provision *p)
{
	char text[SIZE_TEXT_MAX];

	if (!p->pool)
		p->pool = 512 * SIZE_MIB;
	if (p->pool % RPC_EXTENT_SIZE)
		return error_set(ERROR_USAGE,
			"--pool %s is no multiple of 16 MiB (the size of an extent)",
			size_text(p->pool, text));
	if (!p->memory)
		p->memory = p->pool + APPLIANCE_EXTRA;
	if (p->memory < p->pool + 112 * SIZE_MIB)
		return error_set(ERROR_USAGE,
			"--memory %s is too little for that pool. Give the pool and at least 112M",
			size_text(p->memory, text));
	return 0;
}

static int check_network(struct provision *p)
{
	char padded[64];

	snprintf(padded, sizeof(padded), "%.40s%s", address_option,
		strchr(address_option, '/') ? "" : "/24");
	if (!size_ipv4_prefix(padded, &p->address, &p->prefix))
		return error_set(ERROR_USAGE,
			"--address %s is no host address. Give A.B.C.D/PREFIX, prefix 8 to 30",
			address_option);
	if (!p->bridge)
		p->bridge = ANNEX_BRIDGE;
	if (!*p->bridge || strlen(p->bridge) > 15 || strpbrk(p->bridge, "/ "))
		return error_set(ERROR_USAGE, "--bridge '%s' is no bridge's name", p->bridge);
	if (mtu_option && (mtu_option < 1500 || mtu_option > 9216))
		return error_set(ERROR_USAGE, "--mtu %llu is refused. Give 1500 to 9216",
			(unsigned long long)mtu_option);
	p->mtu = mtu_option ? (unsigned)mtu_option : bridge_mtu(p->bridge);
	return 0;
}

static int check(struct provision *p, const char *name)
{
	const char *missing = kvm_missing();
	int code;

	if (!registry_name_ok(name))
		return error_set(ERROR_USAGE,
			"'%s' is no name for a server. Use 1 to 31 letters, digits, '-', '_' or "
			"'.', a "
			"letter or digit first",
			name);
	p->name = name;
	if (start_option && no_start)
		return error_set(ERROR_USAGE, "--start and --no-start contradict each other");
	if (!p->type)
		p->type = missing ? "qemu" : "kvm";
	if (strcmp(p->type, "qemu") && strcmp(p->type, "kvm"))
		return error_set(
			ERROR_USAGE, "--virt-type %s is not known. Give qemu or kvm", p->type);
	if (!strcmp(p->type, "kvm") && missing)
		return error_set(
			ERROR_REFUSED, "--virt-type kvm: %s. Use --virt-type qemu", missing);
	code = check_sizes(p);
	return code ? code : check_network(p);
}

static int check_registry(const struct registry *registry, const struct provision *p)
{
	const struct registry_server *there = registry_at(registry, p->address);
	char text[SIZE_TEXT_MAX];

	if (registry_find(registry, p->name))
		return error_set(ERROR_FAILED,
			"server '%s' exists. Remove it first (annex server remove %s), or take "
			"another "
			"name",
			p->name, p->name);
	if (there)
		return error_set(ERROR_FAILED,
			"%s is the address of server '%s'. Give another one with --address",
			size_ipv4_text(p->address, text), there->name);
	return 0;
}

/* New lines of ours on the appliance's console; true when the last one said that it is ready. */
static bool follow(struct annex *annex, const char *log, size_t *seen, bool *gave_up)
{
	char *data, *next;
	size_t length;
	bool ready = false;

	if (files_read(log, 64u << 20, &data, &length)) {
		error_clear();
		return false;
	}
	for (char *line = data + (*seen < length ? *seen : length); (next = strchr(line, '\n'));
		line = next + 1) {
		const char *says;

		*next = '\0';
		*seen = (size_t)(next + 1 - data);
		line[strcspn(line, "\r")] = '\0';
		says = strstr(line, APPLIANCE_SAYS);
		if (says)
			output_progress(
				annex, "%s: %s", wanted.name, says + strlen(APPLIANCE_SAYS));
		ready = ready || (says && !strncmp(says, APPLIANCE_READY, strlen(APPLIANCE_READY)));
		*gave_up = *gave_up || (says && strstr(says, "failed: "));
	}
	free(data);
	return ready;
}

static bool page_answers(const struct registry_server *server)
{
	json_t *status = http_status(server);

	json_decref(status);
	return status;
}

/* Its console says so, or, where the log cannot be read, its status page answers. */
static int wait_ready(struct annex *annex, virDomainPtr domain,
	const struct registry_server *server, const char *log)
{
	time_t end = time(NULL) + (time_t)patience;
	bool readable, gave_up = false;
	size_t seen = 0;

	do {
		if (follow(annex, log, &seen, &gave_up))
			return 0;
		readable = access(log, R_OK) == 0;
		if (!readable && page_answers(server))
			return 0;
		if (gave_up || virDomainIsActive(domain) <= 0)
			return error_set(ERROR_FAILED,
				"server '%s' ended while it started; its console is in %s. annex "
				"server "
				"remove %s cleans up",
				server->name, log, server->name);
		usleep(200000);
	} while (time(NULL) < end);
	return error_set(ERROR_FAILED,
		"server '%s' does not serve after %llu s; its console is in %s. It is left "
		"running; "
		"annex server remove %s ends it",
		server->name, (unsigned long long)patience, log, server->name);
}

static int report(struct annex *annex, const struct registry_server *server, const char *state)
{
	char address[SIZE_TEXT_MAX], pool[SIZE_TEXT_MAX];

	if (output_answer(annex, server_json(server, state)))
		return 0;
	printf("Server '%s' %s: %s at %s:%u.\n", server->name, state, size_text(server->pool, pool),
		size_ipv4_text(server->address, address), server->port);
	return 0;
}

/* What make() made; the error that led here stays recorded. */
static void take_back(struct annex *annex, virDomainPtr domain, const char *name)
{
	struct registry registry;
	char kept[512];
	enum error_code code = error_code();

	snprintf(kept, sizeof(kept), "%s", error_text());
	virDomainUndefine(domain);
	files_remove(wanted.directory);
	if (!registry_lock(&registry, annex->state)) {
		registry_drop(&registry, name);
		registry_save(&registry, annex->state);
		registry_free(&registry);
	}
	error_set(code, "%s", kept);
}

static int start(struct annex *annex, virDomainPtr domain, const struct registry_server *server,
	const char *log)
{
	char advice[200];

	unlink(log);
	if (virDomainCreate(domain) == 0)
		return wait_ready(annex, domain, server, log);
	snprintf(advice, sizeof(advice),
		"The fabric is bridge %s: ip link add %s type bridge; ip link set %s mtu 9000 up",
		wanted.bridge, wanted.bridge, wanted.bridge);
	connect_failed("the server's domain does not start, and is taken back", advice);
	take_back(annex, domain, server->name);
	return (int)error_code();
}

/* Makes files, domain and registry entry. */
static int make(struct annex *annex, const struct appliance_parts *parts,
	struct registry_server *server, virDomainPtr *domain)
{
	struct registry registry;
	int code = registry_lock(&registry, annex->state);

	if (code)
		return code;
	code = check_registry(&registry, &wanted);
	if (!code)
		code = provision_files(&wanted, parts);
	if (!code)
		code = provision_define(annex->connection, &wanted, domain);
	if (code) {
		registry_unlock();
	} else {
		registry_put(&registry, server);
		code = registry_save(&registry, annex->state);
	}
	registry_free(&registry);
	return code;
}

static int provision(struct annex *annex, const struct appliance_parts *parts)
{
	struct registry_server server = {.address = wanted.address,
		.port = RPC_PORT,
		.http = ANNEX_HTTP_PORT,
		.provisioned = true,
		.pool = wanted.pool};
	virDomainPtr domain = NULL;
	char *log;
	int code;

	snprintf(server.name, sizeof(server.name), "%s", wanted.name);
	output_progress(annex, "%s: building the appliance from %s", wanted.name, parts->kernel);
	code = make(annex, parts, &server, &domain);
	if (code)
		return code;
	log = files_path("%s/console.log", wanted.directory);
	if (!no_start) {
		output_progress(annex, "%s: starting domain annex-server-%s (%s)", wanted.name,
			wanted.name, wanted.type);
		code = start(annex, domain, &server, log);
	}
	if (!code)
		code = report(annex, &server, no_start ? "defined" : "serving");
	free(log);
	virDomainFree(domain);
	return code;
}

static int run(struct annex *annex, int count, char **arguments)
{
	struct appliance_parts parts;
	char *state, *directory = NULL;
	int code = check(&wanted, arguments[0]);

	if (!code)
		code = appliance_find(&parts, kernel, modules, memserver);
	if (code)
		return code;
	code = files_directory(annex->state);
	state = code ? NULL : realpath(annex->state, NULL);
	if (!code && !state)
		code = error_set(ERROR_FAILED, "cannot find %s: %m", annex->state);
	if (!code)
		code = connect_open(annex);
	if (!code)
		code = connect_local(annex);
	if (!code) {
		directory = files_path("%s/servers/%s", state, wanted.name);
		wanted.directory = directory;
		code = provision(annex, &parts);
	}
	free(directory);
	free(state);
	appliance_free(&parts);
	return code;
}

const struct command cmd_server_provision = {
	.name = "server provision",
	.arguments = "NAME",
	.summary =
		"Make a memory server: a libvirt domain with Soft-RoCE, for want of RDMA hardware",
	.details =
		"Builds an appliance from a stock kernel, annex-memserver and a small init, "
		"defines\n"
		"it as domain annex-server-NAME, starts it and waits until it serves. Its pool is "
		"RAM\n"
		"of the domain: far memory lasts as long as the domain runs. NAME's files are in\n"
		"servers/NAME under the state directory, the console's log among them.\n",
	.options = options,
	.minimum = 1,
	.maximum = 1,
	.run = run,
};
