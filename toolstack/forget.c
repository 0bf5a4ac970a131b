/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "toolstack/appliance.h"
#include "toolstack/connect.h"
#include "toolstack/forget.h"
#include "toolstack/manage.h"
#include "toolstack/server.h"
#include "toolstack/size.h"

#define TENANT "%016llx"

static const struct manage_peer appliance = {
	.alias = APPLIANCE_CONTROL,
	.port = "control port of",
	.who = "init of",
	.missing = "The server was provisioned by an older annex; remove and provision it anew, or "
		   "restart its domain: its pool is free then",
	.silent = "Its console's log, named by annex server show, may tell why",
	.patience = 10,
};

static int forget_appliance(
	struct annex *annex, const struct registry_server *server, uint64_t tenant, bool *known)
{
	char command[64], *name = server_domain_name(server->name);
	virDomainPtr domain = NULL;
	json_t *result = NULL;
	int code = connect_open(annex);

	*known = false;
	if (!code) {
		domain = virDomainLookupByName(annex->connection, name);
		if (!domain && virGetLastErrorCode() != VIR_ERR_NO_DOMAIN)
			code = connect_failed("cannot look up the server's domain", NULL);
	}
	/* Its pool is RAM of the domain: one that does not run holds nothing. */
	if (domain && virDomainIsActive(domain) > 0) {
		snprintf(command, sizeof(command), "forget " TENANT, (unsigned long long)tenant);
		code = manage_ask_peer(domain, &appliance, command, &result);
		*known = json_is_true(json_object_get(result, "known"));
		json_decref(result);
	}
	if (domain)
		virDomainFree(domain);
	free(name);
	return code;
}

/* Runs ssh without a question to the user; its output, both streams, in text. False: no ssh. */
static bool run_ssh(
	const char *destination, const char *tenant, char *text, size_t size, int *status)
{
	int pipes[2];
	size_t used = 0;
	ssize_t got;
	pid_t pid;

	if (pipe(pipes))
		return false;
	pid = fork();
	if (pid == 0) {
		dup2(pipes[1], STDOUT_FILENO);
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		execlp("ssh", "ssh", "-n", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10",
			destination, "annex-memserver", "forget", tenant, (char *)NULL);
		dprintf(STDERR_FILENO, "cannot run ssh: %s", strerror(errno));
		_exit(255);
	}
	close(pipes[1]);
	while (pid > 0 && used + 1 < size) {
		got = read(pipes[0], text + used, size - 1 - used);
		if (got <= 0 && errno != EINTR)
			break;
		used += got > 0 ? (size_t)got : 0;
	}
	text[used] = '\0';
	close(pipes[0]);
	return pid > 0 && waitpid(pid, status, 0) == pid;
}

static int forget_ssh(const struct registry_server *server, uint64_t tenant, bool *known)
{
	char text[512] = "", digits[17];
	int status = -1;

	snprintf(digits, sizeof(digits), TENANT, (unsigned long long)tenant);
	*known = false;
	if (!run_ssh(server->ssh, digits, text, sizeof(text), &status))
		return error_set(ERROR_FAILED, "cannot start ssh: %m");
	for (char *end = text + strlen(text); end > text && strchr("\r\n", end[-1]);)
		*--end = '\0';
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !strcmp(text, "ok")) {
		*known = true;
		return 0;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 1 && strstr(text, "error no such tenant"))
		return 0;
	return error_set(ERROR_FAILED,
		"server '%s' was not told to forget tenant %s: %s. Run by hand: ssh %s "
		"annex-memserver forget %s",
		server->name, digits, *text ? text : "ssh said nothing", server->ssh, digits);
}

int forget_tenant(
	struct annex *annex, const struct registry_server *server, uint64_t tenant, bool *known)
{
	char address[SIZE_TEXT_MAX];

	if (server->provisioned)
		return forget_appliance(annex, server, tenant, known);
	if (server->ssh[0])
		return forget_ssh(server, tenant, known);
	*known = false;
	return error_set(ERROR_REFUSED,
		"annex has no way to tell server '%s' at %s to forget tenant " TENANT
		". Run there as root: annex-memserver forget " TENANT "; or name the way: annex "
		"server add %s ADDRESS --ssh USER@HOST",
		server->name, size_ipv4_text(server->address, address), (unsigned long long)tenant,
		(unsigned long long)tenant, server->name);
}
